/** The whole group passes over each adapter, also wrapped in loss, duplication, delay and reordering. */
import { suite } from "uvu";
import type { Address } from "../../core/base/ids.ts";
import type { Transport } from "../../core/runtime/transport.ts";
import { groupConformance } from "../../core/testing/conformance/mod.ts";
import { lossy } from "../../core/testing/lossy_transport.ts";
import { type LinkFaults, MemoryNetwork } from "../../transports/memory/mod.ts";
import { zeromq } from "../../transports/zeromq/mod.ts";
import { freeTcp, ipcEndpoints } from "./free_endpoints.ts";

const faults: LinkFaults = {
  lossRate: 0.1,
  duplicateRate: 0.1,
  delayMs: [0, 3],
  reorderRate: 0.1,
  reorderDelayMs: 15,
};
const network = new MemoryNetwork();
const nextIpc = await ipcEndpoints();
let nextName = 0;
let nextSeed = 0;

const adapters: readonly (readonly [
  name: string,
  next: () => string | Promise<string>,
  make: (address: Address) => Transport,
])[] = [
  ["memory", () => `memory:g${++nextName}`, (address) => network.transport(address)],
  ["zeromq tcp", freeTcp, (listen) => zeromq({ listen })],
  ["zeromq ipc", nextIpc, (listen) => zeromq({ listen })],
];

for (const [name, next, make] of adapters) {
  for (const wrap of [undefined, faults]) {
    const title = `group over ${wrap === undefined ? name : `lossy ${name}`}`;
    const test = suite(title);
    const recreate = (address: Address) => {
      const transport = make(address);
      return Promise.resolve({
        transport: wrap === undefined ? transport : lossy(transport, wrap, { seed: ++nextSeed }),
        address,
      });
    };
    const cases = groupConformance({
      name: title,
      create: async () => recreate(await next() as Address),
      recreate,
    });
    for (const { name, run } of cases) test(name, run);
    test.run();
  }
}

/**
 * The whole group over the UDP adapter: real multicast, copies to each peer, and multicast of which a fifth is lost,
 * repeated or reordered besides.
 */
import { suite } from "uvu";
import type { Address } from "../../core/base/ids.ts";
import { groupConformance } from "../../core/testing/conformance/mod.ts";
import { lossy } from "../../core/testing/lossy_transport.ts";
import type { LinkFaults } from "../../transports/memory/mod.ts";
import { udp, type UdpOptions } from "../../transports/udp/mod.ts";
import { freeUdp } from "./free_endpoints.ts";
import { GROUP } from "./udp_members.ts";

const faults: LinkFaults = {
  lossRate: 0.2,
  duplicateRate: 0.1,
  delayMs: [0, 3],
  reorderRate: 0.1,
  reorderDelayMs: 15,
};
let nextSeed = 0;

const variants:
  readonly (readonly [name: string, options: Partial<UdpOptions>, wrap: LinkFaults | undefined])[] = [
    ["udp", {}, undefined],
    ["lossy udp", {}, faults],
    ["udp copies", { multicast: false }, undefined],
  ];

for (const [name, options, wrap] of variants) {
  const title = `group over ${name}`;
  const test = suite(title);
  const recreate = (listen: Address) => {
    const transport = udp({ listen, multicast: GROUP, ...options });
    return Promise.resolve({
      transport: wrap === undefined ? transport : lossy(transport, wrap, { seed: ++nextSeed }),
      address: listen,
    });
  };
  const cases = groupConformance({
    name: title,
    create: async () => recreate(await freeUdp() as Address),
    recreate,
  });
  for (const { name, run } of cases) test(name, run);
  test.run();
}

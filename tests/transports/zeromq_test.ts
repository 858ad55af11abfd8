/** The conformance suite over the ZeroMQ adapter: tcp and ipc, each receive strategy that the runtime allows. */
import { suite } from "uvu";
import { type Address, transportConformance } from "../../core/testing/conformance/mod.ts";
import { type ReceiveStrategy, zeromq } from "../../transports/zeromq/mod.ts";
import { freeTcp, ipcEndpoints } from "./free_endpoints.ts";

const strategies: readonly ReceiveStrategy[] = "Deno" in globalThis ? ["polling"] : ["pending", "polling"];
const nextIpc = await ipcEndpoints();
const unused = { tcp: await freeTcp(), ipc: nextIpc() };
const limits = { packetBytesMax: 1 << 20, silenceMs: 1500 };

const same = [
  ["tcp://127.0.0.1:8001", "tcp://127.0.0.1:8001"],
  ["TCP://LocalHost:8001/", "tcp://127.0.0.1:8001"],
  ["tcp://Node1.Example:65535", "tcp://node1.example:65535"],
  ["tcp://[::1]:1", "tcp://[::1]:1"],
  ["ipc:///tmp/A", "ipc:///tmp/A"],
  ["IPC:///tmp//A/", "ipc:///tmp/A"],
] as const;

const malformed = [
  ...[
    "tcp://",
    "tcp://127.0.0.1",
    "tcp://127.0.0.1:",
    "tcp://127.0.0.1:0",
    "tcp://127.0.0.1:70000",
    "tcp://:1",
  ],
  ...[
    "tcp://127.0.0.1:abc",
    "tcp://127.0.0.1:1.5",
    "tcp://127.0.0.1:-1",
    "tcp://127.0.0.1:+1",
    "tcp://127.0.0.1:01",
  ],
  ...[
    "tcp://127.0.0:1",
    "tcp://127.0.0.256:1",
    "tcp://0.0.0.0:1",
    "tcp://*:1",
    "tcp://[::]:1",
    "tcp://[::1]",
  ],
  ...[
    "tcp://a b:1",
    " tcp://a:1",
    "tcp://a:1 ",
    "tcp://a:1\n",
    "tcp://a\u0000:1",
    "tcp://a:1;tcp://b:2",
    "tcp://a:1/x",
  ],
  ...[
    "tcp://-a:1",
    "tcp://a..b:1",
    "tcp://é:1",
    `tcp://${"a".repeat(300)}:1`,
    "tcp:127.0.0.1:1",
    "127.0.0.1:1",
  ],
  ...["http://127.0.0.1:1", "udp://127.0.0.1:1", "inproc://a", "ipc://", "ipc:///", "ipc://a", "ipc:///a b"],
  ...[
    "ipc:///a/../b",
    "ipc://@abstract",
    `ipc:///${"a".repeat(107)}`,
    `ipc:///${"é".repeat(60)}`,
    "tcp://[::1]x:1",
  ],
];

for (const kind of ["tcp", "ipc"] as const) {
  for (const receive of strategies) {
    const name = `zeromq ${kind} ${receive}`;
    const test = suite(name);
    const recreate = (address: Address) =>
      Promise.resolve({ transport: zeromq({ listen: address, receive, ...limits }), address });
    const cases = transportConformance({
      name,
      create: async () => recreate((kind === "tcp" ? await freeTcp() : nextIpc()) as Address),
      recreate,
      addresses: { same, malformed, unused: unused[kind] },
    });
    for (const { name, run } of cases) test(name, run);
    test.run();
  }
}

/** The conformance suite over the UDP adapter: real multicast on the loopback interface, and copies to each peer. */
import { suite } from "uvu";
import { type Address, transportConformance } from "../../core/testing/conformance/mod.ts";
import { udp } from "../../transports/udp/mod.ts";
import { freeMulticast, freeUdp } from "./free_endpoints.ts";

const unused = await freeUdp();
const shared = await freeMulticast();

const same = [
  ["udp://127.0.0.1:8001", "udp://127.0.0.1:8001"],
  ["UDP://LocalHost:8001/", "udp://127.0.0.1:8001"],
  ["udp://10.0.0.255:65535", "udp://10.0.0.255:65535"],
] as const;

const malformed = [
  ...["udp://", "udp://127.0.0.1", "udp://127.0.0.1:", "udp://127.0.0.1:0", "udp://127.0.0.1:70000"],
  ...["udp://:1", "udp://127.0.0.1:abc", "udp://127.0.0.1:1.5", "udp://127.0.0.1:-1", "udp://127.0.0.1:01"],
  ...["udp://127.0.0:1", "udp://127.0.0.256:1", "udp://127.0.0.01:1", "udp://0x7f.0.0.1:1", "udp://127.1:1"],
  ...["udp://0.0.0.0:1", "udp://*:1", "udp://0.1.2.3:1", "udp://255.255.255.255:1", "udp://240.0.0.1:1"],
  ...["udp://239.255.1.1:1", "udp://224.0.0.1:1", "udp://[::1]:1", "udp://node1.example:1", "udp://a b:1"],
  ...[" udp://127.0.0.1:1", "udp://127.0.0.1:1 ", "udp://127.0.0.1:1\n", "udp://127.0.0.1:1/x"],
  ...["udp://127.0.0.1:1;udp://127.0.0.1:2", "udp:127.0.0.1:1", "127.0.0.1:1", "tcp://127.0.0.1:1"],
  ...["udp://127.0.0.1\u0000:1", `udp://${"1".repeat(300)}:1`, "udp://１27.0.0.1:1"],
];

for (const multicast of [shared, false] as const) {
  const name = multicast === false ? "udp copies" : "udp multicast";
  const test = suite(name);
  const recreate = (listen: Address) =>
    Promise.resolve({ transport: udp({ listen, multicast, silenceMs: 1500 }), address: listen });
  const cases = transportConformance({
    name,
    create: async () => recreate(await freeUdp() as Address),
    recreate,
    addresses: { same, malformed, unused },
  });
  for (const { name, run } of cases) test(name, run);
  test.run();
}

/**
 * A real process for the tests of the UDP adapter: `echo LISTEN PEER GROUP` sends every packet back to PEER by
 * multicast; `exit LISTEN PEER GROUP` sends to a peer that is not there, closes, and must then end by itself.
 */
import process from "node:process";
import { type Address, udp } from "../../transports/udp/mod.ts";

const [mode, listen, peer, multicast] = process.argv.slice(2);
const transport = udp({ listen, multicast, silenceMs: 1500 });
await transport.open({
  packet: (bytes) => transport.multicast(bytes),
  drain: () => {},
  reachable: () => {},
});
transport.connect(peer as Address);
if (mode === "exit") {
  for (let index = 0; index < 1000; index++) {
    transport.multicast(new Uint8Array(1000));
    transport.unicast(peer as Address, new Uint8Array(1000));
  }
  await transport.close(500);
}

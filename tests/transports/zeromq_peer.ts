/**
 * A real process for the tests of the ZeroMQ adapter: `echo LISTEN PEER` sends every packet back to PEER by multicast;
 * `exit LISTEN PEER` sends to a peer that is not there, closes, and must then end by itself.
 */
import process from "node:process";
import { type Address, zeromq } from "../../transports/zeromq/mod.ts";

const [mode, listen, peer] = process.argv.slice(2);
const transport = zeromq({ listen, silenceMs: 1500 });
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

/**
 * The UDP adapter: IP multicast for multicast, `udp://a.b.c.d:port` for unicast, on `node:dgram`, for Deno and Node.
 *
 * - One datagram reaches all members on a network that carries multicast. A peer that hears no multicast gets a copy of
 *   its own, as do all when `multicast` is `false`.
 * - A peer counts as reachable only when the paths between the two were proven, multicast included; one that dies,
 *   hangs or restarts is noticed, and reaching for it goes on until `disconnect`.
 * - Datagrams stay below the size that networks split. Larger packets are split here, and arrive whole or not at all.
 * - Datagrams leave at a bounded pace, so that a burst is not lost in a receiver's kernel; what must wait is bounded,
 *   too.
 * - Whoever greets must prove its address first. Anything that is not of this protocol, or not from whom it says, as
 *   far as the source tells, is dropped and counted in `stats()`. There is no authentication: who can read the
 *   network can forge.
 *
 * Sources: RFC 8085 (use of UDP), RFC 2365 (scopes of multicast), RFC 9000 section 8.1 (validation of addresses).
 *
 * @module
 */
import type { Transport } from "../../core/runtime/transport.ts";
import { UdpTransport } from "./adapter.ts";
import { checkOptions, type UdpOptions } from "./options.ts";

export type { UdpOptions } from "./options.ts";
export type {
  SendStatus,
  Transport,
  TransportHandler,
  TransportTraits,
} from "../../core/runtime/transport.ts";
export type { Address } from "../../core/base/ids.ts";

/**
 * Makes a transport over UDP. Nothing is bound before `open`.
 *
 * Only IPv4, and addresses in numbers: no names are looked up. Under Deno it needs the permission for the network.
 * Its `open` throws `AddressInUse` when something listens at the endpoint, `InvalidAddress` when it is nobody's own,
 * and `Unsupported` when the system or the runtime refuses multicast as it is asked for.
 *
 * @param options Where to listen, the multicast group, and limits.
 * @returns A transport to hand to a group.
 * @throws {TuttiError} `InvalidAddress` when an endpoint is malformed, `InvalidArgument` when a limit is out of range
 *
 * @example
 * ```ts
 * import { udp } from "@tutti/tutti/udp";
 *
 * const transport = udp({ listen: "udp://127.0.0.1:5000", multicast: "udp://239.255.1.2:5001" });
 * console.assert(transport.canonical("UDP://localhost:5000/") === "udp://127.0.0.1:5000");
 * ```
 */
export function udp(options: UdpOptions): Transport {
  return new UdpTransport(checkOptions(options));
}

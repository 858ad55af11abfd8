/**
 * The ZeroMQ adapter: PUB/SUB for multicast, ROUTER/DEALER for unicast, over `tcp://` and `ipc://`, for Deno and Node.
 *
 * - A peer counts as reachable only when all four paths between the two were proven, so no first message is lost.
 * - A peer that dies, hangs, or restarts on its address is noticed; reaching for it goes on until `disconnect`.
 * - Queues are bounded (`queuePacketsMax`). Multicast packets beyond the mark are lost at the slow peer, to be repaired
 *   by the group; unicast packets beyond it are refused with `full`.
 * - Anything that is not of this protocol is dropped and counted in `stats()`.
 *
 * Sources: ZMTP 3.1 (RFC 37), the ROUTER/DEALER and PUB/SUB semantics of RFC 28 and RFC 29; section 5 of "The ZeroMQ
 * Guide" for the slow joiner.
 *
 * @module
 */
import type { Transport } from "../../core/runtime/transport.ts";
import { ZeroMqTransport } from "./adapter.ts";
import { checkOptions, type ZeroMqOptions } from "./options.ts";

export type { ZeroMqOptions } from "./options.ts";
export type { ReceiveStrategy } from "./receive.ts";
export type {
  SendStatus,
  Transport,
  TransportHandler,
  TransportTraits,
} from "../../core/runtime/transport.ts";
export type { Address } from "../../core/base/ids.ts";

/**
 * Makes a transport over ZeroMQ. Nothing is loaded or bound before `open`.
 *
 * The package `zeromq` is loaded by `open`; under Deno it needs the permissions for FFI, reading, the environment and
 * system information. Bun cannot load it: `open` throws `Unsupported` there. The PUB socket takes a free port of its
 * own unless `publish` is set, so a firewall must let both through.
 *
 * @param options Where to listen, and limits.
 * @returns A transport to hand to a group.
 * @throws {TuttiError} `InvalidAddress` when an endpoint is malformed, `InvalidArgument` when a limit is out of range
 *
 * @example
 * ```ts
 * import { zeromq } from "@tutti/tutti/zeromq";
 *
 * const transport = zeromq({ listen: "tcp://127.0.0.1:8001" });
 * console.assert(transport.canonical("TCP://localhost:8001/") === "tcp://127.0.0.1:8001");
 * ```
 */
export function zeromq(options: ZeroMqOptions): Transport {
  return new ZeroMqTransport(checkOptions(options));
}

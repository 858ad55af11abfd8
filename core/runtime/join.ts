/** Joining: from options to a running group. */
import { invariant, TuttiError } from "../base/errors.ts";
import type { MemberName } from "../base/ids.ts";
import { completeLimits, completeTiming, type GroupConfig } from "../group/config.ts";
import { GroupMachine } from "../group/machine.ts";
import { orderAddresses } from "../membership/view.ts";
import { FORMER_LIVES_MAX } from "../group/roster.ts";
import { HOLDING_BYTES } from "../wire/control.ts";
import { DEPENDENCY_BYTES } from "../wire/limits.ts";
import { newIncarnation, realEnvironment } from "./environment.ts";
import { Group } from "./group.ts";
import { checkJoinOptions, type JoinOptions } from "./options.ts";
import type { TransportHandler } from "./transport.ts";

/** Lives of one member that a heartbeat, or the causes of a message, may name. */
const LIVES_MAX = FORMER_LIVES_MAX + 1;

/**
 * Joins a group.
 *
 * Binds the transport and starts to reach for the other members; it does not wait for them: {@link Group.ready} does.
 *
 * @returns The group, to send to and to iterate.
 * @throws {TuttiError} `InvalidArgument`, `InvalidAddress`, `AddressInUse`, `Unsupported`
 * @example
 * ```ts
 * import { join } from "@tutti/tutti";
 * import { memory } from "@tutti/tutti/memory";
 *
 * await using group = await join({ group: "demo", name: "P1", transport: memory("P1"), peers: [] });
 * await group.send({ greeting: "hello" });
 * for await (const event of group) {
 *   if (event.type !== "message") continue;
 *   console.log(event.sender, event.value);
 *   break;
 * }
 * ```
 */
export async function join(options: JoinOptions): Promise<Group> {
  checkJoinOptions(options);
  const limits = completeLimits(options.limits);
  const timing = completeTiming(options.timing);
  const { transport } = options;
  const peers = options.peers.map((peer) => transport.canonical(peer));
  if (options.order !== undefined && options.order !== "fifo" && options.order !== "causal") {
    throw new TuttiError(
      "InvalidArgument",
      `Cannot join: the order is ${String(options.order)}; use fifo or causal`,
    );
  }
  const environment = realEnvironment();
  // The adapter needs its handler before it knows its address, the machine its address before it exists.
  let driver: TransportHandler | undefined;
  const address = await transport.open({
    packet: (bytes) => driver?.packet(bytes),
    drain: () => driver?.drain(),
    reachable: (peer, up) => driver?.reachable(peer, up),
  });
  try {
    const members = orderAddresses([address, ...peers]);
    const { packetBytesMax } = transport.traits;
    const overheadBytes = GroupMachine.OVERHEAD_BYTES +
      LIVES_MAX * members.length * Math.max(DEPENDENCY_BYTES, HOLDING_BYTES);
    const roomBytes = packetBytesMax - overheadBytes;
    if (roomBytes < 1) {
      const text =
        `Cannot join: packets of ${packetBytesMax} bytes are too small for ${members.length} members; ` +
        `use a transport with packets of more than ${overheadBytes}`;
      throw new TuttiError("InvalidArgument", text);
    }
    const config: GroupConfig = {
      group: options.group,
      name: options.name as MemberName,
      address,
      incarnation: newIncarnation(),
      members,
      order: options.order ?? "fifo",
      limits: { ...limits, messageBytesMax: Math.min(limits.messageBytesMax, roomBytes) },
      timing,
      packetBytesMax,
      seed: newIncarnation(),
    };
    const group = new Group(config, options, environment, (handler) => driver = handler);
    invariant(driver !== undefined, "the driver was not connected");
    return group;
  } catch (error) {
    await transport.close(0);
    throw error;
  }
}

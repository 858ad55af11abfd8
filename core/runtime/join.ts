/** Joining: from options to a running group. */
import { invariant, TuttiError } from "../base/errors.ts";
import type { MemberName } from "../base/ids.ts";
import { completeLimits, completeTiming, type GroupConfig } from "../group/config.ts";
import { helloPacketBytes, viewPacketBytes } from "../group/packet_room.ts";
import { OVERHEAD_BYTES } from "../group/sending.ts";
import { heartbeatBytesMax } from "../wire/heartbeat.ts";
import { DEPENDENCY_BYTES } from "../wire/limits.ts";
import { newIncarnation, realEnvironment } from "./environment.ts";
import { Group } from "./group.ts";
import { HeldStore } from "./held_store.ts";
import { checkJoinOptions, type JoinOptions } from "./options.ts";
import { prepareReplicas, replicasLabel } from "./replica_options.ts";
import type { TransportHandler } from "./transport.ts";

/** Members for which a packet must have room in any case. */
const MEMBERS_LEAST = 8;

/**
 * Joins a group.
 *
 * Binds the transport and starts to look for the group among the peers. If there is none, the peers found one, once all that are
 * expected are there. It does not wait for that: {@link Group.ready} does.
 *
 * @returns The group, to send to and to iterate.
 * @throws {TuttiError} `InvalidArgument`, `InvalidAddress`, `AddressInUse`, `Unsupported`; `StoreFailed`, `StoreInUse`
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
  const order = oneOf("order", options.order ?? "fifo", ["fifo", "causal", "total"]);
  const engine = oneOf("engine", options.engine ?? "sequencer", ["sequencer", "lamport"]);
  const level = oneOf("level", options.level ?? "safe", ["agreed", "safe", "durable"]);
  const election = oneOf("election", options.election ?? "senior", ["senior", "bully", "ring"]);
  if (order !== "total" && (options.engine !== undefined || options.level !== undefined)) {
    const text = `Cannot join: engine and level are for the order total, and the order is ${order}`;
    throw new TuttiError("InvalidArgument", text);
  }
  if (level === "durable" && options.store === undefined) {
    throw new TuttiError("InvalidArgument", "Cannot join: the level durable needs the option store");
  }
  const replicas = prepareReplicas(options, order, limits);
  const environment = realEnvironment();
  // The adapter needs its handler before it knows its address, the machine its address before it exists.
  let driver: TransportHandler | undefined;
  const address = await transport.open({
    packet: (bytes, more) => driver?.packet(bytes, more),
    drain: () => driver?.drain(),
    reachable: (peer, up) => driver?.reachable(peer, up),
    stranger: (peer) => driver?.stranger?.(peer),
  });
  let store: HeldStore | undefined;
  try {
    store = options.store === undefined ? undefined : new HeldStore(options.store);
    const stored = await store?.load();
    const seeds = [...new Set(peers)].filter((peer) => peer !== address);
    const { packetBytesMax, packetBytesBest = packetBytesMax } = transport.traits;
    const memberCount = Math.max(MEMBERS_LEAST, seeds.length + 1);
    const overheadBytes = OVERHEAD_BYTES +
      Math.max(DEPENDENCY_BYTES * memberCount, heartbeatBytesMax(memberCount));
    if (packetBytesMax <= overheadBytes) {
      const text =
        `Cannot join: packets of ${packetBytesMax} bytes are too small for ${memberCount} members; ` +
        `use a transport with packets of more than ${overheadBytes}`;
      throw new TuttiError("InvalidArgument", text);
    }
    const config: GroupConfig = {
      group: options.group,
      name: options.name as MemberName,
      address,
      incarnation: newIncarnation(),
      seeds,
      expect: options.expect ?? seeds.length + 1,
      election,
      order,
      engine,
      level,
      limits: { ...limits, bundleBytes: Math.min(limits.bundleBytes, packetBytesBest) },
      ...(options.compression === undefined ? {} : { compression: options.compression }),
      ...(replicas === undefined ? {} : { replicas: replicasLabel(replicas.set) }),
      timing,
      packetBytesMax,
      seed: newIncarnation(),
    };
    const assumed = [address, ...seeds].map((other) => ({ address: other, name: config.name }));
    const neededBytes = Math.max(
      viewPacketBytes(assumed),
      helloPacketBytes(config, config.expect === 0 ? [] : [address, ...seeds]),
    );
    if (packetBytesMax < neededBytes) {
      const text =
        `Cannot join: packets of ${packetBytesMax} bytes are too small for ${assumed.length} members with ` +
        `such names and addresses; use a transport with packets of at least ${neededBytes}`;
      throw new TuttiError("InvalidArgument", text);
    }
    const connect = (handler: TransportHandler): void => void (driver = handler);
    const group = new Group(config, options, environment, store, stored, replicas, connect);
    invariant(driver !== undefined, "the driver was not connected");
    return group;
  } catch (error) {
    await transport.close(0);
    await store?.close().catch(() => {}); // what went wrong first says more
    throw error;
  }
}

function oneOf<T extends string>(what: string, value: T, names: readonly T[]): T {
  if (names.includes(value)) return value;
  const last = names.at(-1);
  const list = `${names.slice(0, -1).join(", ")} or ${last}`;
  throw new TuttiError("InvalidArgument", `Cannot join: the ${what} is ${String(value)}; use ${list}`);
}

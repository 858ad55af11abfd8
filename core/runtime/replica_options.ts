/** From the options of `join` to the replicated objects of a member. */
import { TuttiError } from "../base/errors.ts";
import { hash32 } from "../base/ids.ts";
import type { Limits } from "../group/config.ts";
import { ReplicaSet } from "../replication/replica_set.ts";
import { completeSessionLimits } from "../replication/sessions.ts";
import { PARTS_BYTES } from "../replication/snapshot.ts";
import type { OrderName } from "../wire/control.ts";
import type { JoinOptions } from "./options.ts";
import { attachmentsOf } from "./replica.ts";
import type { Replicas } from "./replication.ts";

/** Longest text by which members compare their objects; of a longer one they compare a number. */
const LABEL_LENGTH_MAX = 400;

/**
 * Makes the objects that `join` was given into one state machine.
 *
 * @throws {TuttiError} `InvalidArgument`
 */
export function prepareReplicas(
  options: JoinOptions,
  order: OrderName,
  limits: Limits,
): Replicas | undefined {
  if (options.replicas === undefined) {
    if (options.sessions === undefined) return undefined;
    throw new TuttiError("InvalidArgument", "Cannot join: sessions are for replicas, and there are none");
  }
  if (order !== "total") {
    throw new TuttiError("InvalidArgument", `Cannot join: replicas need the order total, and it is ${order}`);
  }
  const attachments = attachmentsOf(options.replicas);
  const machines = Object.fromEntries([...attachments].map(([name, { machine }]) => [name, machine]));
  const set = new ReplicaSet(machines, completeSessionLimits(options.sessions));
  const bytes = set.snapshotBytesMax + PARTS_BYTES;
  if (bytes > limits.snapshotBytesMax) {
    throw new TuttiError(
      "InvalidArgument",
      `Cannot join: the state of the replicas may have ${bytes} bytes, and snapshots only ${limits.snapshotBytesMax} ` +
        "(limits.snapshotBytesMax); raise that, or lower the limits of the replicas",
    );
  }
  return { set, attachments };
}

/** What members compare to be sure that they have the same objects. */
export function replicasLabel({ signature }: ReplicaSet): string {
  if (signature.length <= LABEL_LENGTH_MAX) return signature;
  return `${hash32(signature).toString(16)} (${signature.slice(0, 40)}...)`;
}

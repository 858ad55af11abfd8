/** A snapshot of a member: its replicated objects, and what its application gave. */
import { TuttiError } from "../base/errors.ts";
import { LayoutReader, LayoutWriter } from "./layout.ts";
import type { Capture } from "./machine.ts";

/** What a snapshot has. */
export interface Parts {
  /** The replicated objects. */
  readonly replicas: Uint8Array;
  /** What the application gave; `undefined` when it keeps no state of its own. */
  readonly application: Uint8Array | undefined;
}

/** Bytes that the parts of a snapshot need beside them. */
export const PARTS_BYTES = 9;

/**
 * Puts a snapshot together, a part of the work at each step.
 *
 * @throws {TuttiError} `TooLarge`
 */
export function* joinParts(
  replicas: Capture,
  application: Uint8Array | undefined,
  bytesMax: number,
): Generator<void, Uint8Array> {
  const total = PARTS_BYTES + replicas.bytes + (application?.length ?? 0);
  if (total > bytesMax) {
    throw new TuttiError(
      "TooLarge",
      `Cannot take the snapshot: it is ${total} bytes; the limit is ${bytesMax} (limits.snapshotBytesMax)`,
    );
  }
  const bytes = new Uint8Array(total);
  bytes.set(new LayoutWriter(PARTS_BYTES).u8(application === undefined ? 0 : 1).u64(replicas.bytes).take());
  let offset = PARTS_BYTES;
  for (const chunk of replicas.chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
    yield;
  }
  if (application !== undefined) bytes.set(application, offset);
  return bytes;
}

/**
 * Takes a snapshot apart; the parts are views of it.
 *
 * @throws {TuttiError} `InvalidArgument`
 */
export function splitParts(snapshot: Uint8Array): Parts {
  const reader = new LayoutReader(snapshot);
  const flag = reader.u8();
  const replicas = reader.raw(reader.u64());
  const application = flag === 1 ? reader.rest() : undefined;
  if (reader.done && flag <= 1) return { replicas, application };
  throw new TuttiError("InvalidArgument", "Cannot restore: the snapshot is damaged, or has no replicas");
}

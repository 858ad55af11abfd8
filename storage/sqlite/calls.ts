/** What is said between a store and the thread it runs in. Calls are answered in the order in which they come. */
import { TuttiError, type TuttiErrorCode } from "../../core/base/errors.ts";
import type { Stored, StoreWrite } from "../../core/runtime/store.ts";

/** What the thread is asked to do. */
export type Call =
  | { readonly kind: "load" }
  | { readonly kind: "write"; readonly write: StoreWrite }
  | { readonly kind: "close" };

/** What it says: first that it is there, and then an answer to each call. */
export type Answer =
  | { readonly kind: "ready" }
  | { readonly kind: "done"; readonly stored?: Stored | undefined }
  | { readonly kind: "failed"; readonly error: CarriedError };

/** An error on its way: what a copy of an Error loses is its class and code. */
export interface CarriedError {
  readonly code: TuttiErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly cause: string | undefined;
}

/** Packs an error. */
export function packError(error: TuttiError): CarriedError {
  const { code, message, retryable, cause } = error;
  return { code, message, retryable, cause: cause instanceof Error ? cause.message : cause?.toString() };
}

/** Makes an error of a packed one. */
export function unpackError({ code, message, retryable, cause }: CarriedError): TuttiError {
  return new TuttiError(code, message, {
    retryable,
    cause: cause === undefined ? undefined : new Error(cause),
  });
}

/** A copy of a write, to be kept or transferred: its bytes belong to the caller. */
export function copyWrite({ record, log, snapshot }: StoreWrite): StoreWrite {
  return {
    ...(record === undefined ? {} : { record: copy(record) }),
    ...(log === undefined
      ? {}
      : { log: log.map(({ first, last, bytes }) => ({ first, last, bytes: copy(bytes) })) }),
    ...(snapshot === undefined
      ? {}
      : { snapshot: { through: snapshot.through, bytes: copy(snapshot.bytes) } }),
  };
}

function copy(bytes: Uint8Array): Uint8Array {
  if (bytes instanceof Uint8Array) return new Uint8Array(bytes);
  throw new TuttiError("InvalidArgument", "Cannot write to the store: bytes are no Uint8Array");
}

/** The memory behind all bytes of a write or of what was stored, to be handed over instead of copied. */
export function buffersOf({ record, log, snapshot }: Partial<Stored & StoreWrite>): ArrayBuffer[] {
  const all = [record, snapshot?.bytes, ...(log ?? []).map(({ bytes }) => bytes)];
  // What does not fill its memory may share it with something else.
  return all.filter((bytes) => bytes !== undefined)
    .filter((bytes) => bytes.byteLength === bytes.buffer.byteLength)
    .map(({ buffer }) => buffer as ArrayBuffer);
}

/** What became of a command: the same at every member, and the same again for a command that was repeated. */
import { copyBytes } from "../base/bytes.ts";
import type { TuttiErrorCode } from "../base/errors.ts";
import { Encoding } from "../wire/message.ts";
import type { EncodedValue } from "../wire/value.ts";
import type { LayoutReader, LayoutWriter } from "./layout.ts";

/** What became of it, in one byte. */
export const OutcomeCode = {
  /** It was applied; the bytes are its result. */
  done: 0,
  /** Applying it failed; the bytes say why. */
  failed: 1,
  /** It was applied or refused as a whole by an object that knows it cannot be. */
  invalid: 2,
  /** The object, or the result, would be too large. */
  tooLarge: 3,
  /** What it is about is not there any more. */
  overrun: 4,
  /** Its session is not known. Not applied. */
  expired: 5,
  /** Its client said that it does not await it any more. Not applied. */
  stale: 6,
  /** Its session has too much outstanding. Not applied now; it may be when it comes again. */
  busy: 7,
  /** The member that was asked cannot serve now: another one may. */
  away: 8,
  /** The member that was asked wants to see that its answers arrive: ask again, with the token that it gives. */
  prove: 9,
} as const;

/** One of the codes. */
export type OutcomeCode = (typeof OutcomeCode)[keyof typeof OutcomeCode];

const ERROR_CODES: readonly TuttiErrorCode[] = [
  "Invariant", // done: no error
  "CommandFailed",
  "InvalidArgument",
  "TooLarge",
  "Overrun",
  "SessionExpired",
  "SessionExpired",
  "WindowFull",
  "NotPrimary",
  "NotPrimary",
];

/** Longest text of a failure, in UTF-16 code units. */
const TEXT_LENGTH_MAX = 1000;
/** Longest text of a failure, in bytes. */
export const TEXT_BYTES_MAX: number = 3 * TEXT_LENGTH_MAX;

const utf8 = { encoder: new TextEncoder(), decoder: new TextDecoder() };

/** What became of a command, or the answer to a question. */
export interface Outcome extends EncodedValue {
  /** What became of it. */
  readonly code: OutcomeCode;
}

/** It was done. */
export function done({ encoding, bytes }: EncodedValue): Outcome {
  return { code: OutcomeCode.done, encoding, bytes };
}

/** It was not, or not as wanted. @param text For people; cut when it is long. */
export function refusal(code: OutcomeCode, text: string): Outcome {
  const cut = text.slice(0, TEXT_LENGTH_MAX).toWellFormed();
  return { code, encoding: Encoding.bytes, bytes: utf8.encoder.encode(cut) };
}

/** The code of the error that an outcome is for its caller. */
export function errorCode({ code }: Outcome): TuttiErrorCode {
  return ERROR_CODES[code];
}

/** Why it was not done. */
export function textOf({ bytes }: Outcome): string {
  return utf8.decoder.decode(bytes);
}

/** Writes an outcome into a snapshot. */
export function writeOutcome(writer: LayoutWriter, { code, encoding, bytes }: Outcome): void {
  writer.u8(code).u8(encoding).bytes(bytes);
}

/** Reads an outcome. @returns `undefined` for one that no honest member can have written. */
export function readOutcome(reader: LayoutReader, bytesMax: number): Outcome | undefined {
  const code = reader.u8();
  const encoding = reader.u8();
  const bytes = copyBytes(reader.bytes(Math.max(bytesMax, TEXT_BYTES_MAX)));
  if (!reader.sound || code >= ERROR_CODES.length || encoding > Encoding.bytes) return undefined;
  return { code: code as OutcomeCode, encoding: encoding as Encoding, bytes };
}

/**
 * Commands to replicated objects, as the payload of a message: a kind of payload of its own, so that nothing an application
 * sends can ever be taken for one (W21).
 *
 * Layout, all numbers big-endian:
 *
 *     0  u8   kind: 1 open a session, 2 execute, 3 barrier
 *     1  u8   how the operation is encoded
 *     2  u16  bytes of the object's name
 *     4  u64  client: a random number
 *    12  u64  session: position at which it was opened; 0 if the kind is not execute
 *    20  u64  sequence of the command in its client, or number of the barrier
 *    28  u64  lowest sequence whose result the client still awaits
 *    36       the object's name, then the operation
 *
 * Source: RIFL (Lee et al., SOSP 2015), sections 3 and 4: identities of commands, and what a client still awaits.
 */
import { isName, NAME_BYTES_MAX } from "../base/ids.ts";
import { checkCbor } from "./cbor_check.ts";
import { Encoding, writeU64 } from "./message.ts";
import { decodeText, encodeText } from "./text.ts";

/** What a command is for. */
export const CommandKind = {
  /** Opens the session of a client, or finds the one that is open. */
  open: 1,
  /** Does something to a replicated object. */
  execute: 2,
  /** Does nothing: who sent it knows that everything before it was applied. */
  barrier: 3,
} as const;

/** One of the kinds. */
export type CommandKind = (typeof CommandKind)[keyof typeof CommandKind];

/** Bytes before the name. */
export const COMMAND_HEADER_BYTES = 36;
/** Most bytes of a command beyond its operation. */
export const COMMAND_OVERHEAD_BYTES: number = COMMAND_HEADER_BYTES + NAME_BYTES_MAX;

const NOTHING = new Uint8Array(0);

/** One command. */
export class Command {
  /** What it is for. */
  readonly kind: CommandKind;
  /** Who sent it: a positive random number. */
  readonly client: number;
  /** Position at which its session was opened. */
  readonly session: number;
  /** Its number in its client. */
  readonly sequence: number;
  /** Results of lower numbers are awaited no more. */
  readonly lowest: number;
  /** The object that it is for; `""` for none. */
  readonly name: string;
  /** How the operation is encoded. */
  readonly encoding: number;
  /** The operation; of a command that arrived, a view into its packet. */
  readonly operation: Uint8Array;

  constructor(
    kind: CommandKind,
    client: number,
    session: number,
    sequence: number,
    lowest: number,
    name: string,
    encoding: number,
    operation: Uint8Array,
  ) {
    this.kind = kind;
    this.client = client;
    this.session = session;
    this.sequence = sequence;
    this.lowest = lowest;
    this.name = name;
    this.encoding = encoding;
    this.operation = operation;
  }

  /** Opens a session. */
  static open(client: number): Command {
    return new Command(CommandKind.open, client, 0, 0, 0, "", Encoding.bytes, NOTHING);
  }

  /** Does nothing. */
  static barrier(client: number, number: number): Command {
    return new Command(CommandKind.barrier, client, 0, number, 0, "", Encoding.bytes, NOTHING);
  }
}

/** Encodes a command. */
export function encodeCommand(command: Command): Uint8Array {
  const name = encodeText(command.name);
  const bytes = new Uint8Array(COMMAND_HEADER_BYTES + name.length + command.operation.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = command.kind;
  bytes[1] = command.encoding;
  view.setUint16(2, name.length);
  writeU64(view, 4, command.client);
  writeU64(view, 12, command.session);
  writeU64(view, 20, command.sequence);
  writeU64(view, 28, command.lowest);
  bytes.set(name, COMMAND_HEADER_BYTES);
  bytes.set(command.operation, COMMAND_HEADER_BYTES + name.length);
  return bytes;
}

/**
 * Reads a command that came from a peer; never throws.
 *
 * @returns `undefined` for bytes that no honest member can have sent.
 */
export function readCommand(packet: Uint8Array, start: number, end: number): Command | undefined {
  if (end - start < COMMAND_HEADER_BYTES) return undefined;
  const kind = packet[start];
  const encoding = packet[start + 1];
  const nameStart = start + COMMAND_HEADER_BYTES;
  const nameEnd = nameStart + packet[start + 2] * 256 + packet[start + 3];
  const client = readNumber(packet, start + 4);
  const session = readNumber(packet, start + 12);
  const sequence = readNumber(packet, start + 20);
  const lowest = readNumber(packet, start + 28);
  if (client <= 0 || session < 0 || sequence < 0 || lowest < 0) return undefined;
  if (nameEnd > end || (encoding !== Encoding.cbor && encoding !== Encoding.bytes)) return undefined;
  const name = decodeText(packet, nameStart, nameEnd);
  const operation = packet.subarray(nameEnd, end);
  if (kind === CommandKind.execute) {
    if (!isName(name, NAME_BYTES_MAX) || session === 0 || lowest === 0 || lowest > sequence) return undefined;
    if (encoding === Encoding.cbor && checkCbor(packet, nameEnd, end) !== "") return undefined;
  } else {
    const known = kind === CommandKind.open ? sequence === 0 : kind === CommandKind.barrier;
    const plain = session === 0 && lowest === 0 && name === "" && operation.length === 0;
    if (!known || !plain || encoding !== Encoding.bytes) return undefined;
  }
  return new Command(kind as CommandKind, client, session, sequence, lowest, name, encoding, operation);
}

/** @returns -1 when it is no safe whole number. */
function readNumber(bytes: Uint8Array, offset: number): number {
  const high = readHalf(bytes, offset);
  return high > 0x1f_ffff ? -1 : high * 0x1_0000_0000 + readHalf(bytes, offset + 4);
}

function readHalf(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] << 24) | (bytes[offset + 1] << 16) | (bytes[offset + 2] << 8) |
    bytes[offset + 3]) >>> 0;
}

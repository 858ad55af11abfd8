/**
 * Requests of clients, that is processes outside of the group, and the replies to them: REQUEST and REPLY. Like everything
 * that is said outside of a view each names its sender's address.
 *
 * The body is a CBOR map, whose length is the message's `count`, and then the operation, question, result or answer.
 * Everything parsed here comes from outside: whatever is not exactly as it must be gives `undefined`, never an error.
 */
import { type Address, GROUP_BYTES_MAX, isName, NAME_BYTES_MAX } from "../base/ids.ts";
import { checkCbor } from "./cbor_check.ts";
import { encodeControl, isAddress, isCount, parseControlBytes } from "./control.ts";
import { Encoding } from "./message.ts";
import type { PacketReader } from "./packet_reader.ts";
import type { EncodedValue } from "./value.ts";

/** What a client wants; the flags of a REQUEST. */
export const RequestKind = {
  /** To open its session, or to find the one that is open. */
  open: 1,
  /** To do something to a replicated object. */
  execute: 2,
  /** To be told something, as it is when the request has arrived. */
  query: 3,
  /** To be told something as soon as there is something to tell. */
  poll: 4,
} as const;

/** One of the kinds. */
export type RequestKind = (typeof RequestKind)[keyof typeof RequestKind];

/** Most members of which a reply tells. */
export const REPLY_MEMBERS_MAX = 64;
/** Most bytes of the map of a request or of a reply. */
export const EXCHANGE_HEAD_BYTES_MAX: number = 32 * 1024;
/** Fewest bytes of a request whose sender has not proved its address: no answer to that is larger (H57). */
export const UNPROVED_BYTES_MIN = 1024;

/** What a client wants of a member. */
export interface Request extends EncodedValue {
  /** What it wants. */
  readonly kind: RequestKind;
  /** The client: a random number. */
  readonly client: number;
  /** Number of the call in its client: the same when it is repeated. */
  readonly call: number;
  /** Its address. */
  readonly from: Address;
  /** Name of the group that it wants. */
  readonly group: string;
  /** What the member gave it, to show that answers arrive; 0 for nothing. */
  readonly token: number;
  /** Number of the view whose members it knows; 0 for none. */
  readonly view: number;
  /** How long it waits for this reply, in milliseconds. */
  readonly waitMs: number;
  /** Its session; 0 if that is not needed. */
  readonly session: number;
  /** Number of the command in the client; 0 for what is no command. */
  readonly sequence: number;
  /** Lowest number whose result it still awaits; 0 for what is no command. */
  readonly lowest: number;
  /** The replicated object; `""` for none. */
  readonly name: string;
}

/** What a member says to a client. */
export interface Reply extends EncodedValue {
  /** What became of it; see `OutcomeCode`. */
  readonly code: number;
  /** The client. */
  readonly client: number;
  /** Number of the call. */
  readonly call: number;
  /** Address of the member. */
  readonly from: Address;
  /** What the client is to show from now on; 0 for what it has shown. */
  readonly token: number;
  /** Position of the last command that was applied there. */
  readonly position: number;
  /** Who leads; `undefined` when the member is in no view. */
  readonly leader: Address | undefined;
  /** Number of the view; 0 when the member is in none. */
  readonly view: number;
  /** Addresses of members of the view, if the client knows another one. */
  readonly members: readonly Address[];
}

/** The body of a message, and how much of it is the map. */
export interface ExchangeBody {
  /** Bytes of the map. */
  readonly count: number;
  /** Map and rest. */
  readonly body: Uint8Array;
}

/** Encodes a request. A client that has no token pads it. */
export function encodeRequest(request: Request): ExchangeBody {
  const { kind: _kind, client: _client, call: _call, bytes, ...map } = request;
  const head = encodeControl({ ...map, pad: "" });
  const missing = request.token === 0 ? UNPROVED_BYTES_MIN - head.length - bytes.length : 0;
  if (missing <= 0) return join(head, bytes);
  return join(encodeControl({ ...map, pad: " ".repeat(missing) }), bytes);
}

/** Encodes a reply. */
export function encodeReply(reply: Reply): ExchangeBody {
  const { code: _code, client: _client, call: _call, bytes, leader, ...map } = reply;
  return join(encodeControl({ ...map, leader: leader ?? null }), bytes);
}

function join(head: Uint8Array, rest: Uint8Array): ExchangeBody {
  const body = new Uint8Array(head.length + rest.length);
  body.set(head);
  body.set(rest, head.length);
  return { count: head.length, body };
}

/** Reads the request under a reader's cursor. */
export function readRequest(reader: PacketReader): Request | undefined {
  const map = readHead(reader);
  const rest = readRest(reader, map?.encoding);
  if (map === undefined || rest === undefined || reader.a === 0 || reader.b === 0) return undefined;
  const { from, group, token, view, waitMs, session, sequence, lowest, name } = map;
  const kind = reader.flags as RequestKind;
  if (kind < RequestKind.open || kind > RequestKind.poll) return undefined;
  if (!isAddress(from) || !isName(group, GROUP_BYTES_MAX) || !isCount(token) || !isCount(view)) {
    return undefined;
  }
  if (!isCount(waitMs) || !isCount(session) || !isCount(sequence) || !isCount(lowest)) return undefined;
  const command = kind === RequestKind.execute;
  if (command !== (sequence > 0) || command !== (session > 0) || command !== (lowest > 0)) return undefined;
  if (lowest > sequence) return undefined;
  if (kind === RequestKind.open ? name !== "" : !isName(name, NAME_BYTES_MAX)) return undefined;
  const common = { kind, client: reader.a, call: reader.b, from, group, token, view, waitMs };
  return { ...common, session, sequence, lowest, name: name as string, ...rest };
}

/** Reads the reply under a reader's cursor. */
export function readReply(reader: PacketReader): Reply | undefined {
  const map = readHead(reader);
  const rest = readRest(reader, map?.encoding);
  if (map === undefined || rest === undefined) return undefined;
  const { from, token, position, leader, view, members } = map;
  if (!isAddress(from) || !isCount(token) || !isCount(position) || !isCount(view)) return undefined;
  if (leader !== null && !isAddress(leader)) return undefined;
  if (!Array.isArray(members) || members.length > REPLY_MEMBERS_MAX || !members.every(isAddress)) {
    return undefined;
  }
  const common = {
    code: reader.flags,
    client: reader.a,
    call: reader.b,
    from,
    token,
    position,
    view,
    members,
  };
  return { ...common, leader: leader ?? undefined, ...rest };
}

function readHead({ count, bytes, bodyStart, bodyEnd }: PacketReader): ReturnType<typeof parseControlBytes> {
  if (count > EXCHANGE_HEAD_BYTES_MAX || bodyStart + count > bodyEnd) return undefined;
  return parseControlBytes(bytes.subarray(bodyStart, bodyStart + count));
}

function readRest(
  { bytes, count, bodyStart, bodyEnd }: PacketReader,
  encoding: unknown,
): EncodedValue | undefined {
  if (encoding === Encoding.bytes) return { encoding, bytes: bytes.subarray(bodyStart + count, bodyEnd) };
  if (encoding !== Encoding.cbor || checkCbor(bytes, bodyStart + count, bodyEnd) !== "") return undefined;
  return { encoding, bytes: bytes.subarray(bodyStart + count, bodyEnd) };
}

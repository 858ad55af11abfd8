/**
 * The adapter's own small frames. They begin with "TZ", a third byte and a version; a group's packets begin with "TU".
 *
 * Decoding never throws: a frame that is cut, too long or of an unknown kind or version is `undefined` (H33 to H36, H49).
 */
import { ADDRESS_BYTES_MAX } from "../../core/base/ids.ts";

/** Identity of one process life of an adapter: random, 64 bits; 0 means "not known yet". */
export type Boot = bigint;

/** A frame of the adapter. */
export type Frame =
  /** Unicast, repeated: who I am, where I publish, which life of yours I know, and which nonce I wait for. */
  | {
    readonly kind: "hello";
    readonly boot: Boot;
    /** The life of the receiver that the sender knows. */
    readonly echo: Boot;
    /** What the sender waits to see in a multicast probe; 0 once it has. */
    readonly nonce: number;
    /** TCP port of the PUB socket; 0 when `publish` says where it is. */
    readonly publishPort: number;
    readonly address: string;
    readonly publish: string;
  }
  /** Multicast: proves the multicast path to all who wait for one of the nonces. */
  | { readonly kind: "probe"; readonly boot: Boot; readonly nonces: readonly number[] }
  /** Unicast and multicast: nothing follows on this path; `final` when the whole adapter closes. */
  | { readonly kind: "bye"; readonly boot: Boot; readonly final: boolean }
  /** Unicast: everything up to the bye was received. */
  | { readonly kind: "ack"; readonly boot: Boot; readonly echo: Boot };

/** Most nonces of one probe. */
export const NONCES_MAX = 256;

const MAGIC = 0x545af701;
const HEADER_BYTES = 13;
const KINDS = ["hello", "probe", "bye", "ack"] as const;
const utf8 = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true });

/** Whether bytes are, or pretend to be, a frame of the adapter. */
export function isFrame(bytes: Uint8Array): boolean {
  return bytes.byteLength >= 4 && bytes[0] === 0x54 && bytes[1] === 0x5a && bytes[2] === 0xf7 &&
    bytes[3] === 1;
}

/** Encodes a frame. */
export function encodeFrame(frame: Frame): Uint8Array {
  const address = frame.kind === "hello" ? utf8.encode(frame.address) : new Uint8Array();
  const publish = frame.kind === "hello" ? utf8.encode(frame.publish) : new Uint8Array();
  const bytes = new Uint8Array(HEADER_BYTES + bodyBytes(frame) + address.length + publish.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint8(4, KINDS.indexOf(frame.kind));
  view.setBigUint64(5, frame.boot);
  switch (frame.kind) {
    case "hello":
      view.setBigUint64(13, frame.echo);
      view.setUint32(21, frame.nonce);
      view.setUint16(25, frame.publishPort);
      view.setUint16(27, address.length);
      view.setUint16(29, publish.length);
      bytes.set(address, 31);
      bytes.set(publish, 31 + address.length);
      break;
    case "probe":
      frame.nonces.forEach((nonce, index) => view.setUint32(HEADER_BYTES + 4 * index, nonce));
      break;
    case "bye":
      view.setUint8(13, frame.final ? 1 : 0);
      break;
    case "ack":
      view.setBigUint64(13, frame.echo);
      break;
  }
  return bytes;
}

function bodyBytes(frame: Frame): number {
  switch (frame.kind) {
    case "hello":
      return 18;
    case "probe":
      return 4 * frame.nonces.length;
    case "bye":
      return 1;
    case "ack":
      return 8;
  }
}

/** Decodes a frame, or says `undefined` when it is none. */
export function decodeFrame(bytes: Uint8Array): Frame | undefined {
  if (!isFrame(bytes) || bytes.byteLength < HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const boot = view.getBigUint64(5);
  const rest = bytes.byteLength - HEADER_BYTES;
  if (boot === 0n) return undefined;
  switch (KINDS[view.getUint8(4)]) {
    case "hello":
      return rest < 18 ? undefined : decodeHello(bytes, view, boot);
    case "probe": {
      if (rest % 4 !== 0 || rest / 4 > NONCES_MAX) return undefined;
      const nonces: number[] = [];
      for (let offset = HEADER_BYTES; offset < bytes.byteLength; offset += 4) {
        nonces.push(view.getUint32(offset));
      }
      return { kind: "probe", boot, nonces };
    }
    case "bye":
      return rest === 1 ? { kind: "bye", boot, final: view.getUint8(13) === 1 } : undefined;
    case "ack":
      return rest === 8 ? { kind: "ack", boot, echo: view.getBigUint64(13) } : undefined;
    default:
      return undefined;
  }
}

function decodeHello(bytes: Uint8Array, view: DataView, boot: Boot): Frame | undefined {
  const addressBytes = view.getUint16(27);
  const publishBytes = view.getUint16(29);
  if (addressBytes > ADDRESS_BYTES_MAX || publishBytes > ADDRESS_BYTES_MAX) return undefined;
  if (bytes.byteLength !== 31 + addressBytes + publishBytes) return undefined;
  try {
    return {
      kind: "hello",
      boot,
      echo: view.getBigUint64(13),
      nonce: view.getUint32(21),
      publishPort: view.getUint16(25),
      address: strict.decode(bytes.subarray(31, 31 + addressBytes)),
      publish: strict.decode(bytes.subarray(31 + addressBytes)),
    };
  } catch {
    return undefined;
  }
}

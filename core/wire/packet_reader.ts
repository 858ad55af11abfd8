/**
 * Reads packets without allocating: one reader is reused for every packet of a group.
 *
 * `open` checks the whole structure before anything of the packet is acted upon, so that a packet cut or altered
 * anywhere is refused as a whole (H33-H36, H49). It never throws.
 */
import {
  DEPENDENCIES_MAX,
  DEPENDENCY_BYTES,
  MESSAGE_HEADER_BYTES,
  PACKET_HEADER_BYTES,
  PACKET_MAGIC,
  PROTOCOL_VERSION,
  RUN_BYTES,
} from "./limits.ts";
import { DATA_FLAGS, DataFlag, FLAG_RELAYED, Kind, readU64 } from "./message.ts";

/** Why a packet was refused; `""` when it is well formed. */
export type PacketFault = "" | "foreign" | "version" | "malformed";

/** A cursor over one packet. */
export class PacketReader {
  /** The packet. */
  bytes: Uint8Array = new Uint8Array(0);
  /** The packet, for numbers. */
  view: DataView = new DataView(new ArrayBuffer(0));
  /** FNV-1a of the group's name. */
  groupKey = 0;
  /** View number; 0 outside of any view. */
  viewNumber = 0;
  /** The low half of the number of the founder's life. */
  lineageKey = 0;
  /** Incarnation of the sender, or of the origin of a relayed packet. */
  incarnation = 0;
  /** Rank of the sender, or of the origin of a relayed packet. */
  rank = 0;
  /** Rank of the member that put the packet on the network. */
  relayRank = 0;
  /** Whether another member than the origin sent it. */
  relayed = false;
  /** Sequence of the first DATA message; 0 when there is none. DATA messages of a packet are consecutive. */
  dataFirst = 0;
  /** Sequence of the last DATA message; 0 when there is none. */
  dataLast = 0;
  /** Messages other than DATA. */
  controls = 0;

  /** Kind of the message under the cursor. */
  kind = 0;
  /** Its flags. */
  flags = 0;
  /** Its count. */
  count = 0;
  /** Its first number. */
  a = 0;
  /** Its second number. */
  b = 0;
  /** Where its body starts in `bytes`. */
  bodyStart = 0;
  /** Of a DATA message: where its dependencies start, behind the number of the sender's run. */
  dependenciesStart = 0;
  /** Of a DATA message: where its payload starts, behind its dependencies. */
  payloadStart = 0;
  /** Where its body ends in `bytes`. */
  bodyEnd = 0;

  /** Reads the header and checks every message; afterwards the cursor stands before the first one. */
  open(bytes: Uint8Array): PacketFault {
    this.dataFirst = 0;
    this.dataLast = 0;
    this.controls = 0;
    if (bytes.length < PACKET_HEADER_BYTES + MESSAGE_HEADER_BYTES) {
      return bytes.length < 4 ? "foreign" : this.#short(bytes);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.bytes = bytes;
    this.view = view;
    if (view.getUint16(0) !== PACKET_MAGIC) return "foreign";
    if (view.getUint8(2) !== PROTOCOL_VERSION) return "version";
    const flags = view.getUint8(3);
    if (flags > FLAG_RELAYED) return "malformed";
    this.relayed = flags === FLAG_RELAYED;
    this.groupKey = view.getUint32(4);
    this.viewNumber = readU64(view, 8);
    this.incarnation = readU64(view, 16);
    this.lineageKey = view.getUint32(28);
    this.rank = view.getUint16(24);
    this.relayRank = view.getUint16(26);
    if (this.viewNumber < 0 || this.incarnation <= 0) return "malformed";
    if (!this.relayed && this.rank !== this.relayRank) return "malformed";

    this.rewind();
    return this.#check(view, bytes.length) ? "" : "malformed";
  }

  /** Puts the cursor before the first message again. */
  rewind(): void {
    this.bodyEnd = PACKET_HEADER_BYTES;
  }

  /** Moves to the next message of an opened packet. */
  next(): boolean {
    const { view } = this;
    const start = this.bodyEnd;
    if (start >= this.bytes.length) return false; // that of a view of another kind is slow to get
    const head = view.getUint32(start);
    this.kind = head >>> 24;
    this.flags = (head >>> 16) & 0xff;
    this.count = head & 0xffff;
    this.a = readU64(view, start + 8);
    this.b = readU64(view, start + 16);
    this.bodyStart = start + MESSAGE_HEADER_BYTES;
    this.bodyEnd = this.bodyStart + view.getUint32(start + 4);
    this.dependenciesStart = dependenciesStart(this.bodyStart, this.flags);
    this.payloadStart = this.dependenciesStart + this.count * DEPENDENCY_BYTES;
    return true;
  }

  /** Where the header of the message under the cursor starts in `bytes`. */
  get start(): number {
    return this.bodyStart - MESSAGE_HEADER_BYTES;
  }

  /** Of a DATA message: in which run of its life the sender sent it. */
  get run(): number {
    return (this.flags & DataFlag.run) === 0 ? 0 : this.view.getUint32(this.bodyStart);
  }

  /** A packet too short to hold a message: still told apart by what can be read of it. */
  #short(bytes: Uint8Array): PacketFault {
    if (((bytes[0] << 8) | bytes[1]) !== PACKET_MAGIC) return "foreign";
    return bytes[2] === PROTOCOL_VERSION ? "malformed" : "version";
  }

  /** Of a DATA message: how its payload is encoded. */
  get encoding(): number {
    return this.flags & DataFlag.encoding;
  }

  /** Of a DATA message: whether the next one goes on with it. */
  get more(): boolean {
    return (this.flags & DataFlag.more) !== 0;
  }

  /** Checks every message, and counts them. */
  #check(view: DataView, length: number): boolean {
    let [first, last, controls] = [0, 0, 0];
    for (let start = PACKET_HEADER_BYTES; start < length;) {
      const bodyStart = start + MESSAGE_HEADER_BYTES;
      if (bodyStart > length) return false;
      const head = view.getUint32(start);
      const bodyEnd = bodyStart + view.getUint32(start + 4);
      const a = readU64(view, start + 8);
      if (bodyEnd > length || a < 0 || readU64(view, start + 16) < 0) return false;
      if (head >>> 24 !== Kind.data) {
        if (this.relayed) return false; // only application messages are ever resent for another
        controls++;
      } else {
        const [flags, count] = [(head >>> 16) & 0xff, head & 0xffff];
        if (flags > DATA_FLAGS || a === 0 || count > DEPENDENCIES_MAX) return false;
        if (dependenciesStart(bodyStart, flags) + count * DEPENDENCY_BYTES > bodyEnd) return false;
        if (first === 0) first = a;
        else if (a !== last + 1) return false;
        last = a;
      }
      start = bodyEnd;
    }
    this.dataFirst = first;
    this.dataLast = last;
    this.controls = controls;
    return true;
  }
}

/** Where the dependencies of a DATA message start, behind the number of the sender's run. */
function dependenciesStart(bodyStart: number, flags: number): number {
  return (flags & DataFlag.run) === 0 ? bodyStart : bodyStart + RUN_BYTES;
}

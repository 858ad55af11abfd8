/** Packets: what is written is read; whatever else comes is refused as a whole, at once and without throwing. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { Random } from "../../../core/base/random.ts";
import { DEPENDENCIES_MAX, DEPENDENCY_BYTES, NUMBER_MAX } from "../../../core/wire/limits.ts";
import { parseControl, parseRanges } from "../../../core/wire/control.ts";
import { parseHeartbeat } from "../../../core/wire/heartbeat.ts";
import { Encoding, Kind, readU64, writeU64 } from "../../../core/wire/message.ts";
import { PacketReader } from "../../../core/wire/packet_reader.ts";
import { type PacketIdentity, PacketWriter } from "../../../core/wire/packet_writer.ts";
import { bounded } from "./bounded.ts";

const test = suite("wire/packet");

const IDENTITY: PacketIdentity = {
  groupKey: 0xdeadbeef,
  viewNumber: 1,
  lineage: 7,
  incarnation: 77,
  rank: 3,
};
const HEADER = 32;
const MESSAGE = 24;
/** Two slabs and a bit: no packet of this size fits into one. */
const BEYOND_SLAB = 1_100_000;

interface Written {
  readonly kind: Kind;
  readonly flags: number;
  readonly count: number;
  readonly a: number;
  readonly b: number;
  readonly body: Uint8Array;
}

function put(writer: PacketWriter, { kind, flags, count, a, b, body }: Written): void {
  const offset = writer.begin(kind, flags, count, body.length, a, b);
  writer.bytes.set(body, offset);
}

function pack(messages: readonly Written[], identity: PacketIdentity = IDENTITY): Uint8Array {
  const writer = new PacketWriter(identity, 65_536);
  for (const message of messages) put(writer, message);
  return writer.take();
}

function data(sequence: number, body: Uint8Array = new Uint8Array(0)): Written {
  return { kind: Kind.data, flags: Encoding.bytes, count: 0, a: sequence, b: sequence, body };
}

function control(kind: Kind, a = 1, b = 1, body: Uint8Array = new Uint8Array(0)): Written {
  return { kind, flags: 0, count: 0, a, b, body };
}

function readAll(reader: PacketReader): Written[] {
  const messages: Written[] = [];
  while (reader.next()) {
    const { kind, flags, count, a, b } = reader;
    const body = reader.bytes.slice(reader.bodyStart, reader.bodyEnd);
    messages.push({ kind: kind as Kind, flags, count, a, b, body });
  }
  return messages;
}

function faultOf(packet: Uint8Array): string {
  return new PacketReader().open(packet);
}

/** The fault of a packet changed in one place. */
function altered(change: (view: DataView) => void, packet: Uint8Array = pack([data(1)])): string {
  const copy = packet.slice();
  change(new DataView(copy.buffer));
  return faultOf(copy);
}

const number = fc.oneof(fc.nat(), fc.maxSafeNat(), fc.constantFrom(0, 1, NUMBER_MAX - 1, NUMBER_MAX));
const body = fc.uint8Array({ maxLength: 200 });
const controlMessage = fc.record({
  kind: fc.constantFrom(...Object.values(Kind).filter((kind) => kind !== Kind.data)),
  flags: fc.nat(255),
  count: fc.nat(65_535),
  a: number,
  b: number,
  body,
}, { noNullPrototype: true });
const bundle = fc.record({
  first: fc.integer({ min: 1, max: NUMBER_MAX - 100 }),
  messages: fc.array(
    fc.oneof(controlMessage, body.map((bytes) => data(1, bytes))),
    { minLength: 1, maxLength: 20 },
  ),
}).map(({ first, messages }) => {
  let next = first;
  return messages.map((message) => message.kind === Kind.data ? { ...message, a: next++ } : message);
});

test("a packet gives back what was written when it is read", () => {
  fc.assert(fc.property(bundle, number, number, fc.nat(65_535), (messages, viewNumber, lineage, rank) => {
    const identity = { groupKey: 0xfeed, viewNumber, lineage, incarnation: 5, rank };
    const reader = new PacketReader();
    assert.is(reader.open(pack(messages, identity)), "");
    assert.equal(readAll(reader), messages);
    reader.rewind();
    assert.equal(readAll(reader), messages);
    assert.equal(
      [reader.groupKey, reader.viewNumber, reader.incarnation, reader.rank, reader.relayRank, reader.relayed],
      [0xfeed, viewNumber, 5, rank, rank, false],
    );
    assert.is(reader.lineageKey, Number(BigInt(lineage) & 0xffff_ffffn));
    const sequences = messages.filter(({ kind }) => kind === Kind.data).map(({ a }) => a);
    assert.is(reader.dataFirst, sequences[0] ?? 0);
    assert.is(reader.dataLast, sequences.at(-1) ?? 0);
    assert.is(reader.controls, messages.length - sequences.length);
  }));
});

test("a u64 comes back as it was, or as -1 when it is not a safe integer (H16, H17)", () => {
  const view = new DataView(new ArrayBuffer(8));
  fc.assert(fc.property(number, (value) => {
    writeU64(view, 0, value);
    assert.is(readU64(view, 0), value);
    assert.is(view.getBigUint64(0), BigInt(value));
  }));
  fc.assert(fc.property(fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }), (value) => {
    view.setBigUint64(0, value);
    assert.is(readU64(view, 0), -1);
  }));
});

test("a relayed packet names its origin and its relay when it is read", () => {
  const reader = new PacketReader();
  assert.is(reader.open(pack([data(4)], { ...IDENTITY, relayRank: 1 })), "");
  assert.equal([reader.rank, reader.relayRank, reader.relayed], [3, 1, true]);
});

test("a message stays whole when it is copied into another packet", () => {
  fc.assert(fc.property(bundle, (messages) => {
    const source = new PacketReader();
    source.open(pack(messages));
    const writer = new PacketWriter(IDENTITY, 65_536);
    while (source.next()) writer.copy(source.bytes.subarray(source.start, source.bodyEnd));
    const reader = new PacketReader();
    assert.is(reader.open(writer.take()), "");
    assert.equal(readAll(reader), messages);
  }));
});

test("H33: a packet of one message is refused when it is cut at any byte", () => {
  const whole = pack([data(7, new Uint8Array(100).fill(9))]);
  assert.is(faultOf(whole), "");
  for (let length = 0; length < whole.length; length++) {
    assert.is.not(faultOf(whole.subarray(0, length)), "", `cut to ${length} bytes`);
  }
});

test("H33: a bundle is refused, or gives its first messages whole, when it is cut at any byte", () => {
  fc.assert(
    fc.property(bundle, (messages) => {
      const whole = pack(messages);
      for (let length = 0; length < whole.length; length++) {
        const reader = new PacketReader();
        if (reader.open(whole.slice(0, length)) !== "") continue;
        const read = readAll(reader);
        assert.ok(read.length < messages.length);
        assert.equal(read, messages.slice(0, read.length));
      }
    }),
    { numRuns: 30 },
  );
});

test("H34: a packet is refused when bytes follow that hold no message", () => {
  const whole = pack([data(1, new Uint8Array(10)), control(Kind.mark)]);
  for (let extra = 1; extra < MESSAGE; extra++) {
    for (const fill of [0, 255]) {
      const longer = new Uint8Array(whole.length + extra).fill(fill);
      longer.set(whole);
      assert.is(faultOf(longer), "malformed", `${extra} bytes of ${fill}`);
    }
  }
});

test("H35: nothing, and less than a header, is refused when it comes as a packet", () => {
  assert.is(faultOf(new Uint8Array(0)), "foreign");
  assert.is(faultOf(new Uint8Array(3)), "foreign");
  assert.is(faultOf(pack([data(1)]).subarray(0, HEADER)), "malformed");
});

test("H36: lengths of 2^31 and 2^32 - 1 are refused when the input is short", () => {
  for (const length of [1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
    assert.is(altered((view) => view.setUint32(HEADER + 4, length)), "malformed");
  }
});

test("H36: numbers are refused when they are 2^53, and taken when they are one less", () => {
  const places = [["view", 8], ["incarnation", 16], ["a", HEADER + 8], ["b", HEADER + 16]] as const;
  for (const [name, offset] of places) {
    assert.is(altered((view) => view.setBigUint64(offset, 2n ** 53n - 1n)), "", name);
    for (const value of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      assert.is(altered((view) => view.setBigUint64(offset, value)), "malformed", `${name} ${value}`);
    }
  }
  assert.is(altered((view) => view.setBigUint64(16, 0n)), "malformed", "no incarnation");
});

test("H49: a packet of another version is told apart when it comes", () => {
  for (const version of [0, 2, 255]) {
    assert.is(altered((view) => view.setUint8(2, version)), "version");
    assert.is(faultOf(new Uint8Array([0x54, 0x55, version, 0])), "version", "cut short, too");
  }
  assert.is(altered((view) => view.setUint16(0, 0x5456)), "foreign");
});

test("H49: unknown flags, and another relay without the flag, are refused", () => {
  for (const flags of [2, 3, 128, 255]) assert.is(altered((view) => view.setUint8(3, flags)), "malformed");
  assert.is(altered((view) => view.setUint16(26, 9)), "malformed", "another relay without the flag");
});

test("H49: a message of an unknown kind is passed over when others stand around it", () => {
  for (const kind of [0, 21, 255]) {
    const reader = new PacketReader();
    const unknown = control(kind as Kind, 1, 1, new Uint8Array(5));
    assert.is(reader.open(pack([data(1), unknown, data(2)])), "");
    assert.equal(readAll(reader).map((message) => message.kind), [Kind.data, kind, Kind.data]);
    assert.equal([reader.dataFirst, reader.dataLast, reader.controls], [1, 2, 1]);
  }
});

test("a packet is refused when its DATA messages are not consecutive, start at 0 or have an unknown encoding", () => {
  assert.is(faultOf(pack([data(1), data(3)])), "malformed");
  assert.is(faultOf(pack([data(2), data(1)])), "malformed");
  assert.is(faultOf(pack([data(1), data(1)])), "malformed");
  assert.is(faultOf(pack([data(0)])), "malformed");
  assert.is(faultOf(pack([{ ...data(1), flags: 16 }])), "malformed");
});

test("a packet is refused when it names more dependencies than fit, or than 1,024", () => {
  const named = (count: number, bytes: number): string =>
    faultOf(pack([{ ...data(1, new Uint8Array(bytes)), count }]));
  assert.is(named(2, 2 * DEPENDENCY_BYTES), "");
  assert.is(named(2, 2 * DEPENDENCY_BYTES - 1), "malformed");
  assert.is(named(DEPENDENCIES_MAX, DEPENDENCIES_MAX * DEPENDENCY_BYTES), "");
  assert.is(named(DEPENDENCIES_MAX + 1, (DEPENDENCIES_MAX + 1) * DEPENDENCY_BYTES), "malformed");
});

test("a relayed packet is refused when it carries anything but DATA", () => {
  const relayed = { ...IDENTITY, relayRank: 1 };
  for (const kind of Object.values(Kind)) {
    if (kind === Kind.data) continue;
    assert.is(faultOf(pack([data(1), control(kind)], relayed)), "malformed");
  }
});

test("random bytes never throw and never hang when they are opened as packets", () => {
  const random = new Random(33);
  const reader = new PacketReader();
  for (let round = 0; round < 20_000; round++) {
    const bytes = new Uint8Array(random.int(0, 300));
    for (let index = 0; index < bytes.length; index++) bytes[index] = random.int(0, 255);
    // Half of them get past the first bytes.
    if (random.chance(0.5)) bytes.set([0x54, 0x55, 1, 0].slice(0, bytes.length));
    bounded(`opening random bytes, round ${round}`, () => exhaust(reader, bytes));
  }
});

test("a well-formed packet never throws and never hangs when bits of it are flipped", () => {
  const random = new Random(34);
  const reader = new PacketReader();
  const whole = pack([
    data(5, new Uint8Array(30)),
    control(Kind.heartbeat, 5, 5, new Uint8Array(44)),
    data(6),
  ]);
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const copy = whole.slice();
    copy[bit >> 3] ^= 1 << (bit & 7);
    bounded(`opening with bit ${bit} flipped`, () => exhaust(reader, copy));
  }
  for (let round = 0; round < 10_000; round++) {
    const copy = whole.slice(0, random.int(0, whole.length));
    const flips = random.int(1, 8);
    for (let flip = 0; flip < flips && copy.length > 0; flip++) {
      copy[random.int(0, copy.length - 1)] ^= 1 << random.int(0, 7);
    }
    bounded(`opening with flips, round ${round}`, () => exhaust(reader, copy));
  }
});

test("a packet of a megabyte of empty messages is read in time linear in its length", () => {
  const writer = new PacketWriter(IDENTITY, 2 ** 20);
  while (writer.fits(0)) writer.begin(Kind.mark, 0, 0, 0, 1, 1);
  const packet = writer.take();
  const reader = new PacketReader();
  bounded("opening a megabyte of messages", () => assert.is(exhaust(reader, packet), 43_689));
});

/** Opens a packet and, if it is well formed, reads all of it in every way there is. */
function exhaust(reader: PacketReader, bytes: Uint8Array): number {
  const fault = reader.open(bytes);
  assert.ok(["", "foreign", "version", "malformed"].includes(fault));
  if (fault !== "") return 0;
  let messages = 0;
  while (reader.next()) {
    messages++;
    assert.ok(reader.bodyStart <= reader.bodyEnd && reader.bodyEnd <= bytes.length);
    if (reader.kind === Kind.data) assert.ok(reader.payloadStart <= reader.bodyEnd);
    if (reader.bodyEnd - reader.bodyStart === 0) continue;
    parseControl(reader);
    parseHeartbeat(reader, 8);
    parseRanges(reader);
  }
  assert.ok(messages * MESSAGE <= bytes.length);
  return messages;
}

test("a message larger than the slab gets a packet of its own when it is written", () => {
  const writer = new PacketWriter(IDENTITY, 65_536);
  put(writer, data(1, new Uint8Array(10).fill(1)));
  const before = writer.take();
  const kept = before.slice();
  const large = new Uint8Array(BEYOND_SLAB).map((_, index) => index);
  put(writer, data(2, large));
  const packet = writer.take();
  put(writer, data(3, new Uint8Array(10).fill(3)));
  const after = writer.take();
  assert.equal(before, kept);
  for (const [bytes, sequence] of [[before, 1], [packet, 2], [after, 3]] as const) {
    const reader = new PacketReader();
    assert.is(reader.open(bytes), "");
    assert.is(reader.dataFirst, sequence);
  }
  assert.is(packet.length, HEADER + MESSAGE + BEYOND_SLAB);
  const reader = new PacketReader();
  reader.open(packet);
  reader.next();
  assert.ok(reader.bytes.subarray(reader.bodyStart, reader.bodyEnd).every((byte, at) => byte === large[at]));
});

test("an open packet keeps its messages when it outgrows the slab", () => {
  for (const copied of [false, true]) {
    const writer = new PacketWriter(IDENTITY, 65_536);
    put(writer, control(Kind.mark, 1, 1));
    const message = pack([data(1, new Uint8Array(BEYOND_SLAB).fill(7))]).subarray(HEADER);
    if (copied) writer.copy(message);
    else put(writer, data(1, new Uint8Array(BEYOND_SLAB).fill(7)));
    put(writer, control(Kind.refuse, 1, 1));
    const reader = new PacketReader();
    assert.is(reader.open(writer.take()), "");
    const read = readAll(reader);
    assert.equal(read.map(({ kind }) => kind), [Kind.mark, Kind.data, Kind.refuse]);
    assert.ok(read[1].body.length === BEYOND_SLAB && read[1].body.every((byte) => byte === 7));
  }
});

test("packets never change when others are written after them", () => {
  const random = new Random(9);
  const writer = new PacketWriter(IDENTITY, 65_536);
  const packets: Uint8Array[] = [];
  const copies: Uint8Array[] = [];
  for (let sequence = 1; sequence <= 300; sequence++) {
    put(writer, data(sequence, new Uint8Array(random.int(0, 20_000)).fill(sequence)));
    if (random.chance(0.3)) put(writer, control(Kind.mark));
    packets.push(writer.take());
    copies.push(packets[packets.length - 1].slice());
  }
  packets.forEach((packet, index) => assert.ok(packet.every((byte, at) => byte === copies[index][at])));
});

test("a message fits when it fills the packet exactly, and not when it is one byte more", () => {
  const writer = new PacketWriter(IDENTITY, 1200);
  assert.ok(writer.fits(1_000_000), "an empty packet takes anything");
  put(writer, data(1));
  const room = 1200 - HEADER - 2 * MESSAGE;
  assert.ok(writer.fits(room));
  assert.not(writer.fits(room + 1));
  put(writer, data(2, new Uint8Array(room)));
  assert.is(writer.take().length, 1200);
});

test.run();

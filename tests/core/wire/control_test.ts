/** Bodies of control messages: whatever is not exactly as it must be gives `undefined`, never an error. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { Encoder } from "cbor-x";
import { ADDRESS_BYTES_MAX, GROUP_BYTES_MAX, MEMBERS_MAX, NAME_BYTES_MAX } from "../../../core/base/ids.ts";
import { Random } from "../../../core/base/random.ts";
import {
  encodeHello,
  encodeRefusal,
  type Hello,
  type Holding,
  HOLDING_BYTES,
  parseHello,
  parseHoldings,
  parseRanges,
  parseRefusal,
  RANGE_BYTES,
  writeHolding,
  writeRanges,
} from "../../../core/wire/control.ts";
import { CONTROL_BYTES_MAX, NAK_RANGES_MAX, NUMBER_MAX } from "../../../core/wire/limits.ts";
import { Kind, writeU64 } from "../../../core/wire/message.ts";
import { PacketReader } from "../../../core/wire/packet_reader.ts";
import { PacketWriter } from "../../../core/wire/packet_writer.ts";
import { bounded } from "./bounded.ts";

const test = suite("wire/control");

const codec = new Encoder(
  { useRecords: false, mapsAsObjects: true } as ConstructorParameters<typeof Encoder>[0],
);

const HELLO: Hello = {
  group: "demo",
  name: "P1",
  address: "memory:P1",
  members: ["memory:P1", "memory:P2"],
  names: ["P1", ""],
  order: "fifo",
  windowMessages: 16,
  windowBytes: 65_536,
  messageBytesMax: 1024,
  request: true,
  knows: 0,
  first: 0,
};

/** A reader whose cursor stands on a message with this body. */
function reading(kind: Kind, body: Uint8Array, count = 0): PacketReader {
  const writer = new PacketWriter({ groupKey: 1, viewNumber: 1, incarnation: 1, rank: 0 }, 65_536);
  const offset = writer.begin(kind, 0, count, body.length, 1, 1);
  writer.bytes.set(body, offset);
  const reader = new PacketReader();
  assert.is(reader.open(writer.take()), "");
  assert.ok(reader.next());
  return reader;
}

function hello(body: Uint8Array): Hello | undefined {
  return bounded("parsing a HELLO", () => parseHello(reading(Kind.hello, body)));
}

/** What a HELLO with some fields changed gives. */
function changed(fields: Readonly<Record<string, unknown>>): Hello | undefined {
  return hello(codec.encode({ ...HELLO, ...fields }));
}

// ---- HELLO ----

test("a HELLO comes back as it was when it is well formed", () => {
  assert.equal(hello(encodeHello(HELLO)), HELLO);
  const known = {
    ...HELLO,
    knows: 5,
    first: 9,
    order: "causal",
    request: false,
    names: ["P1", "P2"],
  } as const;
  assert.equal(hello(encodeHello(known)), known);
  const large = {
    ...HELLO,
    windowMessages: 1,
    windowBytes: NUMBER_MAX,
    messageBytesMax: 0,
    knows: NUMBER_MAX,
    first: NUMBER_MAX,
  };
  assert.equal(hello(encodeHello(large)), large);
});

test("a HELLO gives undefined when any field is missing", () => {
  for (const field of Object.keys(HELLO)) {
    const rest: Record<string, unknown> = { ...HELLO };
    delete rest[field];
    assert.is(hello(codec.encode(rest)), undefined, field);
  }
});

test("a HELLO gives undefined when any field has another type", () => {
  const values = [
    null,
    undefined,
    7,
    -1,
    1.5,
    "",
    "x y",
    true,
    [],
    {},
    [1],
    new Uint8Array(3),
    5n,
    NaN,
    new Date(0),
  ];
  for (const field of Object.keys(HELLO) as (keyof Hello)[]) {
    for (const value of values) {
      const parsed = changed({ [field]: value });
      if (parsed === undefined) continue;
      assert.is(typeof parsed[field], typeof HELLO[field], `${field}: ${String(value)}`);
      assert.is(Array.isArray(parsed[field]), Array.isArray(HELLO[field]));
    }
  }
});

test("H46: a HELLO gives undefined when a name is empty, has a space, a newline or a NUL, or is too long", () => {
  const bounds = [["group", GROUP_BYTES_MAX], ["name", NAME_BYTES_MAX], [
    "address",
    ADDRESS_BYTES_MAX,
  ]] as const;
  for (const [field, bytesMax] of bounds) {
    for (
      const bad of ["", "a b", "a\n", "a\0", "\t", "a\u00a0b", "x".repeat(bytesMax + 1), "x".repeat(100_000)]
    ) {
      assert.is(changed({ [field]: bad }), undefined, `${field} ${JSON.stringify(bad.slice(0, 10))}`);
    }
    assert.is.not(changed({ [field]: "x".repeat(bytesMax) }), undefined);
    assert.is(changed({ [field]: "é".repeat(bytesMax / 2) + "x" }), undefined, "counted in bytes");
  }
  assert.is(changed({ members: ["memory:P1", "a b"] }), undefined);
  assert.is(changed({ names: ["P1", "a b"] }), undefined);
  assert.is(changed({ names: ["P1"] }), undefined, "a name for each member");
});

test("a HELLO gives undefined when it lists more than 1,024 members", () => {
  const list = (count: number): Partial<Hello> => ({
    members: Array.from({ length: count }, (_, index) => `memory:${index}`),
    names: new Array(count).fill(""),
  });
  assert.is.not(changed(list(MEMBERS_MAX)), undefined);
  assert.is(changed(list(MEMBERS_MAX + 1)), undefined);
});

test("H36: a HELLO gives undefined when a number is negative, broken or 2^53", () => {
  for (const field of ["windowMessages", "windowBytes", "messageBytesMax", "knows", "first"]) {
    for (const bad of [-1, 0.5, 2 ** 53, 2n ** 60n, Infinity, "1"]) {
      assert.is(changed({ knows: 1, first: 1, [field]: bad }), undefined, `${field} ${bad}`);
    }
  }
  assert.is(changed({ windowMessages: 0 }), undefined);
  assert.is(changed({ windowBytes: 0 }), undefined);
  assert.is(changed({ knows: 1, first: 0 }), undefined, "it knows, so it must say from where");
  assert.is(changed({ knows: 0, first: 1 }), undefined);
});

test("H33, H34: a HELLO gives undefined when it is cut at any byte, and when bytes follow", () => {
  const body = encodeHello(HELLO);
  for (let length = 0; length < body.length; length++) assert.is(hello(body.slice(0, length)), undefined);
  const longer = new Uint8Array(body.length + 1);
  longer.set(body);
  assert.is(hello(longer), undefined);
});

test("a HELLO gives undefined when it is larger than a control message may be", () => {
  const padded = (bytes: number): Uint8Array => {
    const bare = codec.encode({ ...HELLO, padding: "x".repeat(70_000) }).length - 70_000;
    return codec.encode({ ...HELLO, padding: "x".repeat(bytes - bare) });
  };
  assert.is(padded(CONTROL_BYTES_MAX).length, CONTROL_BYTES_MAX);
  assert.is.not(hello(padded(CONTROL_BYTES_MAX)), undefined);
  assert.is(hello(padded(CONTROL_BYTES_MAX + 1)), undefined);
});

test("a HELLO and a REFUSE give undefined when the body is other CBOR", () => {
  for (
    const value of [null, 1, "x", [], [HELLO], new Map([["group", "demo"]]), new Set([1]), new Date(0), true]
  ) {
    const body = new Uint8Array(codec.encode(value));
    assert.is(hello(body), undefined);
    assert.is(parseRefusal(reading(Kind.refuse, body)), undefined);
  }
});

test("random bytes and flipped bits never throw when they are parsed as control bodies", () => {
  const random = new Random(5);
  const sound = [
    encodeHello(HELLO),
    encodeRefusal({ reason: "no", incarnation: 5 }),
    new Uint8Array(8 + HOLDING_BYTES),
  ];
  for (let round = 0; round < 6000; round++) {
    const body = random.chance(0.3)
      ? new Uint8Array(random.int(0, 100)).map(() => random.int(0, 255))
      : new Uint8Array(random.pick(sound));
    for (let flip = random.int(1, 6); flip > 0 && body.length > 0; flip--) {
      body[random.int(0, body.length - 1)] ^= 1 << random.int(0, 7);
    }
    const reader = reading(Kind.hello, body, random.int(0, 3));
    bounded("parsing", () => {
      parseHello(reader);
      parseRefusal(reader);
      parseHoldings(reader);
      parseRanges(reader);
    });
  }
});

// ---- REFUSE ----

test("a REFUSE comes back as it was when it is well formed", () => {
  const refusal = { reason: "its order is causal", incarnation: 12 };
  assert.equal(parseRefusal(reading(Kind.refuse, encodeRefusal(refusal))), refusal);
});

test("a REFUSE gives undefined when a field is missing, of another type or too long", () => {
  const parsed = (value: unknown) => parseRefusal(reading(Kind.refuse, new Uint8Array(codec.encode(value))));
  for (const bad of [{}, { reason: "x" }, { incarnation: 1 }, { reason: 1, incarnation: 1 }]) {
    assert.is(parsed(bad), undefined);
  }
  for (const incarnation of [-1, 1.5, "1", 2 ** 53, null]) {
    assert.is(parsed({ reason: "x", incarnation }), undefined);
  }
  assert.is.not(parsed({ reason: "x".repeat(4096), incarnation: 1 }), undefined);
  assert.is(parsed({ reason: "x".repeat(4097), incarnation: 1 }), undefined);
});

// ---- holdings ----

function holdings(list: readonly Holding[], count = list.length, extraBytes = 0): Holding[] | undefined {
  const body = new Uint8Array(8 + list.length * HOLDING_BYTES + extraBytes);
  const view = new DataView(body.buffer);
  list.forEach((holding, index) => writeHolding(view, 8 + index * HOLDING_BYTES, holding));
  return parseHoldings(reading(Kind.heartbeat, body, count));
}

const sequences = fc.tuple(fc.maxSafeNat(), fc.maxSafeNat(), fc.maxSafeNat());
const holding = fc.record({
  rank: fc.nat(65_535),
  current: fc.boolean(),
  incarnation: fc.integer({ min: 1, max: NUMBER_MAX }),
  sequences,
}).map(({ sequences: [one, two, three], rank, current, incarnation }) => {
  const received = Math.max(one, two);
  return {
    rank,
    current,
    incarnation,
    first: 1 + three % (received + 1),
    received,
    delivered: Math.min(one, two),
  };
});

test("holdings come back as they were when they are well formed", () => {
  fc.assert(fc.property(fc.array(holding, { maxLength: 20 }), (list) => {
    assert.equal(holdings(list), list);
  }));
});

test("holdings give undefined when they contradict themselves", () => {
  const sound: Holding = { rank: 1, current: true, incarnation: 7, first: 3, received: 9, delivered: 5 };
  assert.is.not(holdings([sound]), undefined);
  assert.is.not(holdings([{ ...sound, first: 10 }]), undefined, "nothing kept");
  const bad: Partial<Holding>[] = [
    { incarnation: 0 },
    { first: 0 },
    { first: 11 },
    { delivered: 10 },
    { received: 4 },
  ];
  for (const change of bad) {
    assert.is(holdings([{ ...sound, ...change }]), undefined, JSON.stringify(change));
    assert.is(holdings([sound, { ...sound, ...change }]), undefined);
  }
});

test("H36: holdings give undefined when a number is 2^53 or more", () => {
  for (const offset of [4, 12, 20, 28]) {
    const body = new Uint8Array(8 + HOLDING_BYTES);
    const view = new DataView(body.buffer);
    writeHolding(view, 8, { rank: 0, current: true, incarnation: 1, first: 1, received: 5, delivered: 5 });
    view.setBigUint64(8 + offset, 2n ** 53n);
    assert.is(parseHoldings(reading(Kind.heartbeat, body, 1)), undefined, `at ${offset}`);
  }
});

test("H33, H34: holdings give undefined when their count and their bytes disagree", () => {
  const sound: Holding = { rank: 1, current: true, incarnation: 7, first: 3, received: 9, delivered: 5 };
  assert.is(holdings([sound], 0), undefined);
  assert.is(holdings([sound], 2), undefined);
  assert.is(holdings([sound], 65_535), undefined);
  assert.is(holdings([sound], 1, 1), undefined);
  assert.is(parseHoldings(reading(Kind.heartbeat, new Uint8Array(7), 0)), undefined);
  assert.is(parseHoldings(reading(Kind.heartbeat, new Uint8Array(0), 0)), undefined);
  assert.equal(parseHoldings(reading(Kind.heartbeat, new Uint8Array(8), 0)), []);
});

// ---- ranges ----

function ranges(pairs: readonly number[], count = pairs.length / 2, extraBytes = 0): number[] | undefined {
  const body = new Uint8Array(pairs.length * 8 + extraBytes);
  writeRanges(new DataView(body.buffer), 0, pairs);
  return parseRanges(reading(Kind.nak, body, count));
}

test("ranges come back as they were when they rise", () => {
  const rising = fc.uniqueArray(fc.integer({ min: 1, max: NUMBER_MAX }), { minLength: 2, maxLength: 64 })
    .map((list) => list.slice(0, list.length - list.length % 2).sort((a, b) => a - b));
  fc.assert(fc.property(rising, (pairs) => assert.equal(ranges(pairs), pairs)));
  assert.equal(ranges([1, 1]), [1, 1]);
  assert.equal(ranges([1, NUMBER_MAX]), [1, NUMBER_MAX]);
});

test("ranges give undefined when they fall, overlap, touch or start at 0", () => {
  for (const pairs of [[2, 1], [0, 5], [5, 6, 1, 2], [1, 5, 5, 6], [1, 5, 3, 4], [1, 2, 1, 2]]) {
    assert.is(ranges(pairs), undefined, String(pairs));
  }
});

test("H20: 32 ranges are taken, and 33 give undefined", () => {
  const pairs = (count: number): number[] => Array.from({ length: 2 * count }, (_, index) => index + 1);
  assert.is(ranges(pairs(NAK_RANGES_MAX))?.length, 2 * NAK_RANGES_MAX);
  assert.is(ranges(pairs(NAK_RANGES_MAX + 1)), undefined);
});

test("H33, H34, H36: ranges give undefined when bytes are missing or left over, or a number is 2^53", () => {
  assert.is(ranges([1, 2], 2), undefined);
  assert.is(ranges([1, 2], 0), undefined);
  assert.is(ranges([1, 2], 1, 1), undefined);
  const body = new Uint8Array(RANGE_BYTES);
  writeU64(new DataView(body.buffer), 0, 1);
  new DataView(body.buffer).setBigUint64(8, 2n ** 53n);
  assert.is(parseRanges(reading(Kind.nak, body, 1)), undefined);
});

test.run();

/** Application values: what is taken comes back equal; whatever bytes come, decoding neither throws nor stalls. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { TuttiError } from "../../../core/base/errors.ts";
import { Random } from "../../../core/base/random.ts";
import { checkCbor } from "../../../core/wire/cbor_check.ts";
import { VALUE_DEPTH_MAX, VALUE_ITEMS_MAX } from "../../../core/wire/limits.ts";
import { Encoding } from "../../../core/wire/message.ts";
import { decodeValue, encodeValue, UNDECODABLE } from "../../../core/wire/value.ts";
import { bounded } from "./bounded.ts";

const test = suite("wire/value");

const MIB = 1024 * 1024;

/** Sends a value over the wire: encoded, copied into a packet at an odd place, decoded. */
function travel(value: unknown): unknown {
  const { encoding, bytes } = encodeValue(value);
  const packet = new Uint8Array(bytes.length + 13).fill(0xff);
  packet.set(bytes, 7);
  return decodeValue(encoding, packet, 7, 7 + bytes.length);
}

function decode(...bytes: readonly (number | Uint8Array)[]): unknown {
  const input = join(...bytes);
  return decodeValue(Encoding.cbor, input, 0, input.length);
}

/** What the check says is wrong with some bytes; and that decoding agrees with it. */
function fault(...bytes: readonly (number | Uint8Array)[]): string {
  const input = join(...bytes);
  const found = bounded("checking", () => checkCbor(input, 0, input.length));
  if (found !== "") assert.is(bounded("decoding", () => decode(input)), UNDECODABLE);
  return found;
}

function join(...parts: readonly (number | Uint8Array)[]): Uint8Array {
  const bytes = parts.map((part) => typeof part === "number" ? new Uint8Array([part]) : part);
  const whole = new Uint8Array(bytes.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of bytes) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** A CBOR head with a 32-bit argument. */
function head(major: number, argument: number): Uint8Array {
  const bytes = new Uint8Array(5);
  bytes[0] = (major << 5) | 26;
  new DataView(bytes.buffer).setUint32(1, argument);
  return bytes;
}

/** A CBOR head with a 64-bit argument. */
function head64(major: number, argument: bigint): Uint8Array {
  const bytes = new Uint8Array(9);
  bytes[0] = (major << 5) | 27;
  new DataView(bytes.buffer).setBigUint64(1, argument);
  return bytes;
}

function text(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  return join(head(3, bytes.length), bytes);
}

function shown(value: unknown): string {
  return typeof value === "symbol" ? String(value) : JSON.stringify(value);
}

/** An array of `count` copies of an item. */
function repeated(count: number, item: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(5 + count * item.length);
  bytes.set(head(4, count));
  for (let index = 0; index < count; index++) bytes.set(item, 5 + index * item.length);
  return bytes;
}

function unencodable(value: unknown, words: RegExp): void {
  assert.throws(
    () => encodeValue(value),
    (error: unknown) =>
      error instanceof TuttiError && error.code === "Unencodable" && words.test(error.message),
  );
  assert.equal(travel({ sound: ["again"] }), { sound: ["again"] }, "the codec is sound afterwards");
}

/** -0 travels as 0, and nested bytes may come back as a subclass of Uint8Array. */
function expected(value: unknown): unknown {
  if (value === 0) return 0;
  if (value instanceof Uint8Array) return `bytes ${[...value]}`;
  if (Array.isArray(value)) return value.map(expected);
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, expected(item)]));
  if (value instanceof Set) return new Set([...value].map(expected));
  if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, expected(item)]));
  }
  return value;
}

// ---- what travels ----

const leaf = fc.oneof(
  fc.constantFrom(null, undefined, true, false, 0, -0, NaN, Infinity, -Infinity, 2 ** 53, -(2 ** 53), 5e-324),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.bigInt({ min: -(2n ** 511n), max: 2n ** 511n }),
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.string(),
  // Dates near the ends of time have a test of their own.
  fc.date({ noInvalidDate: true, min: new Date("0001-01-01"), max: new Date("9999-12-31") }),
  fc.uint8Array({ maxLength: 100 }),
);
const key = fc.string({ unit: "binary", maxLength: 80 }).filter((name) => name !== "__proto__");
const { value: anyValue } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "medium", withCrossShrink: true },
    leaf,
    fc.array(tie("value"), { maxLength: 8 }),
    fc.dictionary(key, tie("value"), { maxKeys: 8, noNullPrototype: true }),
    fc.array(fc.tuple(fc.oneof(key, fc.integer()), tie("value")), { maxLength: 5 }).map((entries) =>
      new Map(entries)
    ),
    fc.array(fc.oneof(fc.string(), fc.integer()), { maxLength: 5 }).map((items) => new Set(items)),
  ),
}));

test("a value comes back equal when it travels", () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      assert.equal(expected(travel(value)), expected(value));
    }),
    { numRuns: 2000 },
  );
});

test("a value that is taken comes back equal, whatever it is, and the rest is Unencodable", () => {
  const options = { maxDepth: 5, withBigInt: true, withMap: true, withSet: true };
  fc.assert(
    fc.property(fc.anything(options), (value) => {
      try {
        encodeValue(value);
      } catch (error) {
        assert.is((error as TuttiError).code, "Unencodable");
        return;
      }
      assert.equal(expected(travel(value)), expected(value));
    }),
    { numRuns: 3000 },
  );
});

test("a text comes back equal when it is long, whatever it starts with", () => {
  for (const start of ["", "\ufeff", "\0", "é", "🎻", "\u2028"]) {
    for (const length of [0, 1, 15, 16, 63, 64, 65, 255, 256, 5000, 100_000]) {
      for (const fill of ["x", "é", "🎻"]) {
        const value = start + fill.repeat(length);
        assert.is(travel(value), value, `${JSON.stringify(start)} and ${length} of ${fill}`);
      }
    }
  }
});

test("bytes travel untouched, and are not looked into, when they are the whole value", () => {
  for (
    const bytes of [new Uint8Array(0), new Uint8Array([0xff, 0x9f, 0x5f]), new Uint8Array(100_000).fill(0xd9)]
  ) {
    const { encoding, bytes: encoded } = encodeValue(bytes);
    assert.is(encoding, Encoding.bytes);
    assert.is(encoded, bytes);
    assert.equal(travel(bytes), bytes);
  }
});

test("what was decoded shares no memory with the packet when it is CBOR", () => {
  const { bytes } = encodeValue({ inner: new Uint8Array([1, 2, 3]) });
  const packet = new Uint8Array(bytes);
  const { inner } = decodeValue(Encoding.cbor, packet, 0, packet.length) as { inner: Uint8Array };
  inner.fill(9);
  assert.equal(packet, new Uint8Array(bytes));
});

test("an object on the way in is not changed when it is sent twice", () => {
  const shared = { a: [1, { b: 2 }] };
  assert.equal(travel([shared, shared]), [shared, shared]);
  assert.equal(shared, { a: [1, { b: 2 }] });
});

// ---- hostile input, by number ----

test("H33: a value is refused when it is cut at any byte", () => {
  const { bytes } = encodeValue({
    text: "é".repeat(50),
    list: [1, 300, 70_000, 1.5, -1, null],
    date: new Date(1234),
    big: 2n ** 100n,
    map: new Map([["a", new Set([1])]]),
    raw: new Uint8Array(40),
  });
  for (let length = 0; length < bytes.length; length++) {
    assert.is(decodeValue(Encoding.cbor, bytes, 0, length), UNDECODABLE, `cut to ${length} bytes`);
  }
});

test("H34: a value is refused when bytes follow it", () => {
  assert.is(fault(0x01), "");
  assert.is(fault(0x01, 0x01), "trailing bytes");
  assert.is(fault(0x80, 0x00), "trailing bytes");
});

test("H35: nothing is refused when it comes as a value", () => {
  assert.is(fault(), "cut short");
});

test("H36: lengths of 2^31, 2^32 and 2^53 are refused when the input is short", () => {
  for (const major of [2, 3, 4, 5]) {
    for (const length of [2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
      assert.is(fault(head(major, length), 0), "cut short");
    }
    for (const length of [2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      assert.is(fault(head64(major, length), 0), "cut short");
    }
  }
});

test("H37: nesting of 100,000 levels is refused when it comes, and when it is sent", () => {
  for (const opener of [[0x81], [0xa1, 0x00], [0xd9, 0x01, 0x02, 0x81], [0xc1], [0xc2]]) {
    const deep = new Uint8Array(100_000 * opener.length + 1);
    for (let index = 0; index < 100_000; index++) deep.set(opener, index * opener.length);
    assert.is.not(fault(deep), "");
  }
  let value: unknown = 1;
  for (let level = 0; level < 100_000; level++) value = [value];
  unencodable(value, /./);
});

test("H37: nesting travels at 64 levels, and is refused at 65", () => {
  const nested = (levels: number): Uint8Array => join(new Uint8Array(levels).fill(0x81), 0x01);
  assert.is(fault(nested(VALUE_DEPTH_MAX)), "");
  assert.match(fault(nested(VALUE_DEPTH_MAX + 1)), /nesting deeper than 64/);
  let value: unknown = 1;
  for (let level = 0; level < VALUE_DEPTH_MAX; level++) value = level % 2 === 0 ? [value] : { value };
  assert.equal(travel(value), value);
  unencodable([value], /nesting deeper than 64/);
});

test("H38: huge arrays and maps are refused at once when they are only announced", () => {
  for (const opener of [head(4, 0xffff_ffff), head(5, 0x7fff_ffff), head64(4, 2n ** 40n)]) {
    const inputs = Array.from({ length: 60 }, () => opener);
    assert.is(fault(...inputs), "cut short");
  }
  // Announced lengths that each fit what is left, nested.
  const half = Array.from({ length: 60 }, (_, level) => head(4, Math.floor(MIB / 2 ** level)));
  assert.is.not(fault(...half, new Uint8Array(1000)), "");
});

test("H38: 1,000,000 items travel, and one more is refused", () => {
  assert.is(checkCbor(repeated(VALUE_ITEMS_MAX - 1, new Uint8Array([0])), 0, 5 + VALUE_ITEMS_MAX - 1), "");
  assert.match(fault(repeated(VALUE_ITEMS_MAX, new Uint8Array([0]))), /more than 1000000 items/);
  assert.is((travel(new Array(VALUE_ITEMS_MAX - 1).fill(0)) as unknown[]).length, VALUE_ITEMS_MAX - 1);
  unencodable(new Array(VALUE_ITEMS_MAX).fill(0), /more than 1000000 items/);
});

test("H39: indefinite items are refused, whether they end or not", () => {
  for (const opener of [0x5f, 0x7f, 0x9f, 0xbf, 0xff]) {
    assert.match(fault(opener, 0xff), /indefinite/);
    assert.match(fault(opener, new Uint8Array(MIB).fill(opener)), /indefinite/);
    assert.match(fault(0x81, opener, 0xff), /indefinite/);
  }
  for (const reserved of [28, 29, 30]) {
    for (let major = 0; major < 8; major++) assert.is.not(fault((major << 5) | reserved, 0), "");
  }
});

test("H40: a big integer of 300 kB is refused at once", () => {
  for (const tag of [0xc2, 0xc3]) {
    assert.match(
      fault(tag, head(2, 300_000), new Uint8Array(300_000).fill(255)),
      /big integer of 300000 bytes/,
    );
    assert.is.not(fault(tag, 0x5f, 0x41, 1, 0xff), "", "in chunks");
    assert.is.not(fault(tag, tag, 0x41, 1), "", "a tag on a tag");
    assert.is.not(fault(tag, text("123")), "", "as text");
    assert.is.not(fault(0xd8, tag & 31, head(2, 300_000), new Uint8Array(300_000)), "", "a longer tag");
  }
});

test("H40: a big integer travels at 64 bytes, and is refused at 65", () => {
  assert.is(travel(2n ** 512n - 1n), 2n ** 512n - 1n);
  assert.is(travel(-(2n ** 512n)), -(2n ** 512n));
  unencodable(2n ** 512n, /big integer of 65 bytes/);
  unencodable(-(2n ** 512n) - 1n, /big integer of 65 bytes/);
  assert.is(fault(0xc2, head(2, 64), new Uint8Array(64)), "");
  assert.match(fault(0xc2, head(2, 65), new Uint8Array(65)), /big integer of 65 bytes/);
});

test("H41: the key __proto__ is refused, however it is spelt", () => {
  const key = new TextEncoder().encode("__proto__");
  const spelt = [[0x60 | 9], [0x78, 9], [0x79, 0, 9], [0x7a, 0, 0, 0, 9], [0x7b, 0, 0, 0, 0, 0, 0, 0, 9]];
  for (const length of spelt) {
    assert.is(fault(0xa1, new Uint8Array(length), key, 0x80), "the key __proto__");
    assert.is(fault(0x81, 0xa2, 0x00, 0x00, new Uint8Array(length), key, 0xa0), "the key __proto__");
  }
  unencodable(JSON.parse('{"__proto__": {"admin": true}}'), /__proto__/);
  assert.is(({} as { admin?: boolean }).admin, undefined);
  // As bytes it is no key of an object.
  const value = decode(0xa1, head(2, 9), key, 0x80);
  assert.ok(value === UNDECODABLE || Object.getPrototypeOf(value) !== null);
});

test("H41: constructor, prototype and then are plain keys when they travel", () => {
  const value = {
    constructor: { prototype: 1 },
    prototype: 2,
    then: 3,
    toString: 4,
    hasOwnProperty: 5,
    length: 6,
  };
  const arrived = travel(value) as Record<string, unknown>;
  assert.equal(Object.entries(arrived), Object.entries(value));
  assert.is(Object.getPrototypeOf(arrived), Object.prototype);
  assert.is(({}).constructor, Object);
});

test("H42: duplicate keys are refused, however their lengths are spelt", () => {
  const a = [
    new Uint8Array([0x61, 0x61]),
    new Uint8Array([0x78, 1, 0x61]),
    new Uint8Array([0x79, 0, 1, 0x61]),
  ];
  for (const one of a) for (const other of a) assert.is(fault(0xa2, one, 0, other, 1), "a duplicate key");
  assert.is(fault(0xa2, 0x61, 0x61, 0, 0x61, 0x62, 0), "", "different ones pass");
});

test("H42: duplicate numbers are refused as keys, however they are spelt", () => {
  const one = [[0x01], [0x18, 1], [0x19, 0, 1], [0x1a, 0, 0, 0, 1], [0x1b, 0, 0, 0, 0, 0, 0, 0, 1]];
  for (const first of one) {
    for (const second of one) {
      assert.is(fault(0xa2, new Uint8Array(first), 0, new Uint8Array(second), 1), "a duplicate key");
    }
  }
});

test("H42: a number and a text that name the same property are refused as keys of an object", () => {
  const value = decode(0xa2, 0x01, 0x0a, 0x61, 0x31, 0x0b); // {1: 10, "1": 11}
  assert.ok(value === UNDECODABLE, `two keys became one: ${shown(value)}`);
});

test("H42: whatever map decodes has as many keys as were sent", () => {
  const random = new Random(42);
  const pool = [[0x00], [0x01], [0x18, 1], [0x20], [0x61, 0x31], [0x61, 0x30], [0x62, 0x2d, 0x31], [0x40], [
    0x41,
    0x31,
  ], [0x60]];
  for (let round = 0; round < 5000; round++) {
    const count = random.int(0, 4);
    const parts: Uint8Array[] = [];
    for (let entry = 0; entry < count; entry++) {
      parts.push(new Uint8Array(random.pick(pool)), new Uint8Array([0]));
    }
    const bytes = join(0xa0 | count, ...parts);
    const value = decodeValue(Encoding.cbor, bytes, 0, bytes.length);
    if (value === UNDECODABLE) continue;
    const size = value instanceof Map ? value.size : Object.keys(value as object).length;
    assert.is(size, count, `a map of [${[...bytes].map((byte) => byte.toString(16))}]`);
  }
});

test("H43: cycles are Unencodable, and shared references are refused", () => {
  const cycle: unknown[] = [];
  cycle.push({ cycle });
  unencodable(cycle, /./);
  const map = new Map<string, unknown>();
  map.set("self", map);
  unencodable(map, /./);
  for (const tag of [28, 29]) assert.match(fault(0xd8, tag, 0x80), /the tag (28|29)/);
  assert.match(fault(0x82, 0xd8, 28, 0x80, 0xd8, 29, 0x00), /the tag 28/);
});

test("H44: records, regular expressions, errors, typed arrays and unknown tags are refused", () => {
  const tags = [
    0,
    4,
    5,
    6,
    24,
    25,
    27,
    30,
    32,
    35,
    51,
    64,
    65,
    68,
    72,
    79,
    85,
    86,
    105,
    256,
    260,
    40_009,
    55_799,
  ];
  tags.push(0xdff8, 0xd9f7, 0x69696969);
  for (const tag of tags) {
    assert.match(fault(head(6, tag), 0x80), /the tag/);
    assert.match(fault(head64(6, BigInt(tag)), 0x82, 0x61, 0x61, 0x61, 0x61), /the tag/);
  }
  for (const value of [/x/g, new Error("x"), new TypeError("x"), new Float64Array(2), new Int32Array(1)]) {
    unencodable(value, /tag/);
    unencodable({ list: [value] }, /tag/);
  }
  for (const simple of [0xe0, 0xf3, 0xf8]) assert.match(fault(simple, 0x20), /simple value/);
});

test("H44: functions, symbols and values that cannot be told from an empty object are Unencodable", () => {
  for (
    const value of [
      () => 1,
      Symbol("x"),
      { call() {} },
      [Symbol.iterator],
      (function* () {})(),
      new Blob(["x"]),
    ]
  ) {
    unencodable(value, /./);
  }
});

test("H44: a value is Unencodable rather than sent as an empty object", () => {
  const values = {
    weakMap: new WeakMap(),
    promise: Promise.resolve(1),
    dataView: new DataView(new ArrayBuffer(4)),
    boxed: Object(5),
    url: new URL("http://example.org/"),
  };
  for (const [name, value] of Object.entries(values)) {
    let arrived: unknown = UNDECODABLE;
    try {
      arrived = travel(value);
    } catch (error) {
      assert.is((error as TuttiError).code, "Unencodable");
    }
    assert.ok(arrived === UNDECODABLE, `${name} arrives as ${shown(arrived)} without a word`);
  }
});

test("H45: NaN and infinities travel as they are, -0 travels as 0", () => {
  assert.ok(Number.isNaN(travel(NaN)));
  assert.equal(travel([Infinity, -Infinity]), [Infinity, -Infinity]);
  assert.ok(Object.is(travel(-0), 0));
  assert.ok(Object.is((travel([-0]) as number[])[0], 0));
});

test("H45: impossible dates are refused, and the first and last possible ones travel", () => {
  unencodable(new Date(NaN), /impossible date/);
  for (const time of [0, 1, -1, 8.64e15, -8.64e15, 1e12 + 1]) {
    assert.equal(travel(new Date(time)), new Date(time));
  }
  const seconds = (value: number): Uint8Array => {
    const bytes = new Uint8Array(10);
    bytes.set([0xc1, 0xfb]);
    new DataView(bytes.buffer).setFloat64(2, value);
    return bytes;
  };
  for (const value of [NaN, Infinity, -Infinity, 8.64e12 + 1, -8.64e12 - 1, 1e300]) {
    assert.match(fault(seconds(value)), /impossible date/);
  }
  assert.match(fault(0xc1, head64(0, 2n ** 63n)), /impossible date/);
  assert.match(fault(0xc1, head64(1, 2n ** 63n)), /impossible date/);
  assert.match(fault(0xc1, 0xf9, 0x7e, 0x00), /impossible date/, "half precision");
  for (const item of [0x80, 0xa0, 0x60, 0x40, 0xf6, 0xf5, 0xc1]) assert.is.not(fault(0xc1, item, 0x00), "");
});

test("H45: a date comes back to the millisecond, however far it is", () => {
  const random = new Random(46);
  for (let round = 0; round < 10_000; round++) {
    const time = random.int(-8.64e15, 8.64e15);
    const arrived = (travel(new Date(time)) as Date).getTime();
    assert.is(
      arrived,
      time,
      `${new Date(time).toISOString()} was sent, ${new Date(arrived).toISOString()} arrived`,
    );
  }
});

test("H45: whatever date decodes is a possible one", () => {
  const random = new Random(45);
  for (let round = 0; round < 5000; round++) {
    const bytes = new Uint8Array(10).map(() => random.int(0, 255));
    bytes.set([0xc1, random.pick([0xfb, 0x1b, 0x3b])]);
    const value = decode(bytes);
    if (value === UNDECODABLE) continue;
    assert.instance(value, Date);
    assert.not(Number.isNaN((value as Date).getTime()));
  }
});

test("H46: text that is not UTF-8 is refused, in values and in keys", () => {
  const wrong = [
    [0xff],
    [0x80],
    [0xc3],
    [0xc0, 0x80],
    [0xed, 0xa0, 0x80], // a lone surrogate
    [0xed, 0xbf, 0xbf],
    [0xf5, 0x80, 0x80, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xe2, 0x82],
    [0xe0, 0x80, 0xaf],
  ];
  for (const bytes of wrong) {
    for (const padding of [0, 1, 30, 100, 5000]) {
      const value = join(new Uint8Array(padding).fill(0x61), new Uint8Array(bytes));
      const encoded = join(head(3, value.length), value);
      assert.is(fault(encoded), "text that is not valid UTF-8");
      assert.is(fault(0xa1, encoded, 0x00), "text that is not valid UTF-8");
    }
  }
});

test("H46: a lone surrogate is Unencodable, however long the text", () => {
  for (const lone of ["\ud800", "\udfff", "\udc00\ud800"]) {
    for (const padding of [0, 1, 30, 63, 64, 65, 200, 10_000]) {
      const value = "x".repeat(padding) + lone + "y";
      let arrived: unknown = UNDECODABLE;
      try {
        arrived = travel(value);
      } catch (error) {
        assert.is((error as TuttiError).code, "Unencodable");
      }
      const words = `${padding} letters and ${JSON.stringify(lone)} were sent, and something else arrived`;
      assert.ok(arrived === UNDECODABLE || arrived === value, words);
    }
  }
});

test("H46: texts with NUL, newline and | travel as they are", () => {
  for (const value of ["a|b", "a\nb", "a\0b", "\x1b[31m", "\u2028", "x".repeat(MIB - 10)]) {
    assert.is(travel(value), value);
  }
});

// ---- whatever comes ----

test("random bytes never throw and never hang when they are decoded", () => {
  const random = new Random(37);
  for (let round = 0; round < 20_000; round++) {
    const bytes = new Uint8Array(random.int(0, 64)).map(() => random.int(0, 255));
    bounded(
      `decoding random bytes, round ${round}`,
      () => decodeValue(Encoding.cbor, bytes, 0, bytes.length),
    );
  }
});

test("a value never throws and never hangs when bits of it are flipped", () => {
  const random = new Random(38);
  fc.assert(
    fc.property(anyValue, (value) => {
      const original = encodeValue(value);
      if (original.encoding !== Encoding.cbor) return;
      for (let round = 0; round < 20; round++) {
        const bytes = new Uint8Array(original.bytes);
        for (let flip = random.int(1, 4); flip > 0; flip--) {
          bytes[random.int(0, bytes.length - 1)] ^= 1 << random.int(0, 7);
        }
        bounded("decoding with flips", () => decodeValue(Encoding.cbor, bytes, 0, bytes.length));
      }
    }),
    { numRuns: 500 },
  );
});

test("an unknown encoding is never decoded as bytes", () => {
  for (const encoding of [2, 3, 255]) {
    assert.is(decodeValue(encoding, new Uint8Array([0xff]), 0, 1), UNDECODABLE);
  }
});

/** A megabyte of what costs most to decode, one item over and over. */
const EXPENSIVE: Readonly<Record<string, () => Uint8Array>> = {
  "small numbers": () => repeated(VALUE_ITEMS_MAX - 2, new Uint8Array([1])),
  "empty arrays": () => repeated(VALUE_ITEMS_MAX - 2, new Uint8Array([0x80])),
  "empty maps": () => repeated(VALUE_ITEMS_MAX - 2, new Uint8Array([0xa0])),
  "empty byte strings": () => repeated(VALUE_ITEMS_MAX - 2, new Uint8Array([0x40])),
  "short texts": () => repeated(Math.floor((MIB - 5) / 3), new Uint8Array([0x62, 0xc3, 0xa9])),
  "dates": () => repeated(Math.floor(MIB / 3) - 2, new Uint8Array([0xc1, 0x18, 0x20])),
  "big integers of 64 bytes": () =>
    repeated(Math.floor(MIB / 67) - 1, join(0xc2, 0x58, 64, new Uint8Array(64).fill(255))),
  "keys of an object": () => manyKeys((index) => text(index.toString(36))),
  "numbers as keys": () => manyKeys((index) => head(0, index)),
  "bytes": () => join(head(2, MIB - 5), new Uint8Array(MIB - 5)),
  "one long text": () => join(head(3, MIB - 5), new Uint8Array(MIB - 5).fill(0x61)),
};

function manyKeys(key: (index: number) => Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  let bytes = 5;
  for (let index = 0; bytes < MIB - 16; index++) {
    const part = join(key(index), 0x00);
    parts.push(part);
    bytes += part.length;
  }
  const whole = new Uint8Array(bytes);
  whole.set(head(5, parts.length));
  let offset = 5;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

for (const [name, make] of Object.entries(EXPENSIVE)) {
  test(`H38: a megabyte of ${name} does not hold up the event loop when it is decoded`, () => {
    const bytes = make();
    assert.ok(bytes.length <= MIB);
    bounded(`decoding a megabyte of ${name}`, () => decodeValue(Encoding.cbor, bytes, 0, bytes.length));
  });
}

test.run();

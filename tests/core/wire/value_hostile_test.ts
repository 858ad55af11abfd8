/** Hostile CBOR, by number: refused before anything is decoded, at once, and never with an error. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { TuttiError } from "../../../core/base/errors.ts";
import { Random } from "../../../core/base/random.ts";
import { VALUE_DEPTH_MAX, VALUE_WORK_MAX } from "../../../core/wire/limits.ts";
import { Encoding } from "../../../core/wire/message.ts";
import { decodeValue, encodeValue, UNDECODABLE } from "../../../core/wire/value.ts";
import {
  decode,
  fault,
  head,
  head64,
  join,
  MIB,
  repeated,
  shown,
  text,
  travel,
  unencodable,
} from "./cbor_bytes.ts";

const test = suite("wire/value/hostile");

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

test("H38: a million small numbers travel, and one more is refused", () => {
  const most = VALUE_WORK_MAX - 4; // the array itself costs as much as four numbers
  const numbers = (count: number): Uint8Array => repeated(count, new Uint8Array([0]));
  assert.is(fault(numbers(most)), "");
  assert.match(fault(numbers(most + 1)), /more parts than can be decoded at once/);
  assert.is((travel(new Array(most).fill(0)) as unknown[]).length, most);
  unencodable(new Array(most + 1).fill(0), /more parts than can be decoded at once/);
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
    assert.is(fault(0x81, 0xa2, 0x61, 0x61, 0x00, new Uint8Array(length), key, 0xa0), "the key __proto__");
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
      const entries = [new Uint8Array(first), 0, new Uint8Array(second), 1] as const;
      assert.is(fault(0xd9, 0x01, 0x03, 0xa2, ...entries), "a duplicate key", "in a Map");
      assert.is.not(fault(0xa2, ...entries), "", "in an object");
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
    unencodable(value, /it has/);
    unencodable({ list: [value] }, /it has/);
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
  for (const time of [0, 1, -1, 2 ** 41 * 1000, -(2 ** 41) * 1000, 1e12 + 1]) {
    assert.equal(travel(new Date(time)), new Date(time));
  }
  const seconds = (value: number): Uint8Array => {
    const bytes = new Uint8Array(10);
    bytes.set([0xc1, 0xfb]);
    new DataView(bytes.buffer).setFloat64(2, value);
    return bytes;
  };
  for (const value of [NaN, Infinity, -Infinity, 2 ** 41 + 1, -(2 ** 41) - 1, 8.64e12 + 1, 1e300]) {
    assert.match(fault(seconds(value)), /impossible date/);
  }
  assert.match(fault(0xc1, head64(0, 2n ** 63n)), /impossible date/);
  assert.match(fault(0xc1, head64(1, 2n ** 63n)), /impossible date/);
  assert.match(fault(0xc1, 0xf9, 0x7e, 0x00), /impossible date/, "half precision");
  for (const item of [0x80, 0xa0, 0x60, 0x40, 0xf6, 0xf5, 0xc1]) assert.is.not(fault(0xc1, item, 0x00), "");
});

test("H45: a date comes back to the millisecond, or is Unencodable, however far it is", () => {
  const random = new Random(46);
  for (let round = 0; round < 10_000; round++) {
    const time = random.int(-8.64e15, 8.64e15);
    let arrived = time;
    try {
      arrived = (travel(new Date(time)) as Date).getTime();
    } catch (error) {
      assert.is((error as TuttiError).code, "Unencodable");
      assert.ok(Math.abs(time) > 2 ** 41 * 1000);
    }
    assert.is(arrived, time, `${new Date(time).toISOString()} was sent`);
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

test.run();

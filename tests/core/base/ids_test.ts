/** Names and the order of members. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { compareNatural, GROUP_BYTES_MAX, hash32, isName, NAME_BYTES_MAX } from "../../../core/base/ids.ts";

const test = suite("base/ids");

test("W9: node2 comes before node10 when members are ordered", () => {
  const sorted = ["node1", "node2", "node10", "node10a", "node10b", "node11", "nodf"];
  const given = [...sorted].reverse();
  assert.equal(given.sort(compareNatural), sorted);
  assert.equal(
    ["tcp://10.0.0.10:80", "tcp://10.0.0.9:80", "tcp://10.0.0.9:8"].sort(compareNatural),
    ["tcp://10.0.0.9:8", "tcp://10.0.0.9:80", "tcp://10.0.0.10:80"],
  );
});

test("W9: numbers beyond 2^53 and with leading zeros compare as numbers", () => {
  assert.ok(compareNatural("n9007199254740993", "n9007199254740994") < 0);
  assert.ok(compareNatural(`n${"9".repeat(500)}`, `n1${"0".repeat(500)}`) < 0);
  assert.ok(compareNatural("n007", "n8") < 0);
  assert.ok(compareNatural("n08", "n7") > 0);
  assert.is.not(compareNatural("n07", "n7"), 0, "different names are never equal");
  assert.ok(compareNatural("a", "") > 0);
});

test("W9: the order of members is total: antisymmetric, transitive, equal only for equal names", () => {
  const name = fc.string({
    unit: fc.constantFrom("a", "b", "0", "1", "9", "10", "٣", "é", "-"),
    maxLength: 6,
  });
  fc.assert(
    fc.property(name, name, name, (a, b, c) => {
      const [ab, ba, bc, ac] = [
        compareNatural(a, b),
        compareNatural(b, a),
        compareNatural(b, c),
        compareNatural(a, c),
      ];
      assert.is(Math.sign(ab) + Math.sign(ba), 0);
      assert.is(ab === 0, a === b);
      if (ab <= 0 && bc <= 0) assert.ok(ac <= 0, `${a} ${b} ${c}`);
    }),
    { numRuns: 5000 },
  );
});

test("the order of members is the same whatever order they are given in", () => {
  fc.assert(fc.property(fc.array(fc.string({ maxLength: 5 }), { maxLength: 10 }), (names) => {
    const once = [...names].sort(compareNatural);
    assert.equal([...names].reverse().sort(compareNatural), once);
  }));
});

test("H46: a name is refused when it has white space, control characters, NUL or lone surrogates", () => {
  const bad = [
    "",
    " ",
    "a b",
    "a\n",
    "\ta",
    "a\0b",
    "\x7f",
    "\x1b[0m",
    "\u200b",
    "\u00a0",
    "\u2028",
    "\ud800",
    "a\udc00",
  ];
  for (const name of [...bad, "\ufeff", "\u202e", undefined, null, 5, {}, ["a"]]) {
    assert.not(isName(name, NAME_BYTES_MAX), JSON.stringify(name));
  }
});

test("H46: a name is taken when it is printable, in any script", () => {
  for (const name of ["P1", "a|b", "José", "名前", "🎻", "e\u0301", "tcp://[::1]:80", "<>&\"'"]) {
    assert.ok(isName(name, NAME_BYTES_MAX), name);
  }
});

test("H46: a name is taken at its most bytes, and refused one beyond, and at a megabyte at once", () => {
  for (const bytesMax of [NAME_BYTES_MAX, GROUP_BYTES_MAX]) {
    assert.ok(isName("x".repeat(bytesMax), bytesMax));
    assert.not(isName("x".repeat(bytesMax + 1), bytesMax));
    assert.ok(isName("é".repeat(bytesMax / 2), bytesMax));
    assert.not(isName("é".repeat(bytesMax / 2) + "x", bytesMax));
    assert.not(isName("x".repeat(1_000_000), bytesMax));
  }
});

test("the hash of a name is FNV-1a of its UTF-8 bytes", () => {
  assert.is(hash32(""), 0x811c9dc5);
  assert.is(hash32("a"), 0xe40c292c);
  assert.is(hash32("foobar"), 0xbf9cf968);
  assert.ok(hash32("é".repeat(1000)) >= 0);
});

test.run();

/**
 * Packets put together from parts: lost, repeated, reordered and forged ones (H48), and the frames on the wire (H33 to
 * H36).
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random } from "../../core/base/random.ts";
import { Assembler, PATIENCE_MS } from "../../transports/udp/assembly.ts";
import { type Counters, newCounters } from "../../transports/udp/counters.ts";
import {
  type Control,
  decodeControl,
  decodeFragment,
  decodePacket,
  decodeProbe,
  encodeControl,
  encodeFragment,
  encodePacket,
  encodeProbe,
  type Fragment,
  Kind,
  kindOf,
  NONCES_MAX,
} from "../../transports/udp/frames.ts";
import { datagramOf, Stationer } from "../../transports/udp/letter.ts";

const test = suite("udp assembly");
const BOOT = 0x1234_5678_9abc;
const DATAGRAM = 512;

function packetOf(random: Random, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, () => random.uint32() & 255);
}

/** The parts of a packet, as they come out of the wire. */
function partsOf(stationer: Stationer, packet: Uint8Array): Fragment[] {
  const letter = stationer.letter(packet);
  return Array.from({ length: letter.count }, (_, index) => {
    const datagram = datagramOf(letter, index);
    assert.ok(datagram.length <= DATAGRAM, `a datagram of ${datagram.length} bytes`);
    return decodeFragment(datagram) as Fragment;
  });
}

function setUp(
  bytesMax: number = 1 << 20,
): { assembler: Assembler; counters: Counters; stationer: Stationer } {
  const counters = newCounters();
  return { assembler: new Assembler(bytesMax, counters), counters, stationer: new Stationer(BOOT, DATAGRAM) };
}

/** Hands in parts. @returns What came out. */
function take(assembler: Assembler, parts: Iterable<Fragment>, nowMs: number = 0): Uint8Array[] {
  return [...parts].flatMap((part) => assembler.take(BOOT, part, nowMs) ?? []);
}

test("a packet comes out once and as it went in, whatever the order of its parts, also when all come twice", () => {
  const random = new Random(1);
  const { assembler, counters, stationer } = setUp();
  for (let round = 0; round < 200; round++) {
    const packet = packetOf(random, DATAGRAM + random.uint32() % 20_000);
    const parts = partsOf(stationer, packet);
    const both = [...parts, ...parts].sort(() => (random.uint32() & 1) - 0.5);
    const out = take(assembler, both);
    assert.is(out.length, 1);
    assert.equal(out[0], packet);
  }
  assert.is(assembler.count, 0);
  assert.is(assembler.bytes, 0);
  assert.is(counters.packetsCorrupt + counters.packetsIncomplete, 0);
  assert.ok(counters.fragmentsRepeated > 200);
});

test("a packet that lacks a part is given up after a while, and others come out meanwhile", () => {
  const random = new Random(2);
  const { assembler, counters, stationer } = setUp();
  const cut = partsOf(stationer, packetOf(random, 5000)).slice(1);
  assert.equal(take(assembler, cut), []);
  const packet = packetOf(random, 3000);
  assert.equal(take(assembler, partsOf(stationer, packet)), [packet]);
  assembler.expire(PATIENCE_MS - 1);
  assert.is(assembler.count, 1);
  assembler.expire(PATIENCE_MS);
  assert.is(assembler.count, 0);
  assert.is(assembler.bytes, 0);
  assert.is(counters.packetsIncomplete, 1);
});

test("ten thousand unfinished packets cost bounded memory, and each sender's own only", () => {
  const random = new Random(3);
  const { assembler, counters, stationer } = setUp(100_000);
  const other = 77;
  const packet = packetOf(random, 2000);
  const [first, ...rest] = partsOf(stationer, packet);
  assembler.take(other, first, 0);
  for (let count = 0; count < 10_000; count++) {
    take(assembler, partsOf(stationer, new Uint8Array(5000)).slice(0, 1), count / 100);
    assert.ok(assembler.count <= 9 && assembler.bytes <= 100_000, `${assembler.count} of ${assembler.bytes}`);
  }
  assert.equal(rest.flatMap((part) => assembler.take(other, part, 100) ?? []), [packet]);
  assert.is(counters.packetsIncomplete, 10_000 - assembler.count);
  // Many senders share one limit.
  for (let sender = 1000; sender < 2000; sender++) {
    assembler.take(sender, { ...first, length: 50_000, size: 400, payload: new Uint8Array(400) }, sender);
    assert.ok(assembler.bytes <= 100_000, `${assembler.bytes} bytes`);
  }
  for (let sender = 1000; sender < 2000; sender++) assembler.forget(sender);
  assembler.forget(BOOT);
  assert.is(assembler.count, 0);
  assert.is(assembler.bytes, 0);
});

test("forged parts never alter a packet, and parts that do not match are another packet's", () => {
  const random = new Random(4);
  const { assembler, counters, stationer } = setUp();
  for (let round = 0; round < 300; round++) {
    const packet = packetOf(random, 1000 + random.uint32() % 5000);
    const parts = partsOf(stationer, packet);
    const at = random.uint32() % parts.length;
    const victim = parts[at];
    const forged: Fragment[] = [
      { ...victim, payload: victim.payload.map((byte) => byte ^ 1) },
      { ...victim, checksum: victim.checksum ^ 1 },
      { ...victim, length: victim.length + victim.size, payload: new Uint8Array(victim.size) },
      { ...victim, number: victim.number ^ 0x8000_0000 },
    ];
    const forgery = forged[round % forged.length];
    const out = take(assembler, [...parts.slice(0, at), forgery, ...parts.slice(at)]);
    // The one with the right header and wrong bytes costs its packet; the others cost nothing.
    assert.equal(out, round % forged.length === 0 ? [] : [packet]);
  }
  assert.is(counters.packetsCorrupt, 75);
  assert.ok(assembler.count <= 8);
});

test("parts that no packet can have are refused", () => {
  const [part, , last] = partsOf(new Stationer(BOOT, DATAGRAM), packetOf(new Random(5), 1200));
  const encoded = (change: Partial<Fragment>): Fragment | undefined =>
    decodeFragment(encodeFragment(BOOT, { ...part, ...change }));
  assert.ok(encoded({}));
  assert.is(encoded({ index: 3 }), undefined); // beyond the end
  assert.is(encoded({ index: 65_535 }), undefined);
  assert.is(encoded({ index: 2 }), undefined); // the last one is shorter
  assert.is(encoded({ length: part.size }), undefined); // would not have been split
  assert.is(encoded({ length: 0 }), undefined);
  assert.is(encoded({ size: 0 }), undefined);
  assert.is(encoded({ size: 255, payload: new Uint8Array(255) }), undefined); // too many parts
  assert.is(encoded({ size: part.size + 1 }), undefined);
  assert.is(encoded({ payload: new Uint8Array(0) }), undefined);
  assert.is(
    decodeFragment(encodeFragment(BOOT, { ...last, payload: new Uint8Array(last.payload.length + 1) })),
    undefined,
  );
});

test("every datagram that is cut anywhere, or longer, or of another kind or version is refused", () => {
  const control: Control = {
    kind: Kind.hello,
    boot: BOOT,
    token: 0xffff_ffff_ffff,
    echo: 1,
    host: "192.168.255.1",
    port: 65_535,
    nonce: 0xffff_ffff,
    known: true,
    copies: false,
    deaf: true,
    final: false,
  };
  assert.equal(decodeControl(encodeControl(control)), control);
  const nonces = Array.from({ length: NONCES_MAX }, (_, index) => index + 1);
  assert.equal(decodeProbe(encodeProbe(BOOT, nonces)), nonces);
  assert.is(decodeProbe(encodeProbe(BOOT, [...nonces, 1])), undefined);
  assert.equal(decodePacket(encodePacket(BOOT, Uint8Array.of(1, 2))), Uint8Array.of(1, 2));
  const cases: [Uint8Array, (bytes: Uint8Array) => unknown][] = [
    [encodeControl(control), decodeControl],
    [encodePacket(BOOT, new Uint8Array(30)), decodePacket],
    [
      partsOf(new Stationer(BOOT, DATAGRAM), new Uint8Array(600)).map((part) =>
        encodeFragment(BOOT, part)
      )[0],
      decodeFragment,
    ],
  ];
  for (const [datagram, decode] of cases) {
    assert.ok(kindOf(datagram) !== undefined);
    for (let bytes = 0; bytes < datagram.length; bytes++) {
      const cut = datagram.subarray(0, bytes);
      if (kindOf(cut) !== undefined) assert.is(decode(cut), undefined, `${bytes} of ${datagram.length}`);
    }
    const longer = new Uint8Array(datagram.length + 1);
    longer.set(datagram);
    assert.is(decode(longer), undefined);
    for (const [offset, value] of [[0, 0x55], [1, 0x55], [2, 0], [3, 2], [4, 7], [4, 255]]) {
      const other = datagram.slice();
      other[offset] = value;
      assert.is(kindOf(other), undefined);
    }
  }
  for (const change of [{ boot: 0 }, { token: 0 }]) {
    assert.is(decodeControl(encodeControl({ ...control, ...change })), undefined);
  }
  const flagged = encodeControl(control);
  flagged[33] |= 16;
  assert.is(decodeControl(flagged), undefined);
});

test.run();

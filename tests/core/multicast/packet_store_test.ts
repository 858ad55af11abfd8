/** The packet store against a naive model: a plain list of packets, searched from end to end. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { PacketStore } from "../../../core/multicast/packet_store.ts";

const test = suite("multicast/packet_store");

/** A list without any cleverness, with the same rules: what is contained in a held packet is not added, and gives way. */
class Model {
  packets: { first: number; last: number; packet: Uint8Array }[] = [];

  add(first: number, last: number, packet: Uint8Array): void {
    if (this.covers(first, last)) return;
    this.packets = this.packets.filter((held) => !(held.first >= first && held.last <= last));
    this.packets.push({ first, last, packet });
    this.packets.sort((a, b) => a.first - b.first);
  }

  covers(first: number, last: number): boolean {
    return this.packets.some((held) => held.first <= first && held.last >= last);
  }

  carries(sequence: number): boolean {
    return this.covers(sequence, sequence);
  }

  firstMissing(from: number): number {
    let sequence = from;
    while (this.carries(sequence)) sequence++;
    return sequence;
  }

  gaps(from: number, through: number, pairsMax: number): number[] {
    const pairs: number[] = [];
    for (let sequence = from; sequence <= through; sequence++) {
      if (this.carries(sequence)) continue;
      if (pairs.length > 0 && pairs[pairs.length - 1] === sequence - 1) pairs[pairs.length - 1] = sequence;
      else if (pairs.length < pairsMax * 2) pairs.push(sequence, sequence);
      else break;
    }
    return pairs;
  }

  nextHeld(sequence: number): number {
    return this.packets.find((held) => held.first > sequence)?.first ?? 0;
  }

  pruneThrough(sequence: number): void {
    this.packets = this.packets.filter((held) => held.last > sequence);
  }

  get bytes(): number {
    return this.packets.reduce((sum, held) => sum + PacketStore.cost(held.packet), 0);
  }
}

const LAST = 60;

const step = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant("add"), fc.integer({ min: 1, max: LAST }), fc.nat(12)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant("prune"), fc.nat(LAST), fc.constant(0)) },
);

test("the store agrees with a naive list after any steps", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const store = new PacketStore();
      const model = new Model();
      let floor = 0;
      steps.forEach(([what, at, length], index) => {
        if (what === "prune") {
          floor = Math.max(floor, at);
          store.pruneThrough(at);
          model.pruneThrough(at);
        } else {
          const packet = new Uint8Array(length).fill(index);
          store.add(at, at + length, packet);
          model.add(at, at + length, packet);
        }
        compare(store, model);
      });
    }),
    { numRuns: 400 },
  );
});

function compare(store: PacketStore, model: Model): void {
  assert.is(store.size, model.packets.length);
  assert.is(store.bytes, model.bytes);
  assert.is(store.first, model.packets[0]?.first ?? 0);
  for (let sequence = 0; sequence <= LAST + 15; sequence++) {
    const packet = store.find(sequence);
    assert.is(packet !== undefined, model.carries(sequence), `sequence ${sequence}`);
    if (packet !== undefined) {
      const held = model.packets.find((candidate) => candidate.packet === packet);
      assert.ok(held !== undefined && held.first <= sequence && held.last >= sequence);
    }
    assert.is(store.nextHeld(sequence), model.nextHeld(sequence));
    if (sequence > 0) assert.is(store.firstMissing(sequence), model.firstMissing(sequence));
    assert.is(store.covers(sequence, sequence + 3), model.covers(sequence, sequence + 3));
  }
  for (const [from, through, pairsMax] of [[1, LAST + 15, 100], [5, 30, 100], [1, LAST, 2], [20, 10, 5]]) {
    assert.equal(store.gaps(from, through, pairsMax), model.gaps(from, through, pairsMax));
  }
}

test("bytes go back to 0 when everything is pruned", () => {
  const store = new PacketStore();
  for (let sequence = 1; sequence <= 5000; sequence++) {
    store.add(sequence, sequence, new Uint8Array(10));
    if (sequence % 7 === 0) store.pruneThrough(sequence - 3);
  }
  assert.is(store.first, 4996);
  assert.is(store.size, 5);
  store.pruneThrough(5000);
  assert.equal([store.bytes, store.size, store.first], [0, 0, 0]);
  assert.is(store.find(1), undefined);
  assert.equal(store.gaps(1, 3, 32), [1, 3]);
});

test("a packet is dropped only when all of its sequences are pruned", () => {
  const store = new PacketStore();
  store.add(1, 10, new Uint8Array(1));
  store.pruneThrough(9);
  assert.is.not(store.find(10), undefined);
  store.pruneThrough(10);
  assert.is(store.size, 0);
});

test("gaps stop at the most pairs that are asked for", () => {
  const store = new PacketStore();
  for (let sequence = 2; sequence <= 200; sequence += 2) store.add(sequence, sequence, new Uint8Array(1));
  assert.is(store.gaps(1, 200, 32).length, 64);
  assert.equal(store.gaps(1, 200, 1), [1, 1]);
  assert.is(store.gaps(1, 200, 1000).length, 200);
});

test("H53: what many empty packets cost is counted", () => {
  const store = new PacketStore();
  for (let sequence = 1; sequence <= 1000; sequence++) store.add(sequence, sequence, new Uint8Array(0));
  assert.ok(store.bytes >= 1000 * 16, "entries cost memory, too");
});

test.run();

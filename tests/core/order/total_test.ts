/** The total order: what is placed, what is released, and what becomes of the rest at the end of a view. */
import fc from "fast-check";
import { memoryUsage } from "node:process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { OrderedStream } from "../../../core/order/hold_back.ts";
import { LamportEngine } from "../../../core/order/lamport.ts";
import { Sequencer } from "../../../core/order/sequencer.ts";
import { TotalOrder } from "../../../core/order/total.ts";
import { WaitingMessages } from "../../../core/order/waiting.ts";

const test = suite("order/total");

interface Member {
  readonly order: TotalOrder<OrderedStream, string>;
  readonly sequencer: Sequencer;
  readonly lamport: LamportEngine;
  readonly streams: OrderedStream[];
  readonly released: string[];
}

/** A member of a view of so many, led by the first. */
function member(
  size: number,
  self: number,
  how: "sequencer" | "lamport",
  uniform: boolean,
  hasRoom?: () => boolean,
): Member {
  const released: string[] = [];
  const sequencer = new Sequencer();
  const lamport = new LamportEngine();
  const engine = how === "sequencer" ? sequencer : lamport;
  const order = new TotalOrder<OrderedStream, string>(
    engine,
    uniform,
    (_stream, { packet, count, position }) => {
      for (let index = 0; index < count; index++) released.push(`${position + index}:${packet}`);
    },
    hasRoom,
  );
  const streams = Array.from({ length: size }, (_, rank) => ({
    rank,
    incarnation: 100 + rank,
    released: 0,
    lastMessage: 0,
    stable: 0,
  }));
  order.begin(streams, self, 0, 0);
  return { order, sequencer, lamport, streams, released };
}

function offer({ order, streams }: Member, rank: number, sequence: number, time: number): void {
  order.offer(streams[rank], sequence, [], time, `${"abc"[rank]}${sequence}`, 0, 0);
  order.review();
}

test("a message is released when its place is known and it is here, whichever comes first", () => {
  const b = member(3, 1, "sequencer", false);
  offer(b, 2, 1, 5);
  assert.equal(b.released, []);
  assert.ok(b.sequencer.order(0, 1, [1, 2, 1, 1, 1]));
  b.order.review();
  assert.equal(b.released, ["1:c1"]);
  offer(b, 1, 1, 9);
  assert.equal(b.released, ["1:c1", "2:b1"]);
});

test("safe: a message is released once a majority has placed it, the leader by its ORDER", () => {
  const b = member(5, 1, "sequencer", true);
  offer(b, 2, 1, 5);
  b.sequencer.order(0, 1, [1, 2, 1]);
  b.order.review();
  assert.equal(b.released, [], "two of five");
  b.order.acknowledge(4, 1, 0);
  assert.equal(b.released, ["1:c1"]);
});

test("safe: what a majority has placed is not released before it is placed here", () => {
  const b = member(3, 1, "sequencer", true);
  b.order.acknowledge(2, 7, 7);
  assert.equal(b.released, []);
  b.sequencer.order(0, 1, [1, 2, 2]);
  offer(b, 2, 1, 5);
  assert.equal(b.released, ["1:c1"]);
});

test("the leader's ORDER covers what is here, and its own messages that are not offered yet", () => {
  const a = member(3, 0, "sequencer", false);
  offer(a, 1, 1, 3);
  offer(a, 1, 2, 4);
  a.order.unsent = 2;
  const order = a.sequencer.assign(a.order.queues, a.order.unsent);
  assert.equal(order, [1, 0, 2, 1, 2]);
  a.sequencer.order(0, 3, order as number[]);
  assert.is(a.sequencer.assign(a.order.queues, a.order.unsent), undefined, "nothing is ordered twice");
  offer(a, 0, 1, 5);
  offer(a, 0, 2, 6);
  assert.equal(a.released, ["1:a1", "2:a2", "3:b1", "4:b2"]);
});

test("an ORDER is passed only when all its positions are released", () => {
  const b = member(3, 1, "sequencer", false);
  b.sequencer.order(0, 1, [1, 1, 1, 2, 1]);
  offer(b, 1, 1, 3);
  assert.is(b.streams[0].released, 0);
  offer(b, 2, 1, 3);
  assert.is(b.streams[0].released, 1);
});

test("nobody but the leader gives positions, and nobody leaves some out", () => {
  const b = member(3, 1, "sequencer", false);
  assert.not(b.sequencer.order(2, 1, [1, 1, 1]));
  assert.not(b.sequencer.order(0, 1, [2, 1, 1]));
});

test("one that joins in the middle of an ORDER skips what its state covers", () => {
  const c = member(3, 2, "sequencer", false);
  c.order.begin(c.streams, 2, 0, 7);
  assert.ok(c.sequencer.order(0, 9, [5, 1, 2, 2, 3]));
  offer(c, 2, 4, 3);
  offer(c, 2, 5, 4);
  assert.equal(c.released, ["8:c4", "9:c5"]);
});

test("lamport: a message is released once everybody was heard beyond its time", () => {
  const b = member(3, 1, "lamport", false);
  offer(b, 2, 1, 5);
  assert.equal(b.released, []);
  b.lamport.hear(0, 0, 4, 0);
  b.order.review();
  assert.equal(b.released, [], "something of time 5 and a lower rank may come");
  b.lamport.hear(0, 0, 5, 0);
  b.order.review();
  assert.equal(b.released, ["1:c1"]);
});

test("lamport: what a member says of its time counts once all that it had sent is here", () => {
  const b = member(3, 1, "lamport", false);
  offer(b, 2, 1, 5);
  b.lamport.hear(0, 1, 9, 0);
  b.order.review();
  assert.equal(b.released, [], "its first message may be earlier");
  offer(b, 0, 1, 4);
  assert.equal(b.released, ["1:a1", "2:c1"]);
});

test("lamport: nothing overtakes an own message that is on its way", () => {
  const b = member(2, 1, "lamport", false);
  b.order.unsent = 1; // at time 3
  offer(b, 0, 1, 5);
  assert.equal(b.released, []);
  offer(b, 1, 1, 3);
  assert.equal(b.released, ["1:b1", "2:a1"]);
});

test("at the end of a view comes what has a place, and then the rest by time and rank", () => {
  const b = member(3, 1, "sequencer", true);
  b.sequencer.order(0, 1, [1, 2, 1, 1, 5]);
  offer(b, 0, 2, 8);
  offer(b, 1, 1, 8);
  offer(b, 2, 1, 9);
  offer(b, 2, 2, 10);
  offer(b, 0, 3, 10);
  b.order.finish();
  assert.equal(b.released, ["1:c1", "2:b1", "3:a2", "4:a3", "5:c2"]);
});

test("members that got the same cut in whatever order end a view alike", () => {
  const ops = fc.array(
    fc.record({ rank: fc.integer({ min: 0, max: 2 }), gap: fc.integer({ min: 1, max: 3 }) }),
    {
      maxLength: 40,
    },
  );
  fc.assert(fc.property(ops, fc.infiniteStream(fc.nat(2)), fc.boolean(), (sent, picks, lamport) => {
    const how = lamport ? "lamport" : "sequencer";
    const queues: [number, number][][] = [[], [], []];
    let time = 0;
    for (const { rank, gap } of sent) queues[rank].push([queues[rank].length + 1, time += gap]);
    const ends = [0, 1, 2].map((self) => {
      const one = member(3, lamport ? -1 : self, how, true); // an own message never is earlier than what came before
      const left = queues.map((queue) => [...queue]);
      while (left.some((queue) => queue.length > 0)) {
        const rank = picks.next().value as number;
        const next = left[rank].shift();
        if (next !== undefined) offer(one, rank, next[0], next[1]);
      }
      one.order.finish();
      return one.released.join(" ");
    });
    assert.is(ends[0], ends[1]);
    assert.is(ends[1], ends[2]);
  }));
});

test("without room nothing more is released, but whole packets, until there is some or the view ends", () => {
  let room = 0;
  const a = member(1, 0, "sequencer", false, () => room-- > 0);
  for (let sequence = 1; sequence <= 9; sequence++) {
    a.order.offer(a.streams[0], sequence, [], sequence, `packet ${Math.ceil(sequence / 3)}`, 0, 0);
  }
  a.sequencer.order(0, 1, [1, 0, 9]);
  a.order.review();
  assert.equal([a.released.length, a.order.position, a.order.placed], [0, 0, 9]);
  room = 1;
  a.order.review();
  assert.equal(a.released, ["1:packet 1", "2:packet 1", "3:packet 1"]);
  assert.equal([a.order.position, a.streams[0].released, a.streams[0].lastMessage], [3, 3, 3]);
  a.order.review(true);
  assert.equal(a.released.slice(3), [4, 5, 6, 7, 8, 9].map((at) => `${at}:packet ${Math.ceil(at / 3)}`));
  assert.equal([a.order.position, a.streams[0].released, a.order.held], [9, 9, 0]);
});

test("whenever there is room, the same is released in the end", () => {
  fc.assert(fc.property(
    fc.array(fc.tuple(fc.nat(2), fc.integer({ min: 1, max: 4 })), { minLength: 1, maxLength: 20 }),
    fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }),
    (packets, rooms) => {
      let asked = 0;
      const [all, some] = [undefined, () => rooms[asked++ % rooms.length]].map((hasRoom) => {
        const one = member(3, 0, "sequencer", false, hasRoom);
        const last = [0, 0, 0];
        let position = 1;
        packets.forEach(([rank, count], index) => {
          for (let left = count; left > 0; left--) {
            const sequence = ++last[rank];
            one.order.offer(one.streams[rank], sequence, [], sequence, `packet ${index}`, 0, 0);
          }
          one.sequencer.order(0, ++last[0], [position, rank, count]);
          position += count;
          one.order.review();
        });
        one.order.finish();
        assert.equal(one.streams.map(({ released }) => released), last);
        return one.released;
      });
      assert.equal(some, all);
    },
  ));
});

test("what was released is not kept, though some always waits", () => {
  const waiting = new WaitingMessages<OrderedStream, Uint8Array>();
  const [stream] = member(1, 0, "sequencer", false).streams;
  const MIB = 2 ** 20;
  const before = memoryUsage().rss;
  for (let sequence = 1; sequence <= 900; sequence++) {
    waiting.push(sequence, sequence, new Uint8Array(MIB).fill(1), 0, 1);
    waiting.place(1);
    if (sequence > 3) waiting.release(stream, 1, sequence - 3, () => {});
  }
  const grown = (memoryUsage().rss - before) / MIB;
  assert.ok(grown < 500, `${grown.toFixed(0)} MiB of 900`);
});

test.run();

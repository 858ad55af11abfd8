/** The order stages: fifo releases at once, causal holds back until all causes were released. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { Random } from "../../../core/base/random.ts";
import { CausalOrder } from "../../../core/order/causal.ts";
import { FifoOrder } from "../../../core/order/fifo.ts";
import type { OrderedStream } from "../../../core/order/hold_back.ts";

const test = suite("order");

interface Stream extends OrderedStream {
  stable: number;
}

const NONE: readonly number[] = [];

function stream(rank: number): Stream {
  return { rank, incarnation: 100 + rank, released: 0, lastMessage: 0, stable: 0 };
}

/** A dependency on a message of a stream. */
function on({ rank, incarnation }: Stream, sequence: number): number[] {
  return [rank, incarnation, sequence];
}

/** A causal stage among some streams, and what it has released. */
function causal(streams: readonly Stream[]): { order: CausalOrder<Stream, string>; released: string[] } {
  const released: string[] = [];
  const order = new CausalOrder<Stream, string>(
    (_stream, message) => released.push(message),
    (_stream, rank, incarnation, sequence) => {
      const found = streams.find((candidate) =>
        candidate.rank === rank && candidate.incarnation === incarnation
      );
      return found === undefined || found.released >= sequence;
    },
  );
  return { order, released };
}

test("fifo releases every message as it comes", () => {
  const released: string[] = [];
  const order = new FifoOrder<Stream, string>((_stream, message) => released.push(message));
  const [a, b] = [stream(0), stream(1)];
  order.offer(a, 1, NONE, 0, "a1", 0, 0);
  order.offer(b, 1, NONE, 0, "b1", 0, 0);
  order.offer(a, 2, NONE, 0, "a2", 0, 0);
  order.review();
  order.truncate();
  assert.equal(released, ["a1", "b1", "a2"]);
  assert.equal([a.released, b.released, order.held, order.dependencies().length], [2, 1, 0, 0]);
});

test("a message is held back until its cause was released", () => {
  const [a, b] = [stream(0), stream(1)];
  const { order, released } = causal([a, b]);
  order.offer(b, 1, on(a, 1), 0, "answer", 0, 0);
  assert.equal([released.length, order.held, b.released], [0, 1, 0]);
  order.offer(a, 1, NONE, 0, "question", 0, 0);
  assert.equal(released, ["question", "answer"]);
  assert.equal([order.held, a.released, b.released], [0, 1, 1]);
});

test("a chain of causes is released in one go when its first one comes", () => {
  const streams = [0, 1, 2, 3].map(stream);
  const { order, released } = causal(streams);
  order.offer(streams[3], 1, on(streams[2], 1), 0, "d", 0, 0);
  order.offer(streams[2], 1, on(streams[1], 1), 0, "c", 0, 0);
  order.offer(streams[1], 1, on(streams[0], 1), 0, "b", 0, 0);
  assert.is(order.held, 3);
  order.offer(streams[0], 1, NONE, 0, "a", 0, 0);
  assert.equal(released, ["a", "b", "c", "d"]);
});

test("a stream keeps its own order when its first message is held back", () => {
  const [a, b] = [stream(0), stream(1)];
  const { order, released } = causal([a, b]);
  order.offer(b, 1, on(a, 1), 0, "b1", 0, 0);
  order.offer(b, 2, NONE, 0, "b2", 0, 0);
  order.offer(b, 3, on(a, 2), 0, "b3", 0, 0);
  assert.equal(released, []);
  order.offer(a, 1, NONE, 0, "a1", 0, 0);
  assert.equal(released, ["a1", "b1", "b2"]);
  assert.is(order.held, 1);
  order.offer(a, 2, NONE, 0, "a2", 0, 0);
  assert.equal(released, ["a1", "b1", "b2", "a2", "b3"]);
});

test("a message waits for all of its causes", () => {
  const [a, b, c] = [0, 1, 2].map(stream);
  const { order, released } = causal([a, b, c]);
  order.offer(c, 1, [...on(a, 2), ...on(b, 1)], 0, "c1", 0, 0);
  order.offer(a, 1, NONE, 0, "a1", 0, 0);
  order.offer(b, 1, NONE, 0, "b1", 0, 0);
  assert.equal(released, ["a1", "b1"]);
  order.offer(a, 2, NONE, 0, "a2", 0, 0);
  assert.equal(released, ["a1", "b1", "a2", "c1"]);
});

test("dependencies name what was released and is not stable", () => {
  const [a, b, c] = [0, 1, 2].map(stream);
  const { order } = causal([a, b, c]);
  a.released = 5;
  a.stable = 4;
  b.released = 3;
  b.stable = 3;
  assert.equal(order.dependencies([a, b, c], c), [0, 100, 5]);
  assert.equal(order.dependencies([a, b, c], a), [], "nor the own stream: it is in order anyway");
});

test("review releases what need wait no longer, and truncate drops what is held beyond the cut", () => {
  const [a, b] = [stream(0), stream(1)];
  const streams = [a, b];
  const { order, released } = causal(streams);
  order.offer(b, 1, on(a, 9), 0, "b1", 0, 0);
  order.review();
  assert.equal(released, []);
  streams.shift(); // nobody can get it any more
  order.review();
  assert.equal(released, ["b1"]);
  streams.unshift(a);
  order.offer(b, 2, on(a, 9), 0, "b2", 0, 0);
  order.offer(b, 3, NONE, 0, "b3", 0, 0);
  order.offer(b, 4, NONE, 0, "b4", 0, 0);
  assert.is(order.held, 3);
  order.truncate(a, 0);
  order.truncate(b, 4);
  assert.is(order.held, 3, "nothing of it is beyond the cut");
  order.truncate(b, 3);
  assert.is(order.held, 2);
  order.offer(a, 9, NONE, 0, "a9", 0, 0);
  assert.equal(released, ["b1", "a9", "b2", "b3"]);
  order.offer(b, 5, on(a, 99), 0, "b5", 0, 0);
  order.truncate(b, 3);
  order.review();
  assert.equal([order.held, released.length], [0, 4]);
});

test("no effect is released before its cause when arrivals are in any order", () => {
  fc.assert(fc.property(fc.integer(), (seed) => {
    const random = new Random(seed);
    const run = randomRun(random);
    // Each receiver gets every stream in order, and the streams in any interleaving.
    const streams = [0, 1, 2].map(stream);
    const { order, released } = causal(streams);
    const next = [0, 0, 0];
    while (next.some((at, rank) => at < run.sent[rank].length)) {
      const rank = random.pick([0, 1, 2].filter((candidate) => next[candidate] < run.sent[candidate].length));
      const { name, causes } = run.sent[rank][next[rank]++];
      order.offer(streams[rank], next[rank], causes, 0, name, 0, 0);
    }
    assert.is(order.held, 0);
    assert.is(released.length, run.past.size);
    for (const [name, past] of run.past) {
      for (const cause of past) {
        assert.ok(released.indexOf(cause) < released.indexOf(name), `${cause} before ${name}`);
      }
    }
  }));
});

interface Run {
  readonly sent: { name: string; causes: number[] }[][];
  /** Everything that could have influenced a message. */
  readonly past: Map<string, Set<string>>;
}

/** Three members that send and deliver; each message with the causes that the stage would name. */
function randomRun(random: Random): Run {
  const run: Run = { sent: [[], [], []], past: new Map() };
  const members = [0, 1, 2].map(() => [0, 1, 2].map(stream));
  const seen = [0, 1, 2].map(() => new Set<string>());
  for (let step = 0; step < 40; step++) {
    const rank = random.int(0, 2);
    const other = random.int(0, 2);
    const streams = members[rank];
    if (random.chance(0.4)) {
      const sequence = run.sent[rank].length + 1;
      const name = `${rank}-${sequence}`;
      const causes = streams.filter(({ rank: at, released }) => at !== rank && released > 0)
        .flatMap((of) => on(of, of.released));
      run.past.set(name, new Set(seen[rank]));
      run.sent[rank].push({ name, causes });
      seen[rank].add(name);
      continue;
    }
    const at = streams[other];
    const message = run.sent[other][at.released];
    if (other === rank || message === undefined) continue;
    // Delivered only when its causes were.
    const past = run.past.get(message.name) as Set<string>;
    if ([...past].some((cause) => !seen[rank].has(cause))) continue;
    at.released++;
    seen[rank].add(message.name);
  }
  return run;
}

test.run();

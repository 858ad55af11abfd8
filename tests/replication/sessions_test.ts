/** Sessions: a command takes effect once, results are remembered within bounds, and everybody forgets the same (W17, H56). */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import type { TuttiError } from "../../core/base/errors.ts";
import { Random } from "../../core/base/random.ts";
import { OutcomeCode, textOf } from "../../core/replication/outcome.ts";
import { completeSessionLimits, DEFAULT_SESSION_LIMITS } from "../../core/replication/sessions.ts";
import type { Command } from "../../core/wire/command.ts";
import { add, encoded, Feed, oneOfEach, restoreAll, set, snapshotOf, tell } from "./commands.ts";

const test = suite("replication/sessions");

test("a command takes effect once, and gets the same result, when it is repeated", () => {
  const feed = new Feed(oneOfEach());
  const client = feed.open(77);
  const first = client.execute("hits", add(5));
  const again = feed.apply(client.again(1, "hits", add(5)));
  assert.is(tell(again), tell(first));
  // Not even another operation under that number does anything.
  assert.is(tell(feed.apply(client.again(1, "hits", add(100)))), tell(first));
  assert.is(tell(client.execute("hits", add(0))), tell(first), "the counter has changed");
});

test("commands of one session take effect once each when they overtake each other", () => {
  const feed = new Feed(oneOfEach());
  const client = feed.open(1);
  const third = client.again(3, "hits", add(100), 1);
  const second = client.again(2, "hits", add(10), 1);
  const first = client.again(1, "hits", add(1), 1);
  for (const command of [third, first, third, second, first, second]) feed.apply(command);
  client.sequence = 3;
  assert.is(tell(client.execute("hits", add(0))), tell(feed.apply(client.again(4, "hits", add(0)))));
  assert.is(tell(feed.apply(client.again(4, "hits", add(0)))), `done ${[...add(111).bytes].join(" ")}`);
});

test("a result is forgotten when its client awaits it no more, and the command is refused from then on", () => {
  const [one] = [oneOfEach()];
  const feed = new Feed(one);
  const client = feed.open(1);
  client.execute("hits", add(1));
  assert.ok(one.sessions.find(1, client.session, 1));
  client.execute("hits", add(1)); // awaits 2 only
  assert.is(one.sessions.find(1, client.session, 1), undefined);
  assert.is(feed.apply(client.again(1, "hits", add(1))).code, OutcomeCode.stale);
  assert.is(tell(client.execute("hits", add(0))), `done ${[...add(2).bytes].join(" ")}`);
});

test("a client that jumps far ahead costs no work for what is between", () => {
  const feed = new Feed(oneOfEach());
  const client = feed.open(1);
  client.execute("hits", add(1));
  client.sequence = Number.MAX_SAFE_INTEGER - 1;
  assert.is(client.execute("hits", add(1)).code, OutcomeCode.done);
});

test("opening again finds the session that is open", () => {
  const feed = new Feed(oneOfEach());
  const { session } = feed.open(5);
  feed.open(6);
  assert.is(feed.open(5).session, session);
});

test("the session used least recently is forgotten when there is one past the limit", () => {
  const feed = new Feed(oneOfEach({ sessionsMax: 3 }));
  const clients = [1, 2, 3].map((client) => feed.open(client));
  clients[0].execute("hits", add(1)); // so that the second is the least recently used one
  const fourth = feed.open(4);
  assert.is(clients[0].execute("hits", add(1)).code, OutcomeCode.done);
  assert.is(clients[2].execute("hits", add(1)).code, OutcomeCode.done);
  assert.is(fourth.execute("hits", add(1)).code, OutcomeCode.done);
  assert.is(clients[1].execute("hits", add(1)).code, OutcomeCode.expired);
});

test("a command in flight is refused when its session was forgotten and opened again meanwhile", () => {
  const feed = new Feed(oneOfEach({ sessionsMax: 1 }));
  const client = feed.open(1);
  const command = client.command("hits", add(1));
  assert.is(feed.apply(command).code, OutcomeCode.done);
  feed.open(2); // forgets the first
  assert.is(feed.apply(command).code, OutcomeCode.expired);
  const reopened = feed.open(1);
  assert.not(reopened.session === client.session);
  assert.is(feed.apply(command).code, OutcomeCode.expired, "the same client, and yet another session");
  assert.is(tell(reopened.execute("hits", add(0))), `done ${[...add(1).bytes].join(" ")}`);
});

test("a session may await as many results as the limit says, and not one more", () => {
  const feed = new Feed(oneOfEach({ pendingMax: 4 }));
  const client = feed.open(1);
  for (let count = 1; count <= 4; count++) {
    assert.is(client.execute("hits", add(1), 1).code, OutcomeCode.done);
  }
  const fifth = client.execute("hits", add(1), 1);
  assert.is(fifth.code, OutcomeCode.busy);
  assert.is(feed.apply(client.again(5, "hits", add(1), 2)).code, OutcomeCode.done, "it may come again");
});

test("results are remembered up to the limit in bytes, and one session has an eighth at most", () => {
  const limits = { bytesMax: 1024 * 1024, resultBytesMax: 60 * 1024 };
  const one = oneOfEach(limits);
  const feed = new Feed(one, oneOfEach(limits));
  const clients = Array.from({ length: 10 }, (_, index) => feed.open(index + 1));
  const large = encoded("large");
  // Each may await one large failure text; results are what counts here, so a machine with results of its own is asked.
  for (const client of clients) assert.is(client.execute("mine", large, 1).code, OutcomeCode.tooLarge);
  let refused = 0;
  for (let round = 0; round < 3000; round++) {
    if (clients[0].execute("mine", encoded(`${round}`), 1).code === OutcomeCode.busy) refused++;
  }
  assert.ok(refused > 0);
  assert.ok(one.sessions.bytes <= limits.bytesMax);
  assert.ok(one.sessions.bytes <= limits.bytesMax / 8 + 10 * 4096, `${one.sessions.bytes} bytes`);
});

test("the table is the same when it went through a snapshot, and repeats stay without effect", () => {
  const lived = oneOfEach({ sessionsMax: 3 });
  const feed = new Feed(lived);
  const clients = [1, 2, 3].map((client) => feed.open(client));
  clients[1].execute("users", set("a", 1));
  clients[0].execute("hits", add(3));
  const restored = oneOfEach({ sessionsMax: 3 });
  restoreAll(restored, snapshotOf(lived));
  feed.sets.push(restored);
  assert.equal(snapshotOf(restored), snapshotOf(lived));
  feed.apply(clients[0].again(1, "hits", add(3))); // throws if the two disagree
  feed.open(4); // both forget the third
  assert.is(clients[2].execute("hits", add(1)).code, OutcomeCode.expired);
  assert.equal(snapshotOf(restored), snapshotOf(lived));
});

test("two members agree, effect for effect, whatever is lost, repeated and forgotten", () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = new Random(seed);
      const limits = { sessionsMax: 3, pendingMax: 4 };
      const [one, other] = [oneOfEach(limits), oneOfEach(limits)];
      const feed = new Feed(one, other);
      const clients = Array.from({ length: 5 }, (_, index) => feed.open(index + 1));
      const sent: Command[] = [];
      const effects = new Map<string, number>();
      let sum = 0;
      for (let step = 0; step < 200; step++) {
        const client = random.pick(clients);
        if (random.chance(0.05)) {
          client.session = feed.open(client.client).session;
          continue;
        }
        const fresh = random.chance(0.6) || sent.length === 0;
        const command = fresh
          ? client.command("hits", add(1), Math.max(1, client.sequence + 1 - random.int(0, 5)))
          : random.pick(sent);
        if (fresh) sent.push(command);
        const before = Number(new DataView(one.query("hits", add(0), 100).bytes.buffer).getFloat64(0));
        feed.apply(command);
        const after = Number(new DataView(one.query("hits", add(0), 100).bytes.buffer).getFloat64(0));
        if (after === before) continue;
        sum++;
        const id = `${command.client} ${command.session} ${command.sequence}`;
        effects.set(id, (effects.get(id) ?? 0) + 1);
      }
      assert.ok([...effects.values()].every((count) => count === 1), "a command took effect twice");
      assert.is(effects.size, sum);
      assert.equal(snapshotOf(one), snapshotOf(other));
    }),
    { numRuns: 100 },
  );
});

test("limits that make no sense are refused by name", () => {
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ sessionsMax: 0 }, /sessions\.sessionsMax is 0/],
    [{ pendingMax: 65_537 }, /pendingMax is 65537/],
    [{ resultBytesMax: 1.5 }, /resultBytesMax is 1\.5/],
    [{ bytesMax: "1" }, /bytesMax is 1;/],
    [{ toString: 1 }, /toString is unknown/],
    [{ bytesMax: 1024 * 1024, resultBytesMax: 128 * 1024 }, /at least 8 times resultBytesMax/],
  ];
  for (const [given, expected] of cases) {
    try {
      completeSessionLimits(given);
      assert.unreachable(`${JSON.stringify(given)} was taken`);
    } catch (error) {
      assert.is((error as TuttiError).code, "InvalidArgument");
      assert.match((error as TuttiError).message, expected);
    }
  }
  assert.equal(completeSessionLimits(undefined), DEFAULT_SESSION_LIMITS);
  assert.is(completeSessionLimits({ sessionsMax: 1 }).sessionsMax, 1);
});

test("a refusal says why", () => {
  const feed = new Feed(oneOfEach());
  const client = feed.open(1);
  client.session++;
  assert.match(textOf(client.execute("hits", add(1))), /forgotten/);
});

test.run();

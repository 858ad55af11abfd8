/** All objects of a group as one machine: determinism to the byte, errors as results, snapshots, misuse. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import type { TuttiError } from "../../core/base/errors.ts";
import { CounterMachine } from "../../core/replication/counter_machine.ts";
import { LogCall } from "../../core/replication/log_layout.ts";
import { MapCall } from "../../core/replication/map_layout.ts";
import { DEFAULT_MAP_LIMITS, MapMachine } from "../../core/replication/map_machine.ts";
import { OutcomeCode, textOf } from "../../core/replication/outcome.ts";
import { OBJECTS_MAX } from "../../core/replication/replica_set.ts";
import { joinParts, splitParts } from "../../core/replication/snapshot.ts";
import { Command, encodeCommand, readCommand } from "../../core/wire/command.ts";
import {
  add,
  append,
  decoded,
  encoded,
  Feed,
  logOf,
  mapOf,
  oneOfEach,
  restoreAll,
  set,
  setOf,
  snapshotOf,
  tell,
} from "./commands.ts";

const test = suite("replication/replica_set");

function thrown(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return `${(error as TuttiError).code}: ${(error as Error).message}`;
  }
  return "";
}

const key = fc.constantFrom("a", "b", "c");
const operation = fc.oneof(
  fc.tuple(key, fc.jsonValue()).map(([name, value]) => ["users", set(name, value)] as const),
  key.map((name) => ["users", mapOf({ call: MapCall.delete, key: name })] as const),
  fc.integer({ min: -5, max: 5 }).map((amount) => ["hits", add(amount)] as const),
  fc.jsonValue().map((value) => ["events", append(value)] as const),
  fc.integer({ min: 0, max: 5 }).map((before) =>
    ["events", logOf({ call: LogCall.truncate, before })] as const
  ),
  fc.constantFrom("x", "throw", "function", "large").map((text) => ["mine", encoded(text)] as const),
  fc.constant(["nobody", encoded(1)] as const),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => ["users", { encoding: 1, bytes }] as const),
);

test("two sets fed with the same commands have the same snapshot, to the byte, at every point", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 40 }), fc.nat(), (operations, at) => {
      const [one, other] = [oneOfEach(), oneOfEach()];
      const feed = new Feed(one, other);
      const client = feed.open(3);
      const middle = operations.length === 0 ? 0 : at % operations.length;
      operations.forEach(([name, bytes], index) => {
        client.execute(name, bytes as never);
        if (index !== middle) return;
        // One that joins here goes on like those that were there.
        const joined = oneOfEach();
        restoreAll(joined, snapshotOf(one));
        feed.sets.push(joined);
      });
      for (const set of feed.sets) assert.equal(snapshotOf(set), snapshotOf(one));
      assert.is(one.position, feed.position);
    }),
    { numRuns: 150 },
  );
});

test("what a machine throws is the result, the same at every member and again for a repeat", () => {
  const feed = new Feed(oneOfEach(), oneOfEach());
  const client = feed.open(1);
  const outcome = client.execute("mine", encoded("throw"));
  assert.is(outcome.code, OutcomeCode.failed);
  assert.is(textOf(outcome), "Error: as wished");
  assert.is(tell(feed.apply(client.again(1, "mine", encoded("throw")))), tell(outcome));
});

test("a command that failed fails again the same way when it is repeated, although it could be done by now", () => {
  const feed = new Feed(setOf({ users: new MapMachine({ entriesMax: 1, bytesMax: 1000 }) }));
  const client = feed.open(1);
  client.execute("users", set("a", 1), 1);
  const full = client.execute("users", set("b", 1), 1);
  assert.is(full.code, OutcomeCode.tooLarge);
  client.execute("users", mapOf({ call: MapCall.delete, key: "a" }), 1);
  assert.is(tell(feed.apply(client.again(2, "users", set("b", 1), 1))), tell(full));
});

test("results that cannot travel are told as such", () => {
  const feed = new Feed(oneOfEach());
  const client = feed.open(1);
  assert.match(textOf(client.execute("mine", encoded("promise"))), /apply returned a promise/);
  assert.match(textOf(client.execute("mine", encoded("function"))), /a function/);
  const large = client.execute("mine", encoded("large"));
  assert.is(large.code, OutcomeCode.tooLarge);
  assert.match(textOf(large), /was applied, but its result is 65541 bytes.*limit is 65536/);
});

test("a thing thrown that cannot even be told stops nobody", () => {
  const set = setOf({
    odd: {
      kind: "odd",
      snapshotBytesMax: 1,
      changes: 0,
      apply: () => {
        throw Object.create(null);
      },
      query: () => {
        throw undefined;
      },
      capture: () => ({ bytes: 0, chunks: [] }),
      restore: () => [],
    },
  });
  const client = new Feed(set).open(1);
  assert.is(client.execute("odd", encoded(1)).code, OutcomeCode.failed);
  assert.is(set.query("odd", encoded(1), 10).code, OutcomeCode.failed);
});

test("an object that is not there, and an answer that is too large, are refused", () => {
  const one = oneOfEach();
  const client = new Feed(one).open(1);
  assert.match(tell(client.execute("nobody", add(1))), /^invalid: there is no replica of the name nobody/);
  assert.is(one.query("nobody", add(1), 100).code, OutcomeCode.invalid);
  client.execute("users", set("k", "x".repeat(1000)));
  const get = mapOf({ call: MapCall.get, key: "k" });
  assert.is(one.query("users", get, 100).code, OutcomeCode.tooLarge);
  assert.is(one.query("users", get, 2000).code, OutcomeCode.done);
  assert.is(one.changes("users"), 1);
  assert.is(one.changes("nobody"), -1);
});

test("positions only ever rise", () => {
  const one = oneOfEach();
  one.apply(Command.barrier(1, 1), 5);
  assert.match(thrown(() => one.apply(Command.barrier(1, 2), 5)), /Invariant/);
});

test("who founds a group anew goes on with its state, and no position comes twice", () => {
  const one = oneOfEach();
  const before = new Feed(one);
  const old = before.open(1);
  old.execute("users", set("k", 1));
  one.founded();
  const joined = oneOfEach();
  restoreAll(joined, snapshotOf(one));
  const after = new Feed(one, joined);
  const client = after.open(2);
  assert.ok(client.session > 2, `session ${client.session}`);
  assert.is(after.apply(old.again(2, "users", set("k", 2))).code, OutcomeCode.done, "its session goes on");
  assert.equal(snapshotOf(joined), snapshotOf(one));
});

test("a snapshot of other objects, of other limits, or damaged, is refused", () => {
  const one = oneOfEach();
  const client = new Feed(one).open(1);
  client.execute("users", set("k", 1));
  const snapshot = snapshotOf(one);
  const others = [
    setOf({ users: new MapMachine(DEFAULT_MAP_LIMITS) }),
    setOf({
      users: new MapMachine(DEFAULT_MAP_LIMITS),
      a: new CounterMachine(),
      b: new CounterMachine(),
      c: new CounterMachine(),
    }),
  ];
  for (const other of others) assert.match(thrown(() => restoreAll(other, snapshot)), /InvalidArgument/);
  for (let cut = 0; cut < snapshot.length; cut++) {
    assert.match(thrown(() => restoreAll(oneOfEach(), snapshot.slice(0, cut))), /InvalidArgument/);
  }
  assert.match(thrown(() => restoreAll(oneOfEach(), new Uint8Array([...snapshot, 0]))), /InvalidArgument/);
});

test("names and their number are checked", () => {
  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`n${index}`, new CounterMachine()]));
  assert.is(thrown(() => setOf(many(OBJECTS_MAX))), "");
  assert.match(thrown(() => setOf(many(OBJECTS_MAX + 1))), /InvalidArgument.*at most 256/);
  for (const name of ["", "with space", "x".repeat(65), "\ud800"]) {
    assert.match(thrown(() => setOf({ [name]: new CounterMachine() })), /InvalidArgument.*name of a replica/);
  }
  assert.is(
    setOf({ b: new CounterMachine(), a: new CounterMachine() }).signature.slice(0, 22),
    "a: counter, b: counter",
  );
});

test("parts of a snapshot come back, with and without a part of the application", () => {
  const one = oneOfEach();
  for (const application of [undefined, new Uint8Array(0), new Uint8Array([1, 2])]) {
    const steps = joinParts(one.capture(), application, 10_000);
    let step = steps.next();
    while (!step.done) step = steps.next();
    const parts = splitParts(step.value);
    assert.equal(parts.application, application);
    assert.equal(parts.replicas, snapshotOf(one));
  }
  const { length } = snapshotOf(one);
  assert.match(thrown(() => joinParts(one.capture(), undefined, length + 8).next()), /TooLarge/);
  assert.is(thrown(() => joinParts(one.capture(), undefined, length + 9).next()), "");
  for (const damaged of [[], [0], [2, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0, 9]]) {
    assert.match(thrown(() => splitParts(new Uint8Array(damaged))), /InvalidArgument/);
  }
});

test("a command on the wire comes back equal, and anything else is refused without a throw (H33-H36, H46)", () => {
  const client = new Feed(oneOfEach()).open(1);
  const sound = [Command.open(5), Command.barrier(5, 3), client.command("users", set("k", { a: 1 }))];
  sound.push(client.command("mine", encoded({ a: [1, "x"] })));
  for (const command of sound) {
    const bytes = encodeCommand(command);
    assert.equal(readCommand(bytes, 0, bytes.length), command);
    for (let cut = 0; cut < bytes.length; cut++) readCommand(bytes, 0, cut);
    for (let index = 0; index < 36; index++) {
      for (const value of [0, 1, 2, 4, 0x7f, 0xff]) {
        const altered = bytes.slice();
        altered[index] = value;
        readCommand(altered, 0, altered.length);
      }
    }
  }
  const [open, , execute] = sound;
  const refused = (change: Partial<Command>, of: Command = execute): void => {
    const bytes = encodeCommand({ ...of, ...change } as Command);
    assert.is(readCommand(bytes, 0, bytes.length), undefined, JSON.stringify(change));
  };
  refused({ client: 0 });
  refused({ session: 0 });
  refused({ lowest: 0 });
  refused({ lowest: execute.sequence + 1 });
  refused({ name: "" });
  refused({ name: "with space" });
  refused({ name: "x".repeat(65) });
  refused({ kind: 4 as never });
  refused({ encoding: 2 as never });
  refused({ encoding: 0, operation: new Uint8Array([0xff]) });
  refused({ sequence: 1 }, open);
  refused({ name: "users" }, open);
  assert.is(decoded(encoded(1)), 1);
});

test.run();

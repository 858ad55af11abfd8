/** The ready-made objects against simple models, their limits, and snapshots that are the same to the byte. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { CounterMachine, readNumber } from "../../core/replication/counter_machine.ts";
import { LayoutReader } from "../../core/replication/layout.ts";
import { LogCall, readLogAnswer } from "../../core/replication/log_layout.ts";
import { LogMachine } from "../../core/replication/log_machine.ts";
import type { Capture, Machine } from "../../core/replication/machine.ts";
import {
  KEY_BYTES_MAX,
  MapCall,
  readChanges,
  readEntry,
  readKept,
} from "../../core/replication/map_layout.ts";
import { DEFAULT_MAP_LIMITS, MapMachine } from "../../core/replication/map_machine.ts";
import { OutcomeCode, textOf } from "../../core/replication/outcome.ts";
import { sameBytes, sameEncoded } from "../../core/replication/same_value.ts";
import { type AnyStateMachine, UserMachine } from "../../core/replication/user_machine.ts";
import type { EncodedValue } from "../../core/wire/value.ts";
import { add, append, decoded, encoded, listMachine, logOf, mapOf, set } from "./commands.ts";

const test = suite("replication/objects");

function take(machine: Machine): Uint8Array {
  const capture = machine.capture();
  const whole = collect(capture);
  assert.is(whole.length, capture.bytes);
  return whole;
}

function collect({ chunks }: Capture): Uint8Array {
  const parts = [...chunks];
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function restore(machine: Machine, snapshot: Uint8Array, position: number): void {
  for (const _ of machine.restore(snapshot, position));
}

function thrown(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return `${(error as { code: string }).code}: ${(error as Error).message}`;
  }
  return "";
}

function u64(value: EncodedValue): number {
  return new LayoutReader(value.bytes).u64();
}

function valueOf(map: MapMachine, key: string): unknown {
  const kept = map.get(key);
  return kept === undefined ? undefined : decoded(kept);
}

// ---- map ----

const KEYS = ["a", "b", "ab", "é", ""];
const mapStep = fc.record({
  call: fc.constantFrom("set", "delete", "version", "value", "remove"),
  key: fc.constantFrom(...KEYS),
  value: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 1 }).map((x) => ({ x }))),
  expected: fc.option(fc.integer({ min: 0, max: 3 })),
});

test("a map does what a Map does, whatever comes", () => {
  fc.assert(
    fc.property(fc.array(mapStep, { maxLength: 60 }), (steps) => {
      const map = new MapMachine(DEFAULT_MAP_LIMITS);
      const model = new Map<string, { value: unknown; version: number }>();
      steps.forEach(({ call, key, value, expected }, index) => {
        const position = 10 * (index + 1);
        const there = model.get(key);
        if (call === "set") {
          assert.is(u64(map.apply(set(key, value), position)), position);
          model.set(key, { value, version: position });
        } else if (call === "delete") {
          const result = map.apply(mapOf({ call: MapCall.delete, key }), position);
          assert.is(result.bytes[0] === 1, model.delete(key));
        } else {
          const wanted = call === "version"
            ? { version: expected === null ? there?.version ?? 0 : expected * 10 }
            : { value: expected === null ? undefined : encoded(expected) };
          const fits = "version" in wanted
            ? (there?.version ?? 0) === wanted.version
            : there?.value === (expected === null ? undefined : expected);
          const next = call === "remove" ? undefined : encoded(value);
          const operation = mapOf({ call: MapCall.compareAndSet, key, expected: wanted, value: next });
          const reader = new LayoutReader(map.apply(operation, position).bytes);
          assert.is(reader.u8() === 1, fits);
          if (fits && call === "remove") model.delete(key);
          else if (fits) model.set(key, { value, version: position });
          assert.is(reader.u64(), model.get(key)?.version ?? 0);
        }
      });
      const entries = [...map.entries("")].map(([key, kept]) => [key, decoded(kept), kept.version]);
      assert.equal(entries, [...model].map(([key, { value, version }]) => [key, value, version]));
      assert.is(map.size, model.size);
      const restored = new MapMachine(DEFAULT_MAP_LIMITS);
      restore(restored, take(map), 1000);
      assert.equal(take(restored), take(map));
      assert.equal([...restored.entries("a")], [...map.entries("a")]);
    }),
    { numRuns: 300 },
  );
});

test("expected values are compared by what they mean, not by how their keys are written", () => {
  const map = new MapMachine(DEFAULT_MAP_LIMITS);
  map.apply(set("k", { a: 1, b: [new Date(5), new Uint8Array([1]), new Set(["x"])] }), 1);
  const expected = { value: encoded({ b: [new Date(5), new Uint8Array([1]), new Set(["x"])], a: 1 }) };
  const swap = (value: unknown): EncodedValue =>
    mapOf({ call: MapCall.compareAndSet, key: "k", expected, value: encoded(value) });
  assert.is(map.apply(swap("new"), 2).bytes[0], 1);
  assert.is(map.apply(swap("newer"), 3).bytes[0], 0);
  assert.is(valueOf(map, "k"), "new");
});

test("values are the same only if they mean the same", () => {
  const different: unknown[] = [
    0,
    1,
    "",
    "1",
    null,
    [],
    {},
    [1],
    { a: 1 },
    { a: 2 },
    { b: 1 },
    new Uint8Array([1]),
  ];
  different.push(true, 1n, new Date(1), new Set([1]), new Map([[1, 2]]), new Map([[1, 3]]), [[1]]);
  different.forEach((a, index) => {
    different.forEach((b, other) => {
      assert.is(sameEncoded(encoded(a), encoded(b)), index === other, `${index} and ${other}`);
    });
  });
});

test("a map answers by keys, prefixes and size", () => {
  const map = new MapMachine(DEFAULT_MAP_LIMITS);
  map.apply(set("user/1", "Ann"), 1);
  map.apply(set("user/2", new Uint8Array([7])), 2);
  map.apply(set("other", 3), 3);
  const ask = (operation: Parameters<typeof mapOf>[0], bytesMax = 1000): EncodedValue =>
    map.query(mapOf(operation), bytesMax, 3);
  const kept = readKept(ask({ call: MapCall.get, key: "user/2" }));
  assert.equal(kept && decoded(kept), new Uint8Array([7]));
  assert.is(kept?.version, 2);
  assert.is(readKept(ask({ call: MapCall.get, key: "none" })), undefined);
  assert.is(u64(ask({ call: MapCall.size })), 3);
  const reader = new LayoutReader(ask({ call: MapCall.entries, prefix: "user/" }).bytes);
  const keys: (string | undefined)[] = [];
  while (reader.left > 0) keys.push(readEntry(reader)?.key);
  assert.equal(keys, ["user/1", "user/2"]);
  assert.match(thrown(() => ask({ call: MapCall.entries, prefix: "" }, 40)), /TooLarge.*more than 40 bytes/);
});

test("a map refuses what is one past its limits, and stays as it was", () => {
  const map = new MapMachine({ entriesMax: 2, bytesMax: 3 * 17 + 6 });
  map.apply(set("a", 1), 1);
  map.apply(set("b", 1), 2);
  const before = take(map);
  assert.match(thrown(() => map.apply(set("c", 1), 3)), /TooLarge.*has 2 entries/);
  assert.is(thrown(() => map.apply(set("b", "x".repeat(19)), 4)), "", "as many bytes as it may have");
  map.apply(set("b", 1), 5);
  assert.match(thrown(() => map.apply(set("b", "x".repeat(20)), 6)), /TooLarge.*58 bytes; the limit is 57/);
  assert.is(take(map).length, before.length);
  map.apply(mapOf({ call: MapCall.delete, key: "a" }), 7);
  assert.is(thrown(() => map.apply(set("c", 1), 8)), "");
});

test("keys may be as long as the limit says", () => {
  const map = new MapMachine(DEFAULT_MAP_LIMITS);
  assert.is(thrown(() => map.apply(set("é".repeat(KEY_BYTES_MAX / 2), 1), 1)), "");
  assert.match(thrown(() => map.apply(set("x".repeat(KEY_BYTES_MAX + 1), 1), 2)), /InvalidArgument/);
});

test("who follows a map is told of every change with the prefix, once, in order", () => {
  const map = new MapMachine(DEFAULT_MAP_LIMITS);
  const ask = (after: number, position: number) =>
    map.query(mapOf({ call: MapCall.changes, prefix: "a", after }), 1e9, position);
  assert.is(ask(0, 0).empty, true);
  map.apply(set("a1", "x"), 3);
  map.apply(set("b1", "x"), 5);
  map.apply(mapOf({ call: MapCall.delete, key: "a1" }), 6);
  map.apply(mapOf({ call: MapCall.delete, key: "a1" }), 7);
  const told = readChanges(ask(0, 9));
  assert.equal(told?.changes.map(({ key, version, value }) => [key, version, value && decoded(value)]), [
    ["a1", 3, "x"],
    ["a1", 6, undefined],
  ]);
  assert.is(told?.through, 9);
  assert.is(told?.lost, false);
  assert.is(ask(6, 9).empty, true);
  assert.is(readChanges(ask(20, 9))?.through, 20, "it has heard more from another member");
  assert.equal(readChanges(map.query(mapOf({ call: MapCall.now }), 100, 9)), {
    lost: false,
    through: 9,
    changes: [],
  });
});

test("who falls behind a map by too many changes is told that some are lost", () => {
  const map = new MapMachine(DEFAULT_MAP_LIMITS);
  for (let position = 1; position <= 4096; position++) map.apply(set("k", position), position);
  const ask = (after: number, position: number) =>
    readChanges(map.query(mapOf({ call: MapCall.changes, prefix: "", after }), 1e9, position));
  assert.is(ask(0, 4096)?.lost, false);
  map.apply(set("k", 0), 4097);
  assert.is(ask(0, 4097)?.lost, true);
  assert.is(ask(1, 4097)?.lost, false);
  map.apply(set("k", new Uint8Array(4 * 1024 * 1024)), 4098); // alone more than is kept
  assert.is(ask(4097, 4098)?.lost, true);
  assert.is(ask(4098, 4098)?.lost, false);
  const restored = new MapMachine(DEFAULT_MAP_LIMITS);
  restore(restored, take(map), 5000);
  const changes = mapOf({ call: MapCall.changes, prefix: "", after: 4999 });
  assert.is(readChanges(restored.query(changes, 1e9, 5000))?.lost, true);
});

test("much that has changed comes in several answers, with nothing between them", () => {
  const map = new MapMachine(DEFAULT_MAP_LIMITS);
  for (let position = 1; position <= 100; position++) {
    map.apply(set(`k${position}`, "x".repeat(10_000)), position);
  }
  const keys: string[] = [];
  let after = 0;
  for (let round = 0; round < 100 && after < 100; round++) {
    const answer = readChanges(map.query(mapOf({ call: MapCall.changes, prefix: "", after }), 1e9, 100));
    keys.push(...answer?.changes.map(({ key }) => key) ?? []);
    after = answer?.through ?? 0;
  }
  assert.equal(keys, Array.from({ length: 100 }, (_, index) => `k${index + 1}`));
});

test("a snapshot holds what was there when it was taken, whatever comes while it is written", () => {
  const map = new MapMachine(DEFAULT_MAP_LIMITS);
  const log = new LogMachine({ entriesMax: 100_000, bytesMax: 1 << 24 });
  for (let index = 1; index <= 20_000; index++) {
    map.apply(set(`key ${index}`, index), index);
    log.apply(append(index));
  }
  const [mapBefore, logBefore] = [take(map), take(log)];
  const captures = [map.capture(), log.capture()];
  for (let index = 1; index <= 100; index++) {
    map.apply(mapOf({ call: MapCall.delete, key: `key ${index}` }), 30_000 + index);
    map.apply(set(`key ${index + 1000}`, "new"), 40_000 + index);
    log.apply(append("new"));
  }
  log.apply(logOf({ call: LogCall.truncate, before: 5000 }));
  assert.ok(sameBytes(collect(captures[0]), mapBefore));
  assert.ok(sameBytes(collect(captures[1]), logBefore));
});

test("a snapshot of a large map costs about as much for each entry as one of a small map", () => {
  const made = (count: number): MapMachine => {
    const map = new MapMachine(DEFAULT_MAP_LIMITS);
    for (let index = 1; index <= count; index++) map.apply(set(`key ${index}`, index), index);
    return map;
  };
  const chunksOf = (map: MapMachine): number[] => [...map.capture().chunks].map((chunk) => chunk.length);
  // The work is in the bytes of the chunks: as many as there are, none larger than a few entries beyond the size.
  const [small, large] = [made(10_000), made(100_000)];
  for (const map of [small, large]) {
    const lengths = chunksOf(map);
    assert.ok(Math.max(...lengths) < 70_000);
    assert.is(lengths.reduce((sum, length) => sum + length, 0), take(map).length);
  }
});

// ---- counter ----

test("a counter does what adding does, and refuses what is no safe whole number", () => {
  fc.assert(
    fc.property(fc.array(fc.maxSafeInteger(), { maxLength: 20 }), (amounts) => {
      const counter = new CounterMachine();
      let sum = 0;
      for (const amount of amounts) {
        const fault = thrown(() => assert.is(readNumber(counter.apply(add(amount))), sum + amount));
        if (Number.isSafeInteger(sum + amount)) sum += amount;
        else assert.match(fault, /TooLarge/);
        assert.is(counter.value, sum);
      }
      const restored = new CounterMachine();
      restore(restored, take(counter), 1);
      assert.is(restored.value, sum);
    }),
  );
  const counter = new CounterMachine();
  for (const amount of [1.5, NaN, Infinity, 2 ** 53]) {
    assert.match(thrown(() => counter.apply(add(amount))), /InvalidArgument/);
  }
  assert.match(thrown(() => counter.apply(encoded(1))), /InvalidArgument/);
});

// ---- log ----

test("a log does what a list does, whatever comes", () => {
  const step = fc.oneof(
    fc.record({ append: fc.oneof(fc.integer(), fc.string()) }),
    fc.record({ truncate: fc.integer({ min: 0, max: 40 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const log = new LogMachine({ entriesMax: 100, bytesMax: 10_000 });
      const model: unknown[] = [];
      let first = 0;
      for (const one of steps) {
        if ("append" in one) {
          assert.is(u64(log.apply(append(one.append))), model.push(one.append) - 1);
          continue;
        }
        const operation = logOf({ call: LogCall.truncate, before: one.truncate });
        const fault = thrown(() => log.apply(operation));
        if (one.truncate > model.length) assert.match(fault, /InvalidArgument.*ends at/);
        else first = Math.max(first, one.truncate);
      }
      const restored = new LogMachine({ entriesMax: 100, bytesMax: 10_000 });
      restore(restored, take(log), 1);
      assert.equal(take(restored), take(log));
      for (const one of [log, restored]) {
        const answer = readLogAnswer(one.query(logOf({ call: LogCall.read, from: 0, to: 1000 }), 1e6));
        assert.equal(answer?.values.map(decoded), model.slice(first));
        assert.is(answer?.from, first);
        assert.is(answer?.next, model.length);
      }
    }),
    { numRuns: 300 },
  );
});

test("a log refuses what is one past its limits until it is truncated", () => {
  const log = new LogMachine({ entriesMax: 2, bytesMax: 100 });
  log.apply(append(1));
  log.apply(append(2));
  assert.match(thrown(() => log.apply(append(3))), /TooLarge.*has 2 entries/);
  log.apply(logOf({ call: LogCall.truncate, before: 1 }));
  assert.match(thrown(() => log.apply(append("x".repeat(94)))), /TooLarge.*limit is 100/);
  assert.is(u64(log.apply(append("x".repeat(87)))), 2);
});

test("a log answers with as much as goes into one answer, and at least one", () => {
  const log = new LogMachine({ entriesMax: 10_000, bytesMax: 1 << 24 });
  for (let index = 0; index < 1500; index++) log.apply(append(index));
  log.apply(append("x".repeat(1 << 20)));
  log.apply(append("y"));
  const read = (from: number, to = 1e6) =>
    readLogAnswer(log.query(logOf({ call: LogCall.read, from, to }), 1e9))?.values.map(decoded);
  assert.is(read(0)?.length, 1000);
  assert.is(read(1000)?.length, 500);
  assert.is(read(1500)?.length, 1);
  assert.equal(read(1501), ["y"]);
  assert.equal(read(10, 12), [10, 11]);
  assert.equal(read(12, 10), []);
  const beyond = log.query(logOf({ call: LogCall.read, from: 1502, to: 1e6 }), 1e9);
  assert.is(beyond.empty, true);
});

// ---- machines of an application ----

test("a machine of an application travels in its snapshot, as bytes or as plain data", () => {
  const bytes: AnyStateMachine = {
    apply: () => undefined,
    snapshot: () => new Uint8Array([1, 2, 3]),
    restore: (snapshot) => assert.equal(snapshot, new Uint8Array([1, 2, 3])),
  };
  const machine = new UserMachine(bytes, 100);
  restore(machine, take(machine), 1);
  const list = listMachine();
  const plain = new UserMachine(list, 100);
  plain.apply(encoded("x"), 1);
  const snapshot = take(plain);
  plain.apply(encoded("y"), 2);
  restore(plain, snapshot, 2);
  assert.equal(list.list, ["x"]);
});

test("a machine's snapshot is refused when it is one past the limit", () => {
  const snapshotOf = (length: number): AnyStateMachine => ({
    apply: () => undefined,
    snapshot: () => new Uint8Array(length),
    restore: () => {},
  });
  assert.is(thrown(() => new UserMachine(snapshotOf(99), 100).capture()), "");
  assert.match(thrown(() => new UserMachine(snapshotOf(100), 100).capture()), /TooLarge.*limit is 99/);
});

test("a command is the machine's own, and so is its context", () => {
  const kept: Uint8Array[] = [];
  let position = 0;
  const machine = new UserMachine({
    apply: (command, context) => {
      kept.push(command as Uint8Array);
      position = context.position;
      assert.throws(() => Object.assign(context, { position: 0 }));
    },
    snapshot: () => undefined,
    restore: () => {},
  }, 100);
  const packet = new Uint8Array([1, 2, 3]);
  machine.apply({ encoding: 1, bytes: packet }, 9);
  packet.fill(0);
  assert.equal(kept, [new Uint8Array([1, 2, 3])]);
  assert.is(position, 9);
});

test("a question to a machine without answers is refused", () => {
  const machine = new UserMachine({ apply: () => 1, snapshot: () => 1, restore: () => {} }, 100);
  assert.match(thrown(() => machine.query(encoded(1))), /has no query/);
});

test("operations that nobody honest sends are refused and change nothing", () => {
  const map = new MapMachine(DEFAULT_MAP_LIMITS);
  const log = new LogMachine({ entriesMax: 100, bytesMax: 1000 });
  const counter = new CounterMachine();
  map.apply(set("a", 1), 1);
  log.apply(append(1));
  const before = [take(map), take(log), take(counter)];
  const sound = [
    set("key", { value: 1 }),
    mapOf({ call: MapCall.compareAndSet, key: "k", expected: { version: 1 }, value: encoded(1) }),
    mapOf({ call: MapCall.changes, prefix: "k", after: 7 }),
    append("x"),
    logOf({ call: LogCall.truncate, before: 1 }),
  ];
  for (const { encoding, bytes } of sound) {
    for (let cut = 0; cut < bytes.length; cut++) {
      for (const part of [bytes.subarray(0, cut), new Uint8Array([...bytes.subarray(0, cut), 0xff])]) {
        for (const machine of [map, log, counter]) {
          const fault = thrown(() => machine.apply({ encoding, bytes: part }, 2));
          if (fault !== "") assert.match(fault, /InvalidArgument/);
          else restoreFrom(machine, before);
          assert.not.match(
            thrown(() => machine.query({ encoding, bytes: part }, 1e6, 2)),
            /TypeError|RangeError/,
          );
        }
      }
    }
  }
  function restoreFrom(machine: Machine, snapshots: readonly Uint8Array[]): void {
    restore(machine, snapshots[[map, log, counter].indexOf(machine as never)], 1);
  }
  assert.equal([take(map), take(log), take(counter)], before);
});

test("damaged snapshots are refused, wherever they are cut or altered", () => {
  const map = new MapMachine(DEFAULT_MAP_LIMITS);
  map.apply(set("key", { value: [1, 2] }), 1);
  const snapshot = take(map);
  for (let cut = 1; cut < snapshot.length; cut++) {
    assert.match(thrown(() => restore(map, snapshot.slice(0, cut), 2)), /damaged/);
  }
  const log = new LogMachine({ entriesMax: 100, bytesMax: 1000 });
  log.apply(append([1, 2]));
  const logSnapshot = take(log);
  for (let cut = 0; cut < logSnapshot.length; cut++) {
    if (cut !== 8) assert.match(thrown(() => restore(log, logSnapshot.slice(0, cut), 2)), /damaged/);
  }
  assert.match(thrown(() => restore(new CounterMachine(), add(0.5).bytes, 1)), /damaged/);
  const user = new UserMachine(listMachine(), 100);
  assert.match(thrown(() => restore(user, new Uint8Array([0, 0xff]), 1)), /damaged/);
  assert.match(thrown(() => restore(user, new Uint8Array(0), 1)), /damaged/);
});

test("codes and texts of refusals reach the caller", () => {
  assert.is(textOf({ code: OutcomeCode.failed, encoding: 1, bytes: new TextEncoder().encode("why") }), "why");
});

test.run();

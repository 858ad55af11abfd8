/** The executor of a member: effects once over evictions, sessions that are forgotten, barriers, limits, and clear ends. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Deadlines } from "../../core/base/deadlines.ts";
import type { TuttiError } from "../../core/base/errors.ts";
import { readNumber } from "../../core/replication/counter_machine.ts";
import { type Outcome, OutcomeCode, textOf } from "../../core/replication/outcome.ts";
import type { ReplicaSet } from "../../core/replication/replica_set.ts";
import type { SessionLimits } from "../../core/replication/sessions.ts";
import { Executor, WAITING_MAX } from "../../core/runtime/executor.ts";
import { type Command, CommandKind } from "../../core/wire/command.ts";
import { add, encoded, oneOfEach, restoreAll, snapshotOf, travelled } from "./commands.ts";

const test = suite("replication/executor");

/** An executor whose commands lie in a list until they are applied by hand. */
class Bench {
  now = 0;
  readonly deadlines = new Deadlines();
  readonly sent: Command[] = [];
  readonly set: ReplicaSet;
  readonly executor: Executor;
  room = true;
  why: string | undefined = undefined;
  refuse: Error | undefined = undefined;
  position = 0;
  #roomWaits: (() => void)[] = [];

  constructor(limits: Partial<SessionLimits> = {}) {
    this.set = oneOfEach(limits);
    this.executor = new Executor(7, this.set, {
      offer: (command) => {
        if (this.refuse !== undefined) throw this.refuse;
        if (this.room) this.sent.push(travelled(command));
        return this.room;
      },
      whenRoom: (callback) => void this.#roomWaits.push(callback),
      after: (ms, callback) => void this.deadlines.set(this.now + ms, callback),
      give: (answer) => answer(),
      defer: (callback) => queueMicrotask(callback),
      whyNot: () => this.why,
    });
  }

  execute(amount = 1, deadlineAt = Infinity, signal?: AbortSignal): Promise<Outcome> {
    const patience = { what: "execute", deadlines: this.deadlines, deadlineAt, signal };
    return this.executor.execute("hits", add(amount), patience);
  }

  barrier(deadlineAt = Infinity): Promise<void> {
    const patience = { what: "read", deadlines: this.deadlines, deadlineAt, signal: undefined };
    return this.executor.barrier(patience);
  }

  /** Applies a command here. */
  apply(command: Command): void {
    this.executor.applied(command, this.set.apply(command, ++this.position));
  }

  /** Applies everything that was sent, and what follows from that. */
  flow(): void {
    for (let command = this.sent.shift(); command !== undefined; command = this.sent.shift()) {
      this.apply(command);
    }
  }

  makeRoom(): void {
    this.room = true;
    for (const callback of this.#roomWaits.splice(0)) callback();
  }

  expire(now: number): void {
    this.now = now;
    this.deadlines.expire(now);
  }
}

function kinds(bench: Bench): string {
  const names = Object.entries(CommandKind);
  return bench.sent.map(({ kind, sequence }) =>
    `${names.find(([, value]) => value === kind)?.[0]} ${sequence}`
  ).join(", ");
}

async function failure(call: Promise<unknown>): Promise<TuttiError> {
  try {
    await call;
  } catch (error) {
    return error as TuttiError;
  }
  throw new Error("it did not fail");
}

test("a session is opened when it is needed, once, and commands follow", async () => {
  const bench = new Bench();
  assert.is(kinds(bench), "");
  const calls = [bench.execute(1), bench.execute(2)];
  assert.is(kinds(bench), "open 0");
  bench.flow();
  assert.equal((await Promise.all(calls)).map((outcome) => readNumber(outcome)), [1, 3]);
  const third = bench.execute(3);
  assert.is(kinds(bench), "execute 3");
  assert.is(bench.sent[0].lowest, 3);
  bench.flow();
  assert.is(readNumber(await third), 6);
  assert.is(bench.executor.pending, 0);
});

test("what others have sent is nothing to it", () => {
  const bench = new Bench();
  void bench.execute();
  const [open] = bench.sent.splice(0);
  bench.apply({ ...open, client: 8 } as Command);
  assert.is(kinds(bench), "");
});

test("without room commands wait, in order", async () => {
  const bench = new Bench();
  bench.room = false;
  const calls = [bench.execute(1), bench.execute(1)];
  assert.is(kinds(bench), "");
  bench.makeRoom();
  assert.is(kinds(bench), "open 0");
  bench.room = false;
  bench.flow();
  bench.makeRoom();
  assert.is(kinds(bench), "execute 1, execute 2");
  bench.flow();
  assert.equal((await Promise.all(calls)).map((outcome) => readNumber(outcome)), [1, 2]);
});

test("as many are on their way as the session may await, and one past that follows", async () => {
  const bench = new Bench({ pendingMax: 3 });
  const calls = Array.from({ length: 4 }, () => bench.execute());
  bench.apply(bench.sent.shift() as Command);
  assert.is(kinds(bench), "execute 1, execute 2, execute 3");
  bench.apply(bench.sent.shift() as Command);
  assert.is(kinds(bench), "execute 2, execute 3, execute 4");
  bench.flow();
  await Promise.all(calls);
});

test("a command that was sent once and refused, because the session was forgotten, is done in a new one", async () => {
  const bench = new Bench({ sessionsMax: 1 });
  const first = bench.execute();
  bench.flow();
  await first;
  bench.apply(
    { ...bench.sent[0], kind: CommandKind.open, client: 9, session: 0, sequence: 0, lowest: 0 } as Command,
  );
  const second = bench.execute();
  bench.flow();
  assert.is(readNumber(await second), 2);
});

test("a command that may have been applied before its session was forgotten is reported, not repeated", async () => {
  const bench = new Bench({ sessionsMax: 1 });
  const first = bench.execute();
  bench.apply(bench.sent.shift() as Command);
  bench.sent.length = 0; // lost with the life that sent it
  bench.executor.restart();
  bench.apply(
    { ...bench.sent[0], kind: CommandKind.open, client: 9, session: 0, sequence: 0, lowest: 0 } as Command,
  );
  bench.flow();
  assert.is((await first).code, OutcomeCode.expired);
});

test("what was on its way in a former life is looked up, or sent again, and takes effect once", async () => {
  const bench = new Bench();
  const calls = Array.from({ length: 4 }, () => bench.execute());
  bench.apply(bench.sent.shift() as Command);
  const lost = bench.sent.splice(0);
  // The group applies the second without this member; the third is in what follows the snapshot; the first and fourth are lost.
  const group = oneOfEach();
  restoreAll(group, snapshotOf(bench.set));
  group.apply(lost[1], 2);
  restoreAll(bench.set, snapshotOf(group));
  bench.position = 2;
  bench.executor.restart();
  assert.is(kinds(bench), "execute 1, execute 3, execute 4");
  bench.apply(lost[2]);
  bench.flow();
  const sums = (await Promise.all(calls)).map((outcome) => readNumber(outcome));
  assert.equal(sums, [3, 1, 2, 4]);
  assert.is(readNumber(bench.set.query("hits", add(0), 100)), 4);
});

test("a deadline tells whether the command was ever sent, and why not", async () => {
  const bench = new Bench();
  bench.room = false;
  bench.why = "this process is not a member of a view yet";
  const unsent = failure(bench.execute(1, 100));
  bench.expire(100);
  let error = await unsent;
  assert.is(error.code, "NotPrimary");
  assert.match(error.message, /not a member of a view yet; it was certainly not done/);
  bench.why = undefined;
  const full = failure(bench.execute(1, 200));
  bench.expire(200);
  error = await full;
  assert.is(error.code, "WindowFull");
  bench.makeRoom();
  const sent = failure(bench.execute(1, 300));
  bench.apply(bench.sent.shift() as Command);
  bench.expire(300);
  error = await sent;
  assert.is(error.code, "DeadlineExceeded");
  assert.match(error.message, /its fate is unknown/);
  bench.flow(); // it is applied after all: nobody waits for it
  assert.is(bench.executor.pending, 0);
});

test("a signal ends a call, and what is not awaited holds up nothing", async () => {
  const bench = new Bench({ pendingMax: 2 });
  const end = new AbortController();
  const aborted = [
    failure(bench.execute(1, Infinity, end.signal)),
    failure(bench.execute(1, Infinity, end.signal)),
  ];
  bench.apply(bench.sent.shift() as Command);
  bench.sent.length = 0;
  end.abort();
  for (const error of await Promise.all(aborted)) {
    assert.is(error.code, "Aborted");
    assert.match(error.message, /fate is unknown/);
  }
  assert.is((await failure(bench.execute(1, Infinity, end.signal))).code, "Aborted");
  const next = bench.execute();
  assert.is(bench.sent[0].lowest, 3);
  bench.flow();
  assert.is(readNumber(await next), 1);
});

test("a command that can never be sent fails alone", async () => {
  const bench = new Bench();
  const first = bench.execute();
  bench.refuse = new Error("too large");
  bench.apply(bench.sent.shift() as Command);
  assert.is((await failure(first)).message, "too large");
  bench.refuse = undefined;
  const second = bench.execute();
  bench.flow();
  assert.is(readNumber(await second), 1);
});

test("a command that is told to wait is sent again after a while", async () => {
  const bench = new Bench({ resultBytesMax: 1024, bytesMax: 1024 * 1024 });
  // Results that are awaited fill the session's part.
  const patience = { what: "execute", deadlines: bench.deadlines, deadlineAt: Infinity, signal: undefined };
  const all = Array.from({ length: 3 }, () => bench.executor.execute("mine", encoded("x"), patience));
  bench.apply(bench.sent.shift() as Command);
  const [first] = bench.sent;
  bench.executor.applied(first, { code: OutcomeCode.busy, encoding: 1, bytes: new Uint8Array(0) });
  bench.sent.shift();
  bench.flow();
  bench.expire(1000);
  assert.is(kinds(bench), "execute 1");
  bench.flow();
  await Promise.all(all);
});

test("reads that begin together share a barrier; those that come later need the next one", async () => {
  const bench = new Bench();
  let done = 0;
  const read = (): Promise<number> => bench.barrier().then(() => ++done);
  const early = [read(), read()];
  await Promise.resolve();
  assert.is(kinds(bench), "barrier 1");
  const late = [read(), read()];
  await Promise.resolve();
  assert.is(kinds(bench), "barrier 1");
  bench.apply(bench.sent.shift() as Command);
  await Promise.all(early);
  assert.is(done, 2);
  assert.is(kinds(bench), "barrier 2");
  bench.flow();
  await Promise.all(late);
});

test("a barrier of a former life does not do for who asks in this one", async () => {
  const bench = new Bench();
  const early = bench.barrier();
  await Promise.resolve();
  const [old] = bench.sent.splice(0);
  bench.room = false;
  bench.executor.restart();
  let done = false;
  const late = bench.barrier().then(() => done = true);
  bench.apply(old); // it comes in the tail of the state
  await Promise.resolve();
  assert.not.ok(done);
  bench.makeRoom();
  assert.is(kinds(bench), "barrier 2");
  bench.flow();
  await Promise.all([early, late]);
});

test("a read that takes too long says why", async () => {
  const bench = new Bench();
  bench.room = false;
  bench.why = "no quorum is heard";
  const reads = [failure(bench.barrier(10)), failure(bench.barrier(20))];
  bench.expire(10);
  assert.is((await reads[0]).code, "NotPrimary");
  bench.why = undefined;
  bench.expire(20);
  assert.is((await reads[1]).code, "DeadlineExceeded");
});

test("as many commands and reads wait as the limit says; one past that is refused", async () => {
  const bench = new Bench();
  bench.room = false;
  const ignored: Promise<unknown>[] = [];
  for (let count = 0; count < WAITING_MAX; count++) {
    ignored.push(bench.execute().catch(() => {}), bench.barrier().catch(() => {}));
  }
  assert.is((await failure(bench.execute())).code, "WindowFull");
  assert.is((await failure(bench.barrier())).code, "WindowFull");
  const end = Object.assign(new Error("the end"), { code: "Closed" });
  bench.executor.stop(end as never);
  await Promise.all(ignored);
  assert.is(bench.executor.pending, 0);
  assert.is(textOf({ code: OutcomeCode.failed, encoding: 1, bytes: new Uint8Array(0) }), "");
});

test.run();

/** Views over the memory transport: joining a running group, its state, leaving, eviction, partitions, leadership. */
import * as assert from "uvu/assert";
import type { ControlEvent, Group, JoinOptions, Leadership, Message } from "@tutti/tutti";
import { MemoryNetwork } from "@tutti/tutti/memory";
import { checkTrace, type TraceLine } from "@tutti/tutti/testing";
import { DEADLINE_MS, fails, groupSuite, member, members, Reader, until } from "./members.ts";

const test = groupSuite("group/views");
const NAMES = ["P1", "P2", "P3"];
const utf8 = { encoder: new TextEncoder(), decoder: new TextDecoder() };

/** An application whose state is the list of values that it got. */
class Log {
  values: unknown[] = [];
  /** Values and events in the order in which they came. */
  readonly story: string[] = [];
  restored = 0;

  get options(): Partial<JoinOptions> {
    return {
      onMessages: (messages: readonly Message[]) => {
        for (const { value } of messages) {
          this.values.push(value);
          this.story.push(`message ${value}`);
        }
      },
      onEvent: (event: ControlEvent) => {
        const names = event.type === "view" ? event.view.members.map(({ name }) => name).join(" ") : "";
        this.story.push(`${event.type} ${names}`.trim());
      },
      state: {
        snapshot: () => utf8.encoder.encode(JSON.stringify(this.values)),
        restore: (snapshot) => {
          this.restored++;
          this.values = JSON.parse(utf8.decoder.decode(snapshot));
          this.story.push("restore");
        },
      },
    };
  }
}

/** Waits until some members are in a view of just these names. */
async function inView(groups: readonly Group[], names: readonly string[]): Promise<void> {
  const present = ({ view }: Group): string => view?.members.map(({ name }) => name).sort().join() ?? "";
  await until(
    `all are in a view of ${names}`,
    () => groups.every((group) => present(group) === [...names].sort().join()),
  );
}

/** Cuts some members off from the others. */
function partition(network: MemoryNetwork, some: readonly string[], others: readonly string[]): void {
  for (const one of some) {
    for (const other of others) {
      network.block(`memory:${one}`, `memory:${other}`);
      network.block(`memory:${other}`, `memory:${one}`);
    }
  }
}

// ---- joining ----

test("a group grows while its applications still wait for it to be complete", async () => {
  const network = new MemoryNetwork();
  const logs = NAMES.map(() => new Log());
  // With a state and an iterator that nobody has asked yet.
  const groups = await Promise.all(
    NAMES.map((name, index) => member(name, NAMES, { network, state: logs[index].options.state })),
  );
  await Promise.all(groups.map((group) => group.ready({ deadline: DEADLINE_MS })));
  await inView(groups, NAMES);
});

test("a process joins through any member, with the state, and gets everything after it once", async () => {
  const network = new MemoryNetwork();
  const logs = NAMES.map(() => new Log());
  const p1 = await member("P1", [], { network, ...logs[0].options });
  for (let value = 0; value < 10; value++) await p1.send(value);
  const p2 = await member("P2", ["P1"], { network, expect: 0, ...logs[1].options });
  await p2.ready({ members: 2, deadline: DEADLINE_MS });
  for (let value = 10; value < 20; value++) await p1.send(value);
  const p3 = await member("P3", ["P2"], { network, expect: 0, ...logs[2].options });
  for (let value = 20; value < 30; value++) await p1.send(value);
  await Promise.all([p1, p2, p3].map((group) => group.ready({ members: NAMES, deadline: DEADLINE_MS })));
  await (await p1.send(30)).stable;
  const all = Array.from({ length: 31 }, (_, value) => value);
  for (const { values } of logs) assert.equal(values, all);
  assert.equal(logs.map(({ restored }) => restored), [0, 1, 1]);
  assert.is(logs[2].story[0], "restore");
  const first = logs[2].story.findIndex((line) => line.startsWith("view"));
  assert.ok(
    logs[2].story.slice(1, first).every((line) => line.startsWith("message")),
    "the tail comes before the view",
  );
});

test("messages wait until a restore that takes its time is done", async () => {
  const network = new MemoryNetwork();
  const p1 = await member("P1", [], { network, ...new Log().options });
  await p1.send("before");
  const log = new Log();
  let done: () => void = () => {};
  const { state } = log.options;
  const p2 = await member("P2", ["P1"], {
    network,
    expect: 0,
    ...log.options,
    state: {
      snapshot: () => new Uint8Array(0),
      restore: async (snapshot) => {
        await new Promise<void>((resolve) => done = resolve);
        await state?.restore(snapshot);
      },
    },
  });
  await until("it is a member", () => p2.view !== undefined);
  let ready = false;
  const whenReady = p2.ready({ deadline: DEADLINE_MS }).then(() => ready = true);
  const receipt = await p1.send("after");
  await until("it has arrived", () => p2.stats().messagesWaiting === 1);
  assert.equal([log.story, ready], [[], false]);
  done();
  await whenReady;
  await receipt.stable;
  assert.equal(log.values, ["before", "after"]);
});

test("a member that is evicted while it restores a state, and joins again, waits for the state of then", async () => {
  const network = new MemoryNetwork();
  const others = await members(["P1", "P2"], { network, ...new Log().options });
  await (await others[0].send("before")).stable;
  const dones: (() => void)[] = [];
  const p3 = await member("P3", ["P1"], {
    network,
    expect: 0,
    onMessages: () => {},
    state: {
      snapshot: () => new Uint8Array(0),
      restore: () => new Promise<void>((resolve) => void dones.push(resolve)),
    },
  });
  const joined = (): boolean =>
    p3.view !== undefined && others.every(({ view }) => view?.members.length === 3);
  await until("it is a member", joined);
  const { incarnation } = p3;
  partition(network, ["P3"], ["P1", "P2"]);
  await inView(others, ["P1", "P2"]);
  network.calm();
  await until("it is a member again", () => p3.incarnation > incarnation && joined());
  let ready = false;
  const whenReady = p3.ready({ members: 3, deadline: DEADLINE_MS }).then(() => ready = true);
  dones[0]();
  await until("the other state has come", () => dones.length === 2);
  assert.equal([p3.offer("too early"), ready], [undefined, false]);
  dones[1]();
  await whenReady;
  await (await p3.send("in time")).stable;
});

test("a snapshot that fails is told, and another member gives its own", async () => {
  const network = new MemoryNetwork();
  const p1 = await member("P1", [], {
    network,
    onMessages: () => {},
    state: { snapshot: () => Promise.reject(new Error("disk full")), restore: () => {} },
  });
  const reader = new Reader(p1);
  const p2 = await member("P2", ["P1"], { network, expect: 0, ...new Log().options });
  await until("a warning", () => reader.event("warning") !== undefined);
  assert.match(reader.event("warning")?.text ?? "", /the snapshot failed: .*disk full/);
  assert.is(p2.view, undefined);
  await p1.close({ deadline: 0 });
});

test("a snapshot may take its time: nobody asks for another one meanwhile", async () => {
  let snapshots = 0;
  let restored = 0;
  const state = {
    snapshot: async () => {
      snapshots++;
      const { packetsReceived } = first.stats();
      await until("it was asked again and again", () => first.stats().packetsReceived > packetsReceived + 20);
      return new Uint8Array(3);
    },
    restore: (snapshot: Uint8Array) => void (restored += snapshot.length),
  };
  const network = new MemoryNetwork();
  const [first]: Group[] = await members(["P1"], { network, state });
  const second = await member("P2", ["P1", "P2"], { network, state });
  await second.ready({ members: 2, deadline: DEADLINE_MS });
  assert.equal([snapshots, restored], [1, 3]);
  assert.is(first.view?.members.length, 2);
});

test("H55: a snapshot larger than snapshotBytesMax is given to nobody, one of just that size is", async () => {
  for (const [bytes, fits] of [[1024, true], [1025, false]] as const) {
    const network = new MemoryNetwork();
    const limits = { snapshotBytesMax: 1024 };
    const state = { snapshot: () => new Uint8Array(bytes), restore: () => {} };
    const p1 = await member("P1", [], { network, limits, state, onMessages: () => {} });
    const reader = new Reader(p1);
    const p2 = await member("P2", ["P1"], { network, limits, state, expect: 0, onMessages: () => {} });
    if (fits) await p2.ready({ members: 2, deadline: DEADLINE_MS });
    else {
      await until("a warning", () => reader.event("warning") !== undefined);
      assert.match(reader.event("warning")?.text ?? "", /1025 bytes, more than 1024/);
      assert.is(p2.view, undefined);
    }
  }
});

test("a callback of the state that throws stops the member that it belongs to, and no other", async () => {
  const network = new MemoryNetwork();
  const p1 = await member("P1", [], { network, ...new Log().options });
  const reject = (): Promise<void> => Promise.reject(new Error("bad state"));
  const surfaced: unknown[] = [];
  const { default: process } = await import("node:process");
  const catcher = (error: unknown): void => void surfaced.push(error);
  process.on("uncaughtException", catcher);
  try {
    const p2 = await member("P2", ["P1"], {
      network,
      expect: 0,
      onMessages: () => {},
      state: { snapshot: () => new Uint8Array(0), restore: reject },
    });
    await until("it has surfaced", () => surfaced.length === 1);
    await fails("CallbackFailed", () => p2.send("x"), /restore failed/);
    await inView([p1], ["P1"]);
  } finally {
    process.off("uncaughtException", catcher);
  }
});

// ---- leaving, crashing, coming back ----

test("the others get a view with the reason when a member closes, behind all its messages", async () => {
  const network = new MemoryNetwork();
  const logs = NAMES.map(() => new Log());
  const groups = await Promise.all(
    NAMES.map((name, index) => member(name, NAMES, { network, ...logs[index].options })),
  );
  await Promise.all(groups.map((group) => group.ready({ deadline: DEADLINE_MS })));
  for (let value = 0; value < 100; value++) groups[2].offer(value);
  const report = await groups[2].close();
  assert.is(report.unconfirmed, 0);
  await inView(groups.slice(0, 2), ["P1", "P2"]);
  await until(
    "both were told",
    () => logs.slice(0, 2).every(({ story }) => story.some((line) => /view P\d P\d$/.test(line))),
  );
  for (const { story, values } of logs.slice(0, 2)) {
    assert.is(values.length, 100);
    assert.ok(
      story.findLastIndex((line) => line.startsWith("message")) <
        story.findLastIndex((line) => /view P\d P\d$/.test(line)),
    );
  }
});

test("a member that crashes is suspected, evicted as crashed, and comes back as a new life", async () => {
  const network = new MemoryNetwork();
  const groups = await members(NAMES, { network });
  const readers = groups.map((group) => new Reader(group));
  network.crash("memory:P3");
  await inView(groups.slice(0, 2), ["P1", "P2"]);
  await until(
    "both were told",
    () => readers.slice(0, 2).every((reader) => reader.departure("P3") === "crashed"),
  );
  assert.is(readers[0].event("suspected")?.member.name, "P3");
  const again = await member("P3", NAMES, { network });
  await again.ready({ deadline: DEADLINE_MS });
  assert.ok(again.incarnation > groups[2].incarnation);
  const reader = new Reader(again);
  await (await groups[0].send("hello again")).stable;
  assert.equal(reader.values, ["hello again"]);
});

test("a member that was away while the others went on is told that it was evicted, and joins with their state", async () => {
  const network = new MemoryNetwork();
  const logs = NAMES.map(() => new Log());
  const trace: TraceLine[] = [];
  const groups = await Promise.all(
    NAMES.map((name, index) =>
      member(name, NAMES, { network, ...logs[index].options, trace: (line) => trace.push(line) })
    ),
  );
  await Promise.all(groups.map((group) => group.ready({ deadline: DEADLINE_MS })));
  await (await groups[0].send("for all")).stable;
  const away =
    groups.find(({ view }) => view?.leader !== view?.members.findIndex(({ name }) => name === "P3")) ===
        undefined
      ? groups[0]
      : groups[2];
  const index = groups.indexOf(away);
  const rest = groups.filter((group) => group !== away);
  const { incarnation } = away;
  partition(network, [away.name], rest.map(({ name }) => name));
  const receipt = await away.send("of one alone", { deadline: DEADLINE_MS });
  const excluded = fails("Excluded", () => receipt.stable);
  await inView(rest, rest.map(({ name }) => name));
  await rest[0].send("without it");
  await until("it knows", () => logs[index].story.includes("blocked"));
  await fails("NotPrimary", () => away.send("refused", { deadline: 50 }), /was not sent/);
  assert.is(away.offer("refused"), undefined);
  network.calm();
  await inView(groups, NAMES);
  await excluded;
  assert.ok(away.incarnation > incarnation);
  await (await away.send("back")).stable;
  for (const { values } of logs) assert.equal(values, ["for all", "without it", "back"]);
  const { story } = logs[index];
  assert.ok(story.indexOf("evicted") < story.lastIndexOf("restore"));
  const properties = ["integrity", "fifo", "views", "view-synchrony", "one-leader-per-epoch"] as const;
  assert.equal(checkTrace([...trace, { e: "end", correct: NAMES }], { properties }), []);
});

test("a send that waits through a minority is sent once the partition heals", async () => {
  const network = new MemoryNetwork();
  const groups = await members(NAMES, { network });
  const readers = groups.map((group) => new Reader(group));
  partition(network, ["P1"], ["P2", "P3"]);
  partition(network, ["P2"], ["P3"]);
  await until("all are cut off", () => readers.every((reader) => reader.event("blocked") !== undefined));
  const waiting = groups[1].send("patient", { deadline: DEADLINE_MS });
  await fails("NotPrimary", () => groups[2].send("hasty", { deadline: 20 }));
  network.calm();
  await (await waiting).stable;
  await until("all have it", () => readers.every(({ values }) => values.join() === "patient"));
});

// ---- leadership ----

/** The one group that leads; nobody else may. */
function leader(
  groups: readonly Group[],
): { readonly group: Group; readonly leadership: Leadership } | undefined {
  const sure = groups.flatMap((group) => {
    const leadership = group.leadership();
    return leadership === undefined ? [] : [{ group, leadership }];
  });
  const epochs = new Set(sure.map(({ leadership }) => leadership.epoch));
  assert.is(epochs.size, sure.length, "two lead in one epoch");
  return sure[0];
}

test("one member leads, is told so, and its signal fires when it closes; then another one does", async () => {
  const groups = await members(NAMES);
  const readers = groups.map((group) => new Reader(group));
  await until("somebody leads", () => leader(groups) !== undefined);
  const { group, leadership } = leader(groups) as NonNullable<ReturnType<typeof leader>>;
  assert.equal([leadership.epoch, leadership.signal.aborted], [group.view?.number, false]);
  assert.is(group.leadership()?.signal, leadership.signal, "one signal for one leadership");
  const told = (reader: Reader): boolean =>
    reader.events.some((event) => event.type === "leader" && event.own && event.epoch === leadership.epoch);
  await until("it was told", () => told(readers[groups.indexOf(group)]));
  assert.is(readers.filter(told).length, 1);
  const closed = group.close();
  assert.ok(leadership.signal.aborted, "at once");
  assert.is(group.leadership(), undefined);
  await closed;
  const rest = groups.filter((other) => other !== group);
  await until("another one leads", () => leader(rest) !== undefined);
  assert.ok((leader(rest)?.leadership.epoch ?? 0) > leadership.epoch);
});

test("the signal of a leader that is cut off fires before another one leads", async () => {
  const network = new MemoryNetwork();
  const groups = await members(NAMES, { network });
  for (const group of groups) new Reader(group);
  await until("somebody leads", () => leader(groups) !== undefined);
  const { group, leadership } = leader(groups) as NonNullable<ReturnType<typeof leader>>;
  const rest = groups.filter((other) => other !== group);
  let elsewhere = false;
  leadership.signal.addEventListener("abort", () => elsewhere = leader(rest) !== undefined);
  partition(network, [group.name], rest.map(({ name }) => name));
  await until("another one leads", () => leader(rest) !== undefined);
  assert.ok(leadership.signal.aborted);
  assert.not(elsewhere, "nobody else led at that time");
  assert.is((leadership.signal.reason as { code: string }).code, "NotPrimary");
});

for (const election of ["bully", "ring"] as const) {
  test(`${election}: another one leads when the leader crashes, and the election is told`, async () => {
    const network = new MemoryNetwork();
    const groups = await members(NAMES, { network, election });
    const readers = groups.map((group) => new Reader(group));
    await until("somebody leads", () => leader(groups) !== undefined);
    const { group } = leader(groups) as NonNullable<ReturnType<typeof leader>>;
    network.crash(`memory:${group.name}`);
    const rest = groups.filter((other) => other !== group);
    await until("another one leads", () => leader(rest) !== undefined);
    const told = readers.filter((_, index) => groups[index] !== group).map((reader) =>
      reader.event("election")
    );
    assert.ok(
      told.some((event) => event?.strategy === election && event.winner === leader(rest)?.group.name),
    );
  });
}

// ---- events ----

test("onEvent gets every event in its place, and iterating gives messages only", async () => {
  const events: string[] = [];
  const [group] = await members(["P1"], { onEvent: (event) => void events.push(event.type) });
  const iterator = group[Symbol.asyncIterator]();
  await group.send("x");
  const { value } = await iterator.next();
  assert.is(value?.type, "message");
  assert.equal(events, ["view", "leader"]);
});

test("an onEvent that throws stops the member, and surfaces as uncaught", async () => {
  const { default: process } = await import("node:process");
  const surfaced: unknown[] = [];
  const catcher = (error: unknown): void => void surfaced.push(error);
  process.on("uncaughtException", catcher);
  try {
    const group = await member("P1", [], {
      onEvent: () => {
        throw new Error("the application's own");
      },
    });
    await until("it has surfaced", () => surfaced.length === 1);
    await fails("CallbackFailed", () => group.send("x"), /onEvent failed/);
  } finally {
    process.off("uncaughtException", catcher);
  }
});

test.run();

/** Replicas of whole groups over the in-process network, as an application uses them. */
import * as assert from "uvu/assert";
import {
  type Group,
  type MapChange,
  memoryStore,
  type Message,
  replicate,
  replicatedCounter,
  replicatedLog,
  type ReplicatedMap,
  replicatedMap,
} from "@tutti/tutti";
import { memory, MemoryNetwork } from "@tutti/tutti/memory";
import { join } from "@tutti/tutti";
import { type Choices, DEADLINE_MS, fails, groupSuite, member, TIMING, until } from "../group/members.ts";
import { listMachine } from "./commands.ts";
import { NAMES, type Objects, objects, replicated } from "./replicated.ts";

const test = groupSuite("replication/group");

for (const engine of ["sequencer", "lamport"] as const) {
  test(`what one member has done every other one reads at once, with the engine ${engine}`, async () => {
    const { all } = await replicated(NAMES, { engine });
    const [one, two, three] = all;
    const version = await one.users.set("ann", { age: 41 });
    assert.equal(await two.users.get("ann"), { age: 41 });
    assert.equal(await three.users.entry("ann"), { value: { age: 41 }, version });
    const swapped = await two.users.compareAndSet("ann", { version }, { age: 42 });
    assert.ok(swapped.done && swapped.version > version);
    assert.is((await three.users.compareAndSet("ann", { version }, { age: 43 })).done, false);
    assert.is((await three.users.compareAndSet("ann", { value: { age: 42 } }, undefined)).done, true);
    assert.is(await one.users.get("ann"), undefined);
    assert.is(await one.users.delete("ann"), false);
    await one.users.set("a", 1);
    await two.users.set("b", new Uint8Array([2]));
    assert.equal(await three.users.entries(), [["a", 1], ["b", new Uint8Array([2])]]);
    assert.equal([...three.users.local.entries("b")], [["b", new Uint8Array([2])]]);
    assert.is(await three.users.size(), 2);
    assert.is(await two.events.append("x"), 0);
    assert.is(await three.events.append("y"), 1);
    assert.equal((await one.events.read(0)).entries, [{ index: 0, value: "x" }, { index: 1, value: "y" }]);
    assert.is(await one.events.truncate(1), 1);
    assert.equal(await two.events.read(0), { first: 1, next: 2, entries: [{ index: 1, value: "y" }] });
  });
}

test("many commands from everywhere at once take effect once each, more than a window of them", async () => {
  const { all, groups } = await replicated(NAMES, { limits: { windowMessages: 64 } });
  const sums = await Promise.all(all.flatMap(({ hits }) => Array.from({ length: 500 }, () => hits.add())));
  assert.is(new Set(sums).size, 1500, "two adds had the same result");
  assert.is(Math.max(...sums), 1500);
  for (const { hits } of all) assert.is(await hits.get(), 1500);
  // Nobody iterates, and nobody passes callbacks: commands do not wait for that.
  assert.ok(groups.every((group) => group.stats().messagesWaiting === 0));
});

test("values that are read are copies of one's own", async () => {
  const { all: [{ users, events }] } = await replicated(["P1"]);
  const value = { list: [1] };
  await users.set("k", value);
  value.list.push(2);
  (users.local.get("k") as typeof value).list.push(3);
  (await users.get("k") as typeof value).list.push(4);
  assert.equal(users.local.get("k"), { list: [1] });
  await events.append(new Uint8Array([1]));
  (events.local.at(0) as Uint8Array).fill(9);
  assert.equal(events.local.at(0), new Uint8Array([1]));
});

test("a member that joins has the state of the objects, the machine and the application, and goes on", async () => {
  const network = new MemoryNetwork();
  const made = (): {
    machine: ReturnType<typeof listMachine>;
    values: unknown[];
    choices: Choices;
    map: ReplicatedMap;
  } => {
    const machine = listMachine();
    const values: unknown[] = [];
    const map = replicatedMap();
    const choices: Choices = {
      network,
      order: "total",
      replicas: { map, mine: replicate(machine) },
      state: {
        snapshot: () => new TextEncoder().encode(JSON.stringify(values)),
        restore: (bytes) => void values.splice(0, Infinity, ...JSON.parse(new TextDecoder().decode(bytes))),
      },
      onMessages: (batch: readonly Message[]) => void values.push(...batch.map(({ value }) => value)),
    };
    return { machine, values, choices, map };
  };
  const [one, two] = [made(), made()];
  const first = await member("P1", ["P1"], { ...one.choices, expect: 1 });
  await first.ready({ deadline: DEADLINE_MS });
  await one.map.set("before", 1);
  await first.send("a message");
  const mine = one.choices.replicas?.mine as ReturnType<typeof replicate<unknown, unknown>>;
  assert.is(await mine.execute("x"), 1);
  await until("the message is there", () => one.values.length === 1);
  const second = await member("P2", ["P1"], { ...two.choices, expect: 0 });
  await second.ready({ members: 2, deadline: DEADLINE_MS });
  assert.equal([...two.map.local.entries()], [["before", 1]]);
  assert.equal(two.machine.list, ["x"]);
  assert.equal(two.values, ["a message"]);
  await two.map.set("after", 2);
  assert.is(await one.map.get("after"), 2);
  await second.send("another");
  await until("both have the other message", () => one.values.length === 2 && two.values.length === 2);
});

test("a large state is given while commands go on, and nothing is missing", async () => {
  const network = new MemoryNetwork();
  const [users, later] = [replicatedMap<string, unknown>(), replicatedMap<string, unknown>()];
  const first = await member("P1", ["P1"], { network, order: "total", expect: 1, replicas: { users } });
  await first.ready({ deadline: DEADLINE_MS });
  const writes: Promise<number>[] = [];
  for (let index = 0; index < 20_000; index++) {
    writes.push(users.set(`key ${index}`, "x".repeat(100)));
    if (index % 500 === 499) await Promise.all(writes.splice(0));
  }
  const second = await member("P2", ["P1"], {
    network,
    order: "total",
    expect: 0,
    replicas: { users: later },
  });
  let done = false;
  const ready = second.ready({ members: 2, deadline: DEADLINE_MS }).finally(() => done = true);
  let count = 0;
  while (!done) {
    await users.set(`more ${count++}`, count);
    if (count % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await ready;
  await later.set("end", true);
  assert.equal([...later.local.entries()].length, 20_001 + count);
  assert.equal([...later.local.entries("more")], [...users.local.entries("more")]);
  assert.is(await later.get(`more ${count - 1}`), count);
});

test("a watch of a member that takes over a large state is told once, and lets everything else go on", async () => {
  const network = new MemoryNetwork();
  const made = () => ({ small: replicatedMap<string, number>(), zeta: replicatedMap<string, number>() });
  const [before, later] = [made(), made()];
  const common = { network, order: "total" } as const;
  const first = await member("P1", ["P1"], { ...common, expect: 1, replicas: before });
  await first.ready({ deadline: DEADLINE_MS });
  await before.small.set("k", 1);
  for (let round = 0; round < 40; round++) {
    await Promise.all(Array.from({ length: 500 }, (_, index) => before.zeta.set(`${round}/${index}`, index)));
  }
  const second = await member("P2", ["P1"], { ...common, expect: 0, replicas: later });
  const told: MapChange<string, number>[] = [];
  const end = new AbortController();
  const watching = [later.small, later.zeta].map(async (map) => {
    for await (const change of map.watch({ signal: end.signal })) {
      if (told.push(change) > 100) end.abort(); // or nothing else would ever run
    }
  });
  await second.ready({ members: 2, deadline: DEADLINE_MS });
  assert.is(later.zeta.local.size, 20_000);
  await before.small.set("k", 2);
  await until("the change is told", () => told.some(({ type }) => type === "set"));
  assert.equal(told.map(({ type }) => type), ["reset", "reset", "set"]);
  end.abort();
  await Promise.all(watching);
});

test("a command may be awaited while a message, or an event, is being worked on", async () => {
  const network = new MemoryNetwork();
  const hits = replicatedCounter();
  const sums: number[] = [];
  const group = await member("P1", ["P1"], {
    network,
    order: "total",
    replicas: { hits },
    onMessages: async (batch) => {
      for (const _ of batch) sums.push(await hits.add());
    },
  });
  await group.ready({ deadline: DEADLINE_MS });
  await Promise.all([group.send(1), group.send(2), group.send(3)]);
  await until("all were worked on", () => sums.length === 3);
  const { groups: [iterated], all: [{ users }] } = await replicated(["P1"]);
  await iterated.send("message");
  await iterated.send("message");
  for await (const event of iterated) {
    await users.set("seen", event.type, { deadline: DEADLINE_MS });
    if (event.type === "message") break;
  }
  assert.is(users.local.get("seen"), "message");
});

test("a loop of calls lets timers and packets in, although a group of one answers without any", async () => {
  const { all: [{ hits }] } = await replicated(["P1"]);
  let turned = false;
  setTimeout(() => turned = true, 1);
  for (let count = 0; !turned && count < 1_000_000; count++) await hits.add();
  assert.ok(turned);
});

test("what a machine throws, and what it gives that cannot travel, is told to the caller", async () => {
  const mine = [replicate(listMachine()), replicate(listMachine())];
  const network = new MemoryNetwork();
  const names = ["P1", "P2"];
  await Promise.all(names.map((name, index) => {
    return member(name, names, { network, order: "total", replicas: { mine: mine[index] } });
  }));
  await fails("CommandFailed", () => mine[1].execute("throw"), /Cannot execute: Error: as wished/);
  await fails("CommandFailed", () => mine[0].execute("promise"), /returned a promise/);
  await fails("TooLarge", () => mine[0].execute("large"), /was applied/);
  await fails("Unencodable", () => mine[0].execute(() => {}));
  assert.is(await mine[0].execute("fine"), 1);
  assert.equal(await mine[1].query("f"), ["fine"]);
});

test("a member that was cut off says so, and what it had sent takes effect once when it comes back", async () => {
  const { groups, all, network } = await replicated(NAMES);
  const [one, , three] = all;
  await three.hits.add(1);
  const { packetsReceived } = groups[2].stats();
  await until(
    "all have been heard for a while",
    () => groups[2].stats().packetsReceived > packetsReceived + 20,
  );
  network.partition(["memory:P3"], ["memory:P1", "memory:P2"]);
  const pending = Array.from({ length: 20 }, () => three.hits.add(1, { deadline: Infinity }));
  const late = fails("DeadlineExceeded", () => three.hits.add(1000, { deadline: 300 }), /fate is unknown/);
  await late;
  await until(
    "it knows that it is cut off",
    () => groups[2].view === undefined || groups[2].stats().membersHeard < 2,
  );
  await fails("NotPrimary", () => three.hits.add(1_000_000, { deadline: 300 }), /certainly not done/);
  await fails("NotPrimary", () => three.hits.get({ deadline: 300 }));
  await until("it is evicted", () => groups[0].view?.members.length === 2);
  assert.ok(await one.hits.get() <= 21);
  network.calm();
  await until("it is back", () => groups[2].view?.members.length === 3);
  const sums = await Promise.all(pending);
  assert.is(new Set(sums).size, 20);
  const sum = await one.hits.get();
  assert.ok(sum === 21 || sum === 1021, `${sum}`); // nobody knows what became of the late one
  assert.is(await three.hits.get(), sum);
});

test("a watch tells of every change from then on, in order, and of no others", async () => {
  const { all: [one, two] } = await replicated(["P1", "P2"]);
  await one.users.set("a/0", 0);
  const end = new AbortController();
  const told: MapChange<string, unknown>[] = [];
  const watch = two.users.watch({ prefix: "a/", signal: end.signal });
  const watching = (async () => {
    for await (const change of watch) told.push(change);
  })();
  const versions = [
    await one.users.set("a/1", 1),
    await one.users.set("b/1", 1),
    await two.users.set("a/1", 2),
    (await one.users.delete("a/1"), 0),
  ];
  await until("all are told", () => told.length === 3);
  end.abort();
  await watching;
  assert.equal(told.slice(0, 2), [
    { type: "set", key: "a/1", value: 1, version: versions[0] },
    { type: "set", key: "a/1", value: 2, version: versions[2] },
  ]);
  assert.is(told[2].type, "delete");
});

test("a watcher that is too slow is told that changes are missing, and goes on", async () => {
  const { all: [{ users }] } = await replicated(["P1"]);
  const watch = users.watch();
  for (let round = 0; round < 9; round++) {
    await Promise.all(Array.from({ length: 500 }, (_, index) => users.set("k", index)));
  }
  assert.equal((await watch.next()).value, { type: "reset" });
  await users.set("last", 1);
  assert.is((await watch.next()).value?.type, "set");
  await watch.return?.();
});

test("a tail gives every entry once, waits for more, and fails when entries were cut off", async () => {
  const { all: [{ events }] } = await replicated(["P1"]);
  const indexes: number[] = [];
  const end = new AbortController();
  const tailing = (async () => {
    for await (const { index } of events.tail(0, end.signal)) indexes.push(index);
  })();
  for (let index = 0; index < 50; index++) await events.append(index);
  await until("all are there", () => indexes.length === 50);
  end.abort();
  await tailing;
  assert.equal(indexes, Array.from({ length: 50 }, (_, index) => index));
  await events.truncate(10);
  await fails("Overrun", () => events.tail(5).next(), /cut off before 10/);
  assert.is((await events.tail(10).next()).value?.index, 10);
});

test("a watch, a tail and what waits end with an error when the member leaves", async () => {
  const { groups: [group], all: [{ users, events, hits }] } = await replicated(["P1"]);
  const waiting = [users.watch().next(), events.tail().next()].map((next) => fails("Closed", () => next));
  await group.close();
  await Promise.all(waiting);
  await fails("Closed", () => hits.add());
  await fails("Closed", () => hits.get());
});

test("a signal and a deadline end a call, and the text says what became of it", async () => {
  const { all: [{ hits }] } = await replicated(["P1"]);
  await fails("Aborted", () => hits.add(1, { signal: AbortSignal.abort() }));
  await fails("InvalidArgument", () => hits.add(1, { deadline: -1 }));
  const alone = replicatedCounter();
  await member("P2", ["P1", "P2", "P3"], { order: "total", replicas: { alone } });
  const error = await fails("NotPrimary", () => alone.add(1, { deadline: 50 }), /not a member of a view/);
  assert.ok(error.retryable);
  const end = new AbortController();
  const aborted = fails("Aborted", () => alone.get({ signal: end.signal }));
  end.abort();
  await aborted;
});

test("members that do not replicate the same refuse each other, and say what differs", async () => {
  const network = new MemoryNetwork();
  const names = ["P1", "P2"];
  const [one, two] = await Promise.all([
    member("P1", names, { network, order: "total", replicas: { users: replicatedMap() } }),
    member("P2", names, { network, order: "total", replicas: { users: replicatedMap({ entriesMax: 5 }) } }),
  ]);
  await fails(
    "Refused",
    () => one.ready({ deadline: DEADLINE_MS }),
    /replicas are users: map 5 .*, not users: map 1000000/,
  );
  await fails("Refused", () => two.ready({ deadline: DEADLINE_MS }));
});

test("options that make no sense are refused by name", async () => {
  const base = { order: "total" } as const;
  const fail = (choices: Choices, words: RegExp): Promise<unknown> =>
    fails("InvalidArgument", () => member("P1", ["P1"], choices), words);
  await fail({ replicas: { users: replicatedMap() } }, /replicas need the order total, and it is fifo/);
  await fail({ ...base, replicas: { users: {} as never } }, /users was not made by/);
  await fail({ ...base, replicas: { users: null as never } }, /users was not made by/);
  await fail({ ...base, replicas: { "a b": replicatedMap() } }, /name of a replica is "a b"/);
  await fail({ ...base, sessions: { sessionsMax: 5 } }, /sessions are for replicas/);
  await fail(
    { ...base, replicas: { a: replicatedMap() }, sessions: { sessionsMax: 0 } },
    /sessions\.sessionsMax is 0/,
  );
  const map = replicatedMap();
  await fail({ ...base, replicas: { a: map, b: map } }, /two of the replicas are the same/);
  await fail({ ...base, replicas: { a: replicatedMap({ bytesMax: 1 << 30 }) } }, /snapshotBytesMax/);
  await member("P1", ["P1"], { ...base, replicas: { map } });
  await fail({ ...base, replicas: { map } }, /it is map of another group/);
  await fails("InvalidArgument", () => replicatedCounter().add(), /in no group/);
  await fails("InvalidArgument", () => replicatedMap({ entriesMax: 0 }), /entriesMax is 0/);
  await fails("InvalidArgument", () => replicatedLog({ nonsense: 1 } as never), /nonsense is unknown/);
  await fails("InvalidArgument", () => replicate({} as never), /no apply/);
  await fails(
    "InvalidArgument",
    () => replicate(listMachine(), { snapshotBytesMax: 5 }),
    /snapshotBytesMax is 5/,
  );
});

test("arguments that make no sense are refused before anything is sent", async () => {
  const { groups: [group], all: [{ users, hits, events }] } = await replicated(["P1"]);
  const before = group.stats().messagesSent;
  for (const key of [1, undefined, "\ud800", "x".repeat(1025), "é".repeat(513)]) {
    await fails("InvalidArgument", () => users.set(key as never, 1));
    await fails("InvalidArgument", () => users.get(key as never));
  }
  await fails("InvalidArgument", () => users.set("k", undefined), /use delete, or null/);
  await fails("Unencodable", () => users.set("k", () => {}));
  for (const expected of [undefined, null, {}, 5, { version: -1 }, { version: "1" }]) {
    await fails("InvalidArgument", () => users.compareAndSet("k", expected as never, 1));
  }
  for (const amount of [1.5, "1", NaN, 2 ** 60]) {
    await fails("InvalidArgument", () => hits.add(amount as never));
  }
  for (const index of [-1, 1.5, "0"]) {
    await fails("InvalidArgument", () => events.read(index as never));
    await fails("InvalidArgument", () => events.truncate(index as never));
    await fails("InvalidArgument", () => events.tail(index as never));
  }
  assert.is(group.stats().messagesSent, before);
  await fails("InvalidArgument", () => events.truncate(1), /ends at 0/);
});

test("an object that is full says so, and nothing has changed", async () => {
  const [users, events] = [replicatedMap({ entriesMax: 1 }), replicatedLog({ entriesMax: 1 })];
  await member("P1", ["P1"], { order: "total", replicas: { users, events } });
  await users.set("a", 1);
  await fails("TooLarge", () => users.set("b", 1), /has 1 entries, the limit/);
  await events.append(1);
  await fails("TooLarge", () => events.append(2), /truncate it/);
  assert.is(users.local.size, 1);
  assert.is(events.local.next, 1);
});

test("a durable group that stopped as a whole comes back with its objects and the sessions of its clients", async () => {
  const stores = NAMES.map(() => memoryStore());
  const start = async (): Promise<{ groups: Group[]; all: Objects[] }> => {
    const network = new MemoryNetwork();
    const all = NAMES.map(() => objects());
    const groups = await Promise.all(NAMES.map((name, index) =>
      join({
        group: "test",
        name,
        transport: memory(name, network),
        peers: NAMES.map((other) => `memory:${other}`),
        timing: TIMING,
        order: "total",
        level: "durable",
        store: stores[index],
        replicas: { ...all[index] },
      })
    ));
    return { groups, all };
  };
  const before = await start();
  await Promise.all(before.groups.map((group) => group.ready({ deadline: DEADLINE_MS })));
  await before.all[0].users.set("a", 1);
  await Promise.all(Array.from({ length: 50 }, () => before.all[1].hits.add()));
  await before.all[2].events.append("x");
  await Promise.all(before.groups.map((group) => group.close({ deadline: 0 })));
  const after = await start();
  try {
    assert.is(await after.all[0].hits.get({ deadline: DEADLINE_MS }), 50);
    assert.equal(await after.all[1].users.entries(), [["a", 1]]);
    assert.is(await after.all[2].hits.add(), 51);
    assert.equal((await after.all[0].events.read(0)).entries, [{ index: 0, value: "x" }]);
  } finally {
    await Promise.all(after.groups.map((group) => group.close({ deadline: 0 })));
  }
});

test("commands and messages of the application keep one order, and the trace tells of both", async () => {
  const lines: Record<string, unknown>[][] = [[], []];
  const network = new MemoryNetwork();
  const names = ["P1", "P2"];
  const all = names.map(() => objects());
  const groups = await Promise.all(names.map((name, index) =>
    member(name, names, {
      network,
      order: "total",
      replicas: { ...all[index] },
      onMessages: () => {},
      trace: (line) => void lines[index].push({ ...line }),
    })
  ));
  await Promise.all(groups.map((group) => group.ready({ deadline: DEADLINE_MS })));
  for (let round = 0; round < 20; round++) {
    await Promise.all([
      groups[0].send(round),
      all[1].hits.add(),
      groups[1].send(round),
      all[0].users.set("k", round),
    ]);
  }
  const positions = (index: number): unknown[] =>
    lines[index].filter(({ e }) => e === "deliver").map(({ i }) => i);
  await until("all is told", () => positions(0).length >= 82 && positions(1).length >= 82);
  for (const index of [0, 1]) {
    assert.equal(positions(index), positions(index).map((_, at) => at + 1));
  }
});

test.run();

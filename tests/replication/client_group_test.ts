/** Clients of whole groups over the in-process network: everything that a member can do with a replica, and what goes wrong. */
import type { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type Client,
  connect,
  type ConnectOptions,
  type Group,
  type MapChange,
  replicate,
  replicatedCounter,
  replicatedLog,
  replicatedMap,
} from "@tutti/tutti";
import { memory, MemoryNetwork } from "@tutti/tutti/memory";
import { DEADLINE_MS, fails, groupSuite, member, until } from "../group/members.ts";
import { listMachine } from "./commands.ts";

const test: ReturnType<typeof suite> = groupSuite("replication/client/group");

const NAMES = ["P1", "P2", "P3"];
const SETTINGS = { attemptMs: 200, backoffMs: 10, pollMs: 500, renewMs: 2000 };

let clients: Client[] = [];
test.after.each(async () => {
  await Promise.all(clients.map((client) => client.close()));
  clients = [];
});

async function group(names: readonly string[], network: MemoryNetwork): Promise<Group[]> {
  const groups = await Promise.all(names.map((name) =>
    member(name, names, {
      network,
      order: "total",
      replicas: {
        users: replicatedMap(),
        hits: replicatedCounter(),
        events: replicatedLog(),
        mine: replicate(listMachine()),
      },
    })
  ));
  await Promise.all(groups.map((one) => one.ready({ deadline: DEADLINE_MS })));
  return groups;
}

async function client(
  name: string,
  network: MemoryNetwork,
  choices: Partial<ConnectOptions> = {},
): Promise<Client> {
  const made = await connect({
    group: "test",
    transport: memory(name, network),
    members: ["memory:P1"],
    settings: SETTINGS,
    ...choices,
  });
  clients.push(made);
  return made;
}

test("a client does with replicas what a member can", async () => {
  const network = new MemoryNetwork();
  await group(NAMES, network);
  const one = await client("C1", network);
  const users = one.map<string, unknown>("users");
  const version = await users.set("ann", { age: 41 });
  assert.equal(await users.entry("ann"), { value: { age: 41 }, version });
  assert.is((await users.compareAndSet("ann", { version }, { age: 42 })).done, true);
  assert.is((await users.compareAndSet("ann", { version }, { age: 43 })).done, false);
  assert.equal(await users.entries("a"), [["ann", { age: 42 }]]);
  assert.is(await users.size(), 1);
  assert.is(await users.delete("ann"), true);
  assert.is(await users.get("ann"), undefined);
  assert.equal(
    await Promise.all(Array.from({ length: 100 }, () => one.counter("hits").add())).then((sums) =>
      sums.length
    ),
    100,
  );
  assert.is(await one.counter("hits").get(), 100);
  const events = one.log("events");
  assert.is(await events.append("x"), 0);
  assert.equal(await events.read(0), { first: 0, next: 1, entries: [{ index: 0, value: "x" }] });
  assert.is(await events.truncate(1), 1);
  const mine = one.replica<string, number, string, string[]>("mine");
  assert.is(await mine.execute("item"), 1);
  assert.equal(await mine.query("it"), ["item"]);
  await fails("CommandFailed", () => mine.execute("throw"), /as wished/);
  assert.equal(one.stats().members.toSorted(), NAMES.map((name) => `memory:${name}`));
});

test("a client follows changes and entries, also past a member that goes", async () => {
  const network = new MemoryNetwork();
  const groups = await group(NAMES, network);
  const [watcher, writer] = [await client("C1", network), await client("C2", network)];
  const told: MapChange<string, unknown>[] = [];
  const indexes: number[] = [];
  const end = new AbortController();
  await watcher.counter("hits").get(); // so that it knows where it stands
  const watch = watcher.map("users").watch({ prefix: "k", signal: end.signal });
  await writer.map("users").set("k0", 0);
  const watching = (async () => {
    for await (const change of watch) told.push(change);
  })();
  const tailing = (async () => {
    for await (const { index } of watcher.log("events").tail(0, end.signal)) indexes.push(index);
  })();
  for (let index = 1; index <= 10; index++) {
    await writer.map("users").set(`k${index}`, index);
    await writer.map("users").set(`other`, index);
    await writer.log("events").append(index);
    if (index === 5) await groups[0].close({ deadline: 0 });
  }
  await until("all was told", () => told.length >= 11 && indexes.length >= 10);
  end.abort();
  await Promise.all([watching, tailing]);
  assert.equal(
    told.map((change) => change.type === "set" ? change.key : change.type),
    Array.from({ length: 11 }, (_, index) => `k${index}`),
  );
  assert.equal(indexes, Array.from({ length: 10 }, (_, index) => index));
});

test("no effect is doubled or lost while the network loses and repeats, and the leader is killed", async () => {
  const network = new MemoryNetwork({ seed: 5, lossy: true });
  const groups = await group(NAMES, network);
  const all = await Promise.all(
    ["C1", "C2"].map((name) => client(name, network, { members: NAMES.map((one) => `memory:${one}`) })),
  );
  network.setFaults({ lossRate: 0.1, duplicateRate: 0.2, delayMs: [0, 5] });
  const calls: Promise<number>[] = [];
  for (let round = 0; round < 40; round++) {
    for (const one of all) calls.push(one.counter("hits").add(1, { deadline: 60_000 }));
    await Promise.all(calls.slice(-2));
    if (round === 20) {
      const leader = groups.findIndex((one) => one.leadership() !== undefined);
      network.crash(`memory:${NAMES[Math.max(0, leader)]}`);
      void groups[Math.max(0, leader)].close({ deadline: 0 });
    }
  }
  const sums = await Promise.all(calls);
  assert.is(new Set(sums).size, 80, "two adds had the same result");
  assert.is(await all[0].counter("hits").get(), 80);
});

test("calls without a group end at their deadlines and say what became of them", async () => {
  const network = new MemoryNetwork();
  const one = await client("C1", network);
  const error = await fails(
    "DeadlineExceeded",
    () => one.counter("hits").add(1, { deadline: 300 }),
    /was not sent/,
  );
  assert.ok(error.retryable);
  await fails("DeadlineExceeded", () => one.counter("hits").get({ deadline: 300 }), /was not sent/);
  const end = new AbortController();
  const aborted = fails("Aborted", () => one.map("users").set("k", 1, { signal: end.signal }));
  end.abort();
  await aborted;
  await fails("Aborted", () => one.counter("hits").get({ signal: AbortSignal.abort() }));
  assert.is(one.stats().pending, 0);
});

test("a group that hears no quorum sends clients on, and they get through when it does again", async () => {
  const network = new MemoryNetwork();
  const groups = await group(NAMES, network);
  const one = await client("C1", network, { members: ["memory:P3"] });
  await one.counter("hits").add();
  const { packetsReceived } = groups[2].stats();
  await until(
    "all have been heard for a while",
    () => groups[2].stats().packetsReceived > packetsReceived + 20,
  );
  network.partition(["memory:P3", "memory:C1"], ["memory:P1", "memory:P2"]);
  await until("it knows", () => groups[2].stats().membersHeard < 2);
  await fails("DeadlineExceeded", () => one.counter("hits").get({ deadline: 1000 }));
  const pending = one.counter("hits").add(1, { deadline: 30_000 });
  network.calm();
  assert.is(await pending, 2);
});

test("a client of another group, or of a replica that is not there, is told nothing, or so", async () => {
  const network = new MemoryNetwork();
  const [one] = await group(["P1"], network);
  const other = await client("C1", network, { group: "other" });
  await fails("DeadlineExceeded", () => other.counter("hits").get({ deadline: 300 }));
  assert.ok(one.stats().foreignGroup > 0);
  const mine = await client("C2", network);
  await fails("InvalidArgument", () => mine.counter("nobody").get(), /no replica of the name nobody/);
  await fails("InvalidArgument", () => mine.counter("nobody").add(), /no replica of the name nobody/);
  await fails("InvalidArgument", () => mine.counter("users").get(), /none of a map/);
  await fails("InvalidArgument", () => mine.map("hits").get("a"), /none of a counter/);
  await fails("InvalidArgument", () => mine.log("hits").read(0), /none of a counter/);
  await fails("InvalidArgument", () => mine.map("hits").set("a", 1), /none of a counter/);
  const plain = await member("Q1", ["Q1"], { network });
  await plain.ready({ deadline: DEADLINE_MS });
  const lost = await client("C3", network, { members: ["memory:Q1"] });
  await fails("DeadlineExceeded", () => lost.counter("hits").get({ deadline: 300 }));
});

test("a closed client says so, and lets go of what it holds", async () => {
  const network = new MemoryNetwork();
  await group(["P1"], network);
  const one = await client("C1", network);
  const waiting = fails("Closed", () => one.log("events").tail().next());
  await one.counter("hits").add();
  await one.close();
  await waiting;
  await one.close();
  await fails("Closed", () => one.counter("hits").add());
  const again = await client("C1", network); // its address is free
  assert.is(await again.counter("hits").get(), 1);
});

test("options that make no sense are refused by name", async () => {
  const network = new MemoryNetwork();
  const transport = memory("C1", network);
  const good: ConnectOptions = { group: "test", transport, members: ["memory:P1"] };
  const fail = (options: unknown, words: RegExp): Promise<unknown> =>
    fails("InvalidArgument", () => connect(options as ConnectOptions), words);
  await fail(undefined, /no options/);
  await fail({ ...good, group: "" }, /the group's name/);
  await fail({ ...good, transport: {} }, /not a transport/);
  await fail({ ...good, members: [] }, /1 to 128 addresses/);
  await fail({ ...good, members: [1] }, /1 to 128 addresses/);
  await fail({ ...good, members: Array.from({ length: 129 }, () => "memory:P1") }, /1 to 128/);
  await fail({ ...good, peers: [] }, /peers is unknown/);
  await fail({ ...good, settings: { attemptMs: 5 } }, /settings\.attemptMs is 5/);
  await fail({ ...good, settings: { nonsense: 5 } }, /settings\.nonsense is unknown/);
  await fails("InvalidAddress", () => connect({ ...good, members: ["nonsense"] }));
  const one = await client("C2", network);
  await fails("InvalidArgument", () => one.map(""), /no text, or empty/);
  await fails("TooLarge", () => one.map("users").set("k", new Uint8Array(17 << 20)));
});

test("as many calls wait as the limit says; one past that is refused", async () => {
  const one = await client("C1", new MemoryNetwork(), {
    settings: { ...SETTINGS, outstandingMax: 1, queueMax: 2 },
  });
  const end = new AbortController();
  const get = (): Promise<unknown> =>
    one.counter("hits").get({ signal: end.signal }).catch(({ code }) => code);
  const calls = [get(), get(), get()];
  await fails("WindowFull", () => one.counter("hits").get(), /too many calls/);
  end.abort();
  assert.equal(await Promise.all(calls), ["Aborted", "Aborted", "Aborted"]);
});

test.run();

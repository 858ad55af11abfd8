/** Clients: never a doubled effect, whatever the network and the members do; back-off, limits, deadlines, sessions. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Address } from "../../core/base/ids.ts";
import { Random } from "../../core/base/random.ts";
import { readNumber } from "../../core/replication/counter_machine.ts";
import { ClientMachine, DEFAULT_CLIENT_SETTINGS } from "../../core/replication/client_machine.ts";
import { LayoutReader, LayoutWriter } from "../../core/replication/layout.ts";
import { MapCall, readChanges, readKept } from "../../core/replication/map_layout.ts";
import { KNOWN_MEMBERS_MAX, MemberChoice } from "../../core/replication/member_choice.ts";
import { type Outcome, OutcomeCode } from "../../core/replication/outcome.ts";
import { type Reply, RequestKind } from "../../core/wire/exchange.ts";
import { Encoding } from "../../core/wire/message.ts";
import { add, decoded, encoded, mapOf, oneOfEach, set, snapshotOf } from "./commands.ts";
import { type FakeClient, FakeGroup } from "./fake_group.ts";

const test = suite("replication/client");

const NAMES = ["a", "b", "c"];

function execute(
  group: FakeGroup,
  client: FakeClient,
  name: string,
  operation = add(1),
  ms = 60_000,
): number {
  return client.machine.call(RequestKind.execute, name, operation, group.now + ms, group.now);
}

function number(outcome: Outcome | undefined): number | undefined {
  return outcome === undefined ? undefined : readNumber(outcome);
}

test("a client executes commands and asks, through any member", () => {
  for (let through = 0; through < 3; through++) {
    const group = new FakeGroup(through, NAMES, oneOfEach);
    const client = group.client(9, [through]);
    const call = execute(group, client, "hits", add(5));
    assert.ok(group.until(() => client.results.has(call)));
    assert.is(number(client.outcome(call)), 5);
    const put = execute(group, client, "users", set("k", { a: 1 }));
    assert.ok(group.until(() => client.results.has(put)));
    const get = mapOf({ call: MapCall.get, key: "k" });
    const ask = client.machine.call(RequestKind.query, "users", get, group.now + 1000, group.now);
    assert.ok(group.until(() => client.results.has(ask)));
    const kept = readKept(client.outcome(ask) as Outcome);
    assert.equal(kept && decoded(kept), { a: 1 });
    assert.is(client.machine.pending, 0);
    assert.is(client.machine.nextDeadline(), Infinity);
    assert.equal(client.machine.members.addresses.toSorted(), ["m:a", "m:b", "m:c"], "it got to know all");
  }
});

test("no effect is doubled and none that was confirmed is lost, whatever is lost, repeated, late and crashed", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = new Random(seed);
    // With few sessions they are forgotten while commands are on their way.
    const forgetful = seed % 2 === 0;
    const group = new FakeGroup(seed, NAMES, () => oneOfEach(forgetful ? { sessionsMax: 2 } : {}));
    group.weather.loss = random.between(0, 0.4);
    group.weather.duplication = random.between(0, 0.5);
    group.weather.delayMs = [1, random.between(2, 400)];
    const clients = [1, 2, 3].map((id) => group.client(id, [0, 1, 2], { attemptMs: 200 }));
    const asked: { client: FakeClient; call: number; key: string }[] = [];
    for (let step = 0; step < 30; step++) {
      for (const client of clients) {
        const key = `${seed} ${asked.length}`;
        // Each command names a key of its own: a list of the application that holds one twice was doubled.
        const call = execute(group, client, "mine", encoded(key), random.chance(0.2) ? 300 : 100_000);
        asked.push({ client, call, key });
      }
      group.run(random.between(0, 300));
      if (random.chance(0.15)) fail(group, random);
      for (const member of group.members) if (random.chance(0.1)) member.serves = random.chance(0.7);
      for (const member of group.members) if (random.chance(0.1)) member.roomy = random.chance(0.7);
    }
    group.weather.loss = 0;
    for (const member of group.members) {
      if (!member.up) member.restart(group.leader);
      member.serves = true;
      member.roomy = true;
    }
    assert.ok(
      group.until(() => clients.every(({ machine }) => machine.pending === 0)),
      `seed ${seed}: not all ended`,
    );
    group.run(10_000);
    const list = decoded(group.leader.set.query("mine", encoded(""), 1e9)) as string[];
    assert.is(new Set(list).size, list.length, `seed ${seed}: an effect was doubled`);
    for (const { client, call, key } of asked) {
      const settled = client.results.get(call);
      if (settled?.outcome?.code !== OutcomeCode.done) {
        const { code } = settled?.outcome ?? {};
        const fair = code === undefined || (forgetful && code === OutcomeCode.expired);
        assert.ok(fair, `seed ${seed}: ${JSON.stringify(settled)}`);
        if (settled?.sent === false) assert.not.ok(list.includes(key), `seed ${seed}: ${key} was never sent`);
        continue;
      }
      const place = decoded(settled.outcome) as number;
      assert.is(list[place - 1], key, `seed ${seed}: ${key} was confirmed in place ${place}`);
    }
    const [first, ...others] = group.members.map((member) => snapshotOf(member.set));
    for (const other of others) assert.equal(other, first, `seed ${seed}`);
  }
});

/** A member fails, another leads; one that failed comes back. */
function fail(group: FakeGroup, random: Random): void {
  const down = group.members.find(({ up }) => !up);
  if (down !== undefined) return down.restart(group.leader);
  const member = random.pick(group.members);
  member.up = false;
  if (group.leader === member) group.leader = group.members.find(({ up }) => up) ?? group.leader;
  group.view++;
}

test("a client follows the leader, and leaves one that does not answer", () => {
  const group = new FakeGroup(3, NAMES, oneOfEach);
  const client = group.client(1, [1]);
  const first = execute(group, client, "hits");
  assert.ok(group.until(() => client.results.has(first)));
  const before = group.leader.front.counters.requests;
  const call = execute(group, client, "hits");
  assert.ok(group.until(() => client.results.has(call)));
  assert.ok(group.leader.front.counters.requests > before, "the leader was not asked");
  group.leader.up = false;
  group.leader = group.members[1];
  const started = group.now;
  const second = execute(group, client, "hits");
  assert.ok(group.until(() => client.results.has(second)));
  assert.ok(group.now - started < 3000, `${group.now - started} ms`);
  assert.is(client.outcome(second)?.code, OutcomeCode.done);
});

test("a member that cannot serve sends the client on", () => {
  const group = new FakeGroup(4, NAMES, oneOfEach);
  const client = group.client(1, [0, 1, 2]);
  group.members[0].serves = false;
  group.members[1].serves = false;
  const call = execute(group, client, "hits");
  assert.ok(group.until(() => client.results.has(call)));
  assert.is(client.outcome(call)?.code, OutcomeCode.done);
});

test("calls end at their deadlines, and say whether they were ever sent", () => {
  const group = new FakeGroup(5, NAMES, oneOfEach);
  for (const member of group.members) member.up = false;
  const client = group.client(1, [0], { outstandingMax: 1 });
  const ask = client.machine.call(RequestKind.query, "hits", add(0), 500, 0);
  const waits = execute(group, client, "hits", add(1), 800);
  group.run(499);
  assert.is(client.results.size, 0);
  group.run(1);
  assert.equal([client.results.get(ask)?.outcome, client.results.get(ask)?.sent], [undefined, true]);
  group.run(400);
  assert.equal([client.results.get(waits)?.outcome, client.results.get(waits)?.sent], [undefined, false]);
  group.run(60_000);
  assert.is(client.machine.nextDeadline(), Infinity, "it asks for a session that nobody needs");
});

test("a call that is given up is never told of, and says whether it may have had an effect", () => {
  const group = new FakeGroup(6, NAMES, oneOfEach);
  const client = group.client(1, [0]);
  const first = execute(group, client, "hits");
  assert.is(client.machine.cancel(first, group.now), false);
  const second = execute(group, client, "hits");
  assert.ok(group.until(() => group.order.length >= 2, 1000));
  assert.is(client.machine.cancel(second, group.now), true);
  assert.is(client.machine.cancel(second, group.now), false);
  group.run(10_000);
  assert.is(client.results.size, 0);
});

test("as many calls are on their way as the limit says, and as many wait; one past that is refused", () => {
  const group = new FakeGroup(7, NAMES, oneOfEach);
  group.members[0].up = false;
  const client = group.client(1, [0], { outstandingMax: 3, queueMax: 2 });
  const ask = (): number => client.machine.call(RequestKind.query, "hits", add(0), 1e9, group.now);
  for (let count = 1; count <= 3; count++) assert.ok(ask() > 0);
  assert.is(client.machine.requests.length, 3);
  assert.ok(ask() > 0 && ask() > 0);
  assert.is(client.machine.requests.length, 3);
  assert.is(ask(), 0);
  assert.is(client.machine.pending, 5);
});

test("repeats come at growing distances, differently for each client", () => {
  const group = new FakeGroup(8, ["a"], oneOfEach);
  group.members[0].serves = false; // answers at once, in vain
  const times: number[][] = [];
  for (const id of [1, 2]) {
    const client = group.client(id, [0]);
    client.machine.call(RequestKind.query, "hits", add(0), 1e9, group.now);
    const seen: number[] = [];
    for (let last = 0; seen.length < 12;) {
      const { requests } = group.members[0].front.counters;
      group.run(1);
      if (group.members[0].front.counters.requests > requests && group.now - last > 10) {
        seen.push(last = group.now);
      }
    }
    times.push(seen.map((time, index) => Math.round(time - (seen[index - 1] ?? time))));
    group.clients.pop();
  }
  assert.ok((times[0].at(-1) as number) > 800 && (times[0].at(-1) as number) < 2100, times[0].join(" "));
  assert.not.equal(times[0], times[1]);
});

test("a command whose session was forgotten is refused, and the next one gets a new session", () => {
  const group = new FakeGroup(9, NAMES, () => oneOfEach({ sessionsMax: 1 }));
  const [one, other] = [group.client(1, [0]), group.client(2, [0])];
  const first = execute(group, one, "hits");
  assert.ok(group.until(() => one.results.has(first)));
  const second = execute(group, other, "hits");
  assert.ok(group.until(() => other.results.has(second)));
  const third = execute(group, one, "hits");
  assert.ok(group.until(() => one.results.has(third)));
  assert.is(one.outcome(third)?.code, OutcomeCode.expired);
  const fourth = execute(group, one, "hits");
  assert.ok(group.until(() => one.results.has(fourth)));
  assert.is(number(one.outcome(fourth)), 3);
});

test("a session that was forgotten during a long pause is opened again before it is used", () => {
  const group = new FakeGroup(10, NAMES, () => oneOfEach({ sessionsMax: 1 }));
  const [one, other] = [group.client(1, [0]), group.client(2, [0])];
  const first = execute(group, one, "hits");
  assert.ok(group.until(() => one.results.has(first)));
  const second = execute(group, other, "hits");
  assert.ok(group.until(() => other.results.has(second)));
  group.run(30_000);
  const third = execute(group, one, "hits");
  assert.ok(group.until(() => one.results.has(third)));
  assert.is(number(one.outcome(third)), 3);
});

test("who waits for news gets them as soon as there are some, and learns in time that there are none", () => {
  const group = new FakeGroup(11, NAMES, oneOfEach);
  const [one, other] = [group.client(1, [0]), group.client(2, [1])];
  const poll = (after: number): number => {
    const question = mapOf({ call: MapCall.changes, prefix: "k", after });
    return one.machine.call(RequestKind.poll, "users", question, Infinity, group.now);
  };
  const first = poll(0);
  group.run(5000);
  assert.not(one.results.has(first));
  execute(group, other, "users", set("other", 1));
  group.run(1000);
  assert.not(one.results.has(first));
  execute(group, other, "users", set("k", 2));
  assert.ok(group.until(() => one.results.has(first), 1000));
  const changes = readChanges(one.outcome(first) as Outcome);
  assert.equal(changes?.changes.map(({ key }) => key), ["k"]);
  const second = poll(changes?.through ?? 0);
  assert.ok(group.until(() => one.results.has(second), 15_000));
  assert.equal(readChanges(one.outcome(second) as Outcome)?.changes, []);
});

test("a client knows so many members and no more, and forgets those that have left", () => {
  const address = (index: number): Address => `m:${index}` as Address;
  const choice = new MemberChoice([address(0)], new Random(1));
  const many = Array.from({ length: KNOWN_MEMBERS_MAX + 5 }, (_, index) => address(index + 1));
  assert.is(choice.entered(5, many).reach.length, KNOWN_MEMBERS_MAX - 1);
  assert.equal(choice.entered(4, [address(9)]), { reach: [], leave: [] }, "an older view");
  const { leave } = choice.entered(6, [address(2)]);
  assert.is(leave.length, KNOWN_MEMBERS_MAX - 2);
  assert.equal(choice.addresses, [address(0), address(2)]);
});

test("everybody is asked in time when nobody answers", () => {
  const choice = new MemberChoice(["m:a", "m:b", "m:c"] as Address[], new Random(1));
  const asked = new Set<Address>();
  let last: Address | undefined;
  for (let round = 0; round < 10; round++) {
    const now = round * 100;
    last = choice.pick(now, last);
    choice.failed(last, now);
    asked.add(last);
  }
  assert.is(asked.size, 3);
});

test("a request that finds no path is not sent, and goes out as soon as there is one", () => {
  const group = new FakeGroup(13, NAMES, oneOfEach);
  const { machine } = group.client(1, [0, 1]);
  group.clients.pop(); // driven by hand
  const call = machine.call(RequestKind.query, "hits", add(0), 1000, 0);
  const [first] = machine.requests.splice(0);
  machine.undelivered(first.request.call, first.to, 0);
  machine.undelivered(first.request.call, first.to, 0); // is of no attempt any more
  assert.is(machine.requests.length, 0);
  const { address } = group.members[first.to === "m:a" ? 1 : 0];
  machine.reachable(address, true, 5);
  assert.is(machine.requests[0].to, address);
  machine.undelivered(call, address, 6);
  machine.reachable("m:nobody" as Address, true, 7);
  machine.requests.length = 0;
  machine.tick(1000);
  assert.equal(machine.settled, [{ number: call, outcome: undefined, sent: false, failures: 2 }]);
});

test("a request that went out before there was a path back is repeated once there is one", () => {
  const group = new FakeGroup(15, NAMES, oneOfEach);
  const { machine } = group.client(1, [0, 1]);
  group.clients.pop(); // driven by hand
  const call = machine.call(RequestKind.query, "hits", add(0), 500, 0);
  const [{ to, request }] = machine.requests.splice(0);
  const other = (to === "m:a" ? "m:b" : "m:a") as Address;
  machine.reachable(to, true, 5);
  assert.equal(machine.requests.splice(0), [{ to, request }]);
  machine.reachable(other, true, 6);
  assert.is(machine.requests.length, 0, "there is a path to who was asked");
  machine.undelivered(call, to, 7);
  machine.tick(500);
  assert.equal(machine.settled, [{ number: call, outcome: undefined, sent: true, failures: 1 }]);
});

test("a request to a member without a path goes to the first one with a path, and so do the next ones", () => {
  const group = new FakeGroup(16, NAMES, oneOfEach);
  const { machine } = group.client(1, [0, 1, 2]);
  group.clients.pop(); // driven by hand
  const ask = (): void => void machine.call(RequestKind.query, "hits", add(0), 1000, 0);
  ask();
  const [{ to, request }] = machine.requests.splice(0);
  const other = (to === "m:b" ? "m:a" : "m:b") as Address;
  machine.reachable(other, true, 5);
  assert.equal(machine.requests.map((asked) => [asked.to, asked.request.call]), [[other, request.call]]);
  for (let count = 0; count < 10; count++) ask();
  assert.equal([...new Set(machine.requests.map((asked) => asked.to))], [other]);
});

test("who loses the path to the member that it asked asks another one at once", () => {
  const group = new FakeGroup(14, NAMES, oneOfEach);
  const client = group.client(1, [0, 1]);
  const call = client.machine.call(RequestKind.query, "hits", add(0), 60_000, 0);
  const { to } = client.machine.requests[0];
  (to === "m:a" ? group.members[0] : group.members[1]).up = false;
  client.machine.reachable(to, false, 0);
  assert.ok(group.until(() => client.results.has(call), 300));
});

test("replies that make no sense are counted and change nothing", () => {
  const group = new FakeGroup(12, NAMES, oneOfEach);
  const client = group.client(1, [0]);
  const call = execute(group, client, "hits");
  const { machine } = client;
  const from = "m:a" as Address;
  const reply = {
    code: 0,
    client: 1,
    call: 1,
    from,
    token: 0,
    position: 0,
    leader: undefined,
    view: 0,
    members: [],
  };
  const bytes = { encoding: 1 as const, bytes: new Uint8Array(3) };
  machine.receive({ ...reply, ...bytes, client: 2 }, 0); // another client's
  machine.receive({ ...reply, ...bytes, from: "m:x" as Address }, 0); // nobody it knows
  machine.receive({ ...reply, ...bytes, code: 99 }, 0);
  assert.is(machine.implausible, 3);
  machine.receive({ ...reply, ...bytes, call: machine.requests[0].request.call }, 0); // no session at all
  assert.is(machine.implausible, 4);
  machine.receive({ ...reply, ...bytes, call: 999 }, 0);
  for (let count = 0; count < 100; count++) {
    machine.receive({
      ...reply,
      ...bytes,
      code: OutcomeCode.prove,
      token: count,
      call: machine.requests[0].request.call,
    }, 0);
  }
  assert.ok(machine.requests.length < 10, "it answered every demand for proof");
  assert.ok(group.until(() => client.results.has(call)));
  assert.is(number(client.outcome(call)), 1);
  assert.is(new LayoutReader(new Uint8Array(8)).u64(), 0);
});

test("a command stays one that was put out when a member asks for proof, and the repetition cannot be sent", () => {
  const to = "m:a" as Address;
  const machine = new ClientMachine(
    { client: 7, address: "m:c" as Address, group: "g" },
    [to],
    new Random(1),
    DEFAULT_CLIENT_SETTINGS,
  );
  const reply = (
    code: OutcomeCode,
    call: number,
    token: number,
    bytes: Uint8Array = new Uint8Array(),
  ): Reply => ({
    ...{ code, client: 7, call, from: to, token, position: 1, leader: undefined, view: 0, members: [] },
    ...{ encoding: Encoding.bytes, bytes },
  });
  machine.reachable(to, true, 0);
  const call = machine.call(RequestKind.execute, "hits", add(1), 5000, 0);
  const [open] = machine.requests.splice(0);
  machine.receive(reply(OutcomeCode.prove, open.request.call, 99), 1);
  machine.receive(reply(OutcomeCode.done, open.request.call, 0, new LayoutWriter(8).u64(5).take()), 1);
  machine.requests.splice(0, 1);
  const [{ request }] = machine.requests.splice(0);
  assert.equal([request.call, request.token], [call, 99]); // it takes effect, and the answer is lost
  machine.receive(reply(OutcomeCode.prove, call, 100), 2); // a copy has reached the member's next life
  assert.is(machine.requests.splice(0).length, 1);
  machine.undelivered(call, to, 3);
  for (let now = 4; now <= 5000; now++) {
    machine.tick(now);
    for (const { request } of machine.requests.splice(0)) machine.undelivered(request.call, to, now);
  }
  assert.equal(machine.settled.map(({ number, outcome, sent }) => [number, outcome, sent]), [[
    call,
    undefined,
    true,
  ]]);
});

test.run();

/** Transcripts of views: who founds, joins, leaves, is evicted and comes back, and what each member is told in which order. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random } from "../../core/base/random.ts";
import { ALL, connected } from "./connected.ts";
import { address, type Choices, describe, type Seat, Table } from "./table.ts";

const test = suite("group/membership");

/** Times that make a crash known soon. */
const SOON: Choices = { timing: { suspectMinMs: 500, suspectMaxMs: 2000 } };

/** What a member delivered in each of its views. */
function byView({ story }: Seat): Map<string, string[]> {
  const views = new Map<string, string[]>();
  let present: string[] | undefined;
  for (const line of story) {
    if (line.startsWith("view ")) views.set(line, present = []);
    else if (line === "evicted" || line.startsWith("restore")) present = undefined;
    else if (line.startsWith('"')) present?.push(line);
  }
  return views;
}

/** Why a member went, as a seat was told last. */
function reason(seat: Seat, name: string): string | undefined {
  return seat.views.flatMap(({ departed }) => departed).findLast(({ member }) => member.name === name)
    ?.reason;
}

function sends(table: Table, name: string, value: unknown): void {
  assert.ok(table.seat(name).send(value) > 0, `${name} cannot send ${value}`);
  table.turn(name);
}

// ---- founding ----

test("a process that expects nobody founds a group at once, and leads it", () => {
  const table = new Table(["a"]);
  table.tick("a");
  const seat = table.seat("a");
  assert.equal(seat.story, ["view 1 a", "leader"]);
  const [event] = seat.views;
  assert.equal([event.joined.length, event.departed, event.view.leader], [1, [], 0]);
  sends(table, "a", "x");
  assert.equal([seat.values, seat.machine.state.own.stable], [["x"], 1]);
});

test("those who expect each other found one group, and all of them tell the same view", () => {
  const table = new Table(["a", "b", "c", "d", "e"]);
  table.found();
  const views = [...table.seats.values()].map(({ views }) => views.at(-1)?.view);
  for (const view of views) assert.equal(view, views[0]);
  assert.is(views[0]?.lineage, 100, "the number of the founder's life");
  assert.is(views[0]?.members[0].name, "a", "the founder is the most senior");
  assert.ok(
    table.seat("a").story.filter((line) => line.startsWith("view")).length <= 3,
    "few views, not one for each",
  );
});

test("nobody founds a group while one of those expected is missing", () => {
  const table = new Table(ALL);
  table.seat("c").dead = true;
  for (const name of ["a", "b"]) table.tick(name);
  table.run(20_000);
  assert.equal(["a", "b"].map((name) => table.seat(name).members), [[], []]);
  table.seat("c").dead = false;
  table.found();
});

test("one that only joins founds nothing, and joins once there is a group", () => {
  const table = new Table(["a", "b"], { expect: 0 });
  for (const name of ["a", "b"]) table.tick(name);
  table.run(10_000);
  assert.equal([table.seat("a").members, table.seat("b").members], [[], []]);
});

test("a group is founded in the end whichever one of the first packets is lost", () => {
  for (let lost = 0; lost < 40; lost++) {
    const table = new Table(["a", "b"]);
    for (const name of ["a", "b"]) table.tick(name);
    let carried = 0;
    const { carry } = table;
    table.carry = (carried_) => {
      if (carried++ !== lost) carry.call(table, carried_);
    };
    table.runUntil(`both are in, packet ${lost} lost`, () => table.agree(["a", "b"]), 10_000);
    sends(table, "a", "hello");
    table.run(1000);
    assert.equal(table.seat("b").values, ["hello"], `packet ${lost} lost`);
    assert.is(table.seat("a").machine.state.own.stable, 1);
  }
});

// ---- joining ----

test("a process joins through any one member, and all others get to know it", () => {
  for (const through of ["a", "b"]) {
    const table = new Table(ALL);
    table.seat("c").dead = true;
    table.restart("a", { seeds: [address("b")], expect: 2 });
    table.restart("b", { seeds: [address("a")], expect: 2 });
    table.runUntil("two are there", () => table.agree(["a", "b"]));
    table.restart("c", { seeds: [address(through)], expect: 0 });
    table.runUntil("three are there", () => table.agree(ALL));
    const joined = table.seat("b").views.at(-1)?.joined.map(({ name }) => name);
    assert.equal(joined, ["c"]);
    assert.is(table.seat("c").views[0].joined.length, 3, "to the newcomer all are new");
    assert.equal(table.seat("c").story.slice(0, 2), [
      "restore 0",
      `view ${table.seat("c").machine.viewNumber} a b c`,
    ]);
  }
});

test("a member that joins gets the state, what was sent meanwhile and what follows, once and in order", () => {
  for (let seed = 1; seed <= 10; seed++) {
    const random = new Random(seed);
    const table = new Table(ALL, { order: seed % 2 === 0 ? "causal" : "fifo" });
    table.seat("c").dead = true;
    for (const name of ["a", "b"]) {
      table.restart(name, { seeds: ["a", "b"].filter((other) => other !== name).map(address), expect: 2 });
    }
    table.runUntil("two are there", () => table.agree(["a", "b"]));
    let count = 0;
    const traffic = (rounds: number): void => {
      for (let round = 0; round < rounds; round++) {
        for (const name of ALL) {
          if (!table.seat(name).dead && random.chance(0.4) && table.seat(name).send(`${name}${count}`) > 0) {
            count++;
          }
        }
        table.run(random.int(1, 10));
      }
    };
    traffic(20);
    table.restart("c", { expect: 0 });
    traffic(200);
    table.runUntil("three are there", () => table.agree(ALL));
    traffic(20);
    table.run(2000);
    for (const name of ALL) {
      const { values } = table.seat(name);
      assert.is(values.length, count, `seed ${seed}: ${name}`);
      assert.is(new Set(values).size, count, "nothing twice");
      for (const sender of ALL) {
        const numbers = values.map(String).filter((value) => value.startsWith(sender)).map((value) =>
          Number(value.slice(1))
        );
        assert.equal(numbers, [...numbers].sort((x, y) => x - y), "in the sender's order");
      }
    }
    assert.ok(table.seat("c").story[0].startsWith("restore") && table.seat("c").story[0] !== "restore 0");
  }
});

test("a member that joins starts with an empty state when the others keep none", () => {
  const table = new Table(ALL);
  for (const name of ["a", "b"]) {
    table.restart(name, { seeds: ["a", "b"].filter((other) => other !== name).map(address), expect: 2 });
  }
  for (const name of ["a", "b"]) table.seat(name).stateful = false;
  table.seat("c").dead = true;
  table.runUntil("two are there", () => table.agree(["a", "b"]));
  sends(table, "a", "before");
  table.run(100);
  table.restart("c", { expect: 0 });
  table.runUntil("three are there", () => table.agree(ALL));
  sends(table, "a", "after");
  table.run(500);
  assert.equal(table.seat("c").values, ["after"]);
});

test("a member that joins asks another one when the first one dies in the middle of the transfer", () => {
  for (const victim of ["a", "b", "c"]) {
    const table = new Table(["a", "b", "c", "d"], { ...SOON, limits: { bundleBytes: 1200 } });
    const three = ["a", "b", "c"];
    table.seat("d").dead = true;
    for (const name of three) {
      table.restart(name, { seeds: three.filter((other) => other !== name).map(address), expect: 3 });
    }
    table.runUntil("three are there", () => table.agree(three));
    for (let count = 0; count < 50; count++) sends(table, "a", "x".repeat(1000) + count);
    table.run(500);
    table.restart("d", { expect: 0 });
    let chunks = 0;
    for (let next = table.wire.shift(); next !== undefined && chunks < 10; next = table.wire.shift()) {
      if (next.from === victim && describe(next.bytes) === "CHUNK") chunks++;
      table.carry(next);
    }
    table.seat(victim).dead = true;
    const rest = three.filter((name) => name !== victim);
    table.runUntil(`d is in without ${victim}`, () => table.agree([...rest, "d"]));
    assert.equal(table.seat("d").values, table.seat(rest[0]).values);
  }
});

// ---- events and their order ----

test("what was delivered in a view comes before the next view, and is the same for all that move on", () => {
  for (let seed = 1; seed <= 15; seed++) {
    const random = new Random(seed);
    const names = ["a", "b", "c", "d"];
    const table = new Table(names, { ...SOON, order: seed % 2 === 0 ? "causal" : "fifo" });
    table.found();
    const { carry } = table;
    table.carry = (packet) => {
      if (!random.chance(0.05)) carry.call(table, packet);
    };
    let count = 0;
    for (let round = 0; round < 400; round++) {
      for (const name of names) {
        if (!table.seat(name).dead && random.chance(0.3)) table.seat(name).send(`${name}${++count}`);
      }
      if (round === 100) table.seat("d").dead = true;
      if (round === 200) table.restart("d", { expect: 0 });
      if (round === 300) table.seat("a").dead = true;
      table.run(random.int(5, 20));
    }
    table.runUntil(`seed ${seed}: three go on`, () => table.agree(["b", "c", "d"]), 30_000);
    table.run(2000);
    const [b, c] = ["b", "c"].map((name) => byView(table.seat(name)));
    const common = [...b.keys()].filter((view) => c.has(view));
    assert.ok(common.length >= 4, `seed ${seed}: ${common}`);
    for (const view of common) {
      assert.equal([...b.get(view) ?? []].sort(), [...c.get(view) ?? []].sort(), view);
    }
    assert.equal(
      [...table.seat("d").values].sort(),
      [...table.seat("b").values].sort(),
      "and the states agree",
    );
  }
});

test("a view is followed by its leader, and own leadership is told only once it is sure", () => {
  const table = new Table(ALL);
  table.found();
  table.run(500);
  for (const name of ALL) {
    const { events } = table.seat(name);
    const last = events.findLastIndex((event) => event.type === "view");
    const leader = events.slice(last).find((event) => event.type === "leader");
    assert.equal(
      [leader?.type === "leader" ? leader.leader.name : "", leader?.type === "leader" ? leader.own : ""],
      ["a", name === "a"],
      name,
    );
  }
  const [a, b] = ["a", "b"].map((name) => table.seat(name).machine.watch);
  assert.ok(a.sureUntil() > table.now && b.sureUntil() === -Infinity);
});

test("leadership ends with the echoes, before anybody else can lead", () => {
  const table = connected(ALL);
  for (const other of ["b", "c"]) {
    table.cut.add(`a>${other}`);
    table.cut.add(`${other}>a`);
  }
  const { watch, state } = table.seat("a").machine;
  const { suspectMinMs } = state.config.timing;
  const cutAt = table.now;
  table.runUntil("a is no longer sure", () => watch.sureUntil() <= table.now, suspectMinMs);
  assert.ok(table.now - cutAt <= suspectMinMs);
  assert.equal(table.seat("b").views, [], "nobody has another view yet");
  table.runUntil("b leads", () => table.seat("b").machine.watch.sureUntil() > table.now);
  assert.equal([table.seat("b").members, table.seat("a").members], [["b", "c"], ["a", "b", "c"]]);
});

// ---- leaving ----

test("a member that leaves is in the next view no more, and what it sent is delivered in the view before", () => {
  for (const name of ALL) {
    const table = connected(ALL);
    sends(table, name, "last words");
    table.seat(name).machine.leave(table.now);
    table.turn(name);
    const rest = ALL.filter((other) => other !== name);
    table.runUntil(`${name} has left`, () => table.agree(rest), 2000);
    table.runUntil(`${name} is done`, () => table.seat(name).machine.state.phase === "over", 2000);
    assert.is(table.seat(name).machine.state.deliveredThrough, 1);
    for (const other of rest) {
      const seat = table.seat(other);
      assert.is(reason(seat, name), "left");
      const told = seat.story.filter((line) => line.startsWith("view") || line.startsWith('"'));
      assert.equal(told, ['"last words"', `view ${seat.machine.viewNumber} ${rest.join(" ")}`]);
    }
  }
});

test("all members leave, one after the other and all at once", () => {
  for (const pauseMs of [0, 1, 5, 1000]) {
    const table = connected(ALL);
    for (const name of ALL) {
      table.seat(name).machine.leave(table.now);
      table.turn(name);
      table.run(pauseMs);
    }
    const over = (): boolean => ALL.every((name) => table.seat(name).machine.state.phase === "over");
    table.runUntil(`all have left, ${pauseMs} ms apart`, over);
  }
});

// ---- eviction ----

test("a member that crashes is suspected and then evicted, the leader as well", () => {
  for (const name of ALL) {
    const table = connected(ALL, SOON);
    const rest = ALL.filter((other) => other !== name);
    table.seat(name).dead = true;
    table.runUntil(`${name} is out`, () => table.agree(rest), 6000);
    table.run(500);
    for (const other of rest) {
      const seat = table.seat(other);
      assert.is(reason(seat, name), "crashed");
      assert.ok(seat.story.indexOf("suspected") < seat.story.findIndex((line) => line.startsWith("view")));
    }
    assert.ok(table.seat(rest[0]).machine.watch.sureUntil() > table.now, "the senior of the rest leads");
  }
});

test("a group of three goes on to its last member when they crash one after the other", () => {
  const table = connected(ALL, SOON);
  table.seat("b").dead = true;
  table.runUntil("two go on", () => table.agree(["a", "c"]));
  table.seat("c").dead = true;
  table.runUntil("one goes on", () => table.agree(["a"]));
  sends(table, "a", "alone");
  assert.is(table.seat("a").machine.state.own.stable, 1);
});

test("the junior of two stops when the senior crashes: nobody could tell that from a partition", () => {
  const table = connected(["a", "b"], SOON);
  table.seat("a").dead = true;
  table.run(20_000);
  const seat = table.seat("b");
  assert.equal([seat.members, seat.send("x"), seat.machine.state.blocked], [["a", "b"], 0, true]);
  const blocked = seat.events.filter((event) => event.type === "blocked");
  assert.equal(blocked, [{ type: "blocked", reason: "minority", members: ["a"], pending: 0 }]);
});

test("a restarted member is in the next view as a new life, at once", () => {
  for (const name of ALL) {
    const table = connected(ALL);
    sends(table, "b", "before");
    table.run(200);
    const started = table.now;
    table.restart(name);
    table.runUntil(`${name} is back`, () => table.agree(ALL), 5000);
    assert.ok(table.now - started < 2500, `${table.now - started} ms`);
    const other = table.seat(ALL.find((candidate) => candidate !== name) as string);
    assert.is(reason(other, name), "restarted");
    assert.equal(table.seat(name).values, ["before"]);
    sends(table, name, "of the new life");
    table.run(300);
    for (const seat of table.seats.values()) assert.equal(seat.values, ["before", "of the new life"]);
  }
});

test("the smaller side of a partition sends nothing, and joins again as new lives when it heals", () => {
  const table = connected(["a", "b", "c", "d", "e"], SOON);
  const [small, large] = [["a", "b"], ["c", "d", "e"]];
  sends(table, "a", "for all");
  table.run(100);
  for (const one of small) {
    for (const other of large) {
      table.cut.add(`${one}>${other}`);
      table.cut.add(`${other}>${one}`);
    }
  }
  sends(table, "a", "too late");
  table.runUntil("the larger side goes on", () => table.agree(large));
  table.runUntil(
    "the smaller side knows",
    () => small.every((name) => table.seat(name).told.includes("blocked")),
  );
  assert.is(table.seat("a").send("refused"), 0);
  sends(table, "c", "of the larger side");
  table.run(1000);
  assert.equal(table.seat("a").values, ["for all", "too late"], "its own application has had it");
  table.cut.clear();
  table.runUntil("all are together", () => table.agree(["a", "b", "c", "d", "e"]));
  for (const name of small) {
    const evicted = table.seat(name).events.find((event) => event.type === "evicted");
    assert.ok(evicted?.type === "evicted");
    if (evicted.deliveredThrough !== undefined) assert.is(evicted.deliveredThrough, name === "a" ? 1 : 0);
  }
  assert.is(table.seat("a").machine.state.incarnation, 101, "the next life");
  for (const seat of table.seats.values()) assert.equal(seat.values, ["for all", "of the larger side"]);
});

test("a partition that heals before anybody is suspected costs nothing", () => {
  const table = connected(ALL);
  for (const other of ["a", "b"]) {
    table.cut.add(`c>${other}`);
    table.cut.add(`${other}>c`);
  }
  sends(table, "c", "late");
  table.run(600);
  table.cut.clear();
  table.run(1000);
  assert.ok(table.agree(ALL));
  assert.equal(table.seat("a").views, []);
  assert.equal(table.seat("a").values, ["late"]);
});

test("a member that missed the install learns of the view from the others", () => {
  for (const name of ["b", "c"]) {
    const table = connected(["a", "b", "c", "d"], SOON);
    table.seat("d").dead = true;
    const { carry } = table;
    table.carry = (packet) => {
      if (packet.to !== name || describe(packet.bytes) !== "INSTALL" || table.seat("a").views.length === 0) {
        carry.call(table, packet);
      }
    };
    table.runUntil("a has the view", () => table.seat("a").views.length === 1);
    table.carry = carry;
    table.runUntil("all have it", () => table.agree(ALL), 5000);
    assert.equal(table.seat(name).told.filter((type) => type === "evicted"), []);
  }
});

test("a member that is heard stays in the group though much of what it is asked, and answers, is lost", () => {
  const table = connected(ALL);
  const { carry } = table;
  let lost = 0;
  table.carry = (packet) => {
    const isAsked = packet.to === "b" && describe(packet.bytes) === "PREPARE";
    if (isAsked && lost < 8) lost++;
    else carry.call(table, packet);
  };
  table.seat("c").machine.leave(table.now);
  table.runUntil("the others go on", () => table.agree(["a", "b"]), 5000);
  assert.is(lost, 8);
  assert.equal(table.seat("b").told.filter((type) => type === "evicted"), []);
});

test("a leader that leaves leaves nobody behind, though nothing that it sends from then on arrives", () => {
  const table = connected(["a", "b"], SOON);
  const { carry } = table;
  table.carry = (packet) => {
    if (packet.from !== "a" || table.seat("a").machine.state.phase === "member") carry.call(table, packet);
  };
  table.seat("a").machine.leave(table.now);
  table.runUntil("b goes on", () => table.agree(["b"]), 5000);
  assert.is(reason(table.seat("b"), "a"), "left");
  sends(table, "b", "alone");
});

test("the rest may leave, all of them, when the leader has crashed", () => {
  const table = connected(ALL, SOON);
  table.seat("a").dead = true;
  for (const name of ["b", "c"]) table.seat(name).machine.leave(table.now);
  table.runUntil(
    "they have left",
    () => ["b", "c"].every((name) => table.seat(name).machine.state.phase === "over"),
    5000,
  );
});

// ---- elections ----

for (const election of ["senior", "bully", "ring"] as const) {
  test(`${election}: somebody leads, and somebody else when that one crashes`, () => {
    const table = connected(["a", "b", "c", "d"], { ...SOON, election });
    const leader = (): string => {
      const sure = [...table.seats.values()].filter((seat) =>
        !seat.dead && seat.machine.watch.sureUntil() > table.now
      );
      assert.ok(sure.length <= 1, "two lead");
      return sure[0]?.name ?? "";
    };
    table.runUntil("somebody leads", () => leader() !== "");
    const first = leader();
    table.seat(first).dead = true;
    table.runUntil("somebody else leads", () => leader() !== "");
    assert.is.not(leader(), first);
    const rest = ["a", "b", "c", "d"].filter((name) => name !== first);
    assert.ok(table.agree(rest));
    if (election !== "senior") {
      const told = rest.flatMap((name) => table.seat(name).events).find((event) => event.type === "election");
      assert.ok(told?.type === "election" && told.strategy === election && told.winner === leader());
    }
  });
}

test.run();

/** Forged, replayed and altered packets about views: each is counted or passed over, and nothing changes by it. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Incarnation, MemberName } from "../../core/base/ids.ts";
import { Random } from "../../core/base/random.ts";
import type { Hello } from "../../core/group/greeting.ts";
import { GroupMachine } from "../../core/group/machine.ts";
import {
  type Answer,
  ballotOf,
  encodeAnswer,
  encodeProposal,
  memberMaps,
  type Proposal,
  ROUND_MAX,
} from "../../core/membership/proposal.ts";
import { encodeControl } from "../../core/wire/control.ts";
import { Kind } from "../../core/wire/message.ts";
import { bounded } from "../core/wire/bounded.ts";
import { ALL, changes, connected, greeting, helloOf, HUGE, outside } from "./connected.ts";
import { address, data, packet, type Part, Table } from "./table.ts";

const test = suite("group/change/hostile");

/** The next view as `b` would propose it. */
function proposalOf(table: Table, fields: Partial<Proposal> = {}): Proposal {
  const { view } = table.seat("a").machine.state;
  const { number, lineage, members } = view.view;
  return {
    number: number + 1,
    lineage,
    members,
    leader: 1,
    cut: members.map(() => 0),
    departed: [],
    ...fields,
  };
}

/** What must be the same after a packet that nobody honest sends. */
function standing(table: Table, name: string): unknown {
  const { machine, values, members, told } = table.seat(name);
  const { phase, wedged, incarnation, own } = machine.state;
  const change = machine.membership.change?.state;
  return {
    members,
    number: machine.viewNumber,
    phase,
    wedged,
    incarnation,
    values: [...values],
    told: told.filter((type) => !type.startsWith("warning")),
    sent: own.last,
    promised: change?.promised,
    accepted: change?.accepted,
    decided: change?.decided,
  };
}

/** A forged packet changes nothing at `a`; which counters rise by it. */
function harmless(table: Table, bytes: Uint8Array, what: string, name = "a"): Record<string, number> {
  const before = standing(table, name);
  const counted = changes(table, name, () => bounded(what, () => table.receive(name, bytes)));
  assert.equal(standing(table, name), before, what);
  table.wire = [];
  return counted;
}

function fromB(table: Table, part: Part, changed: Parameters<Table["identity"]>[1] = {}): Uint8Array {
  return packet(table.identity("b", changed), part);
}

// ---- the messages of a view change ----

test("H13, H16: a PREPARE with a ballot of somebody else, of no round or of too high a round is counted", () => {
  const table = connected(ALL);
  const next = table.seat("a").machine.viewNumber + 1;
  for (
    const ballot of [
      0,
      1,
      1023,
      ballotOf(1, 0),
      ballotOf(1, 2),
      ballotOf(1, 9),
      ballotOf(ROUND_MAX + 1, 1),
      HUGE,
    ]
  ) {
    // Nobody promises anything to others while the leader serves: first it has to be gone.
    const { view } = table.seat("c").machine.state;
    view.peers[0].suspected = true;
    const bytes = fromB(table, { kind: Kind.prepare, a: ballot, b: next });
    assert.equal(harmless(table, bytes, `ballot ${ballot}`, "c"), { implausible: 1 }, `ballot ${ballot}`);
  }
});

test("a PREPARE of a member that does not lead changes nothing while the leader serves", () => {
  const table = connected(ALL);
  const next = table.seat("a").machine.viewNumber + 1;
  for (const name of ["a", "c"]) {
    harmless(table, fromB(table, { kind: Kind.prepare, a: ballotOf(1, 1), b: next }), "PREPARE", name);
    harmless(
      table,
      fromB(table, { kind: Kind.prepare, a: ballotOf(ROUND_MAX, 1), b: next }),
      "PREPARE",
      name,
    );
  }
});

test("H14: messages of a view change for another view than the next are counted", () => {
  const table = connected(ALL);
  const { viewNumber } = table.seat("a").machine;
  const ballot = ballotOf(1, 1);
  const answer: Answer = { holds: [0, 0, 0], voterOnly: false, accepted: undefined };
  for (const number of [0, 1, viewNumber, viewNumber + 2, HUGE]) {
    const proposal = encodeProposal(proposalOf(table, { number: Math.max(2, number) }));
    const parts: Part[] = [
      { kind: Kind.prepare, a: ballot, b: number },
      { kind: Kind.promise, a: ballot, b: number, body: encodeAnswer(answer) },
      { kind: Kind.accept, a: ballot, b: number, body: proposal },
      { kind: Kind.accept, a: ballot, b: viewNumber + 1, body: proposal },
      { kind: Kind.accepted, a: ballot, b: number },
      { kind: Kind.install, a: number, body: proposal },
      { kind: Kind.install, a: viewNumber + 1, body: proposal },
    ];
    for (const part of parts) {
      assert.equal(harmless(table, fromB(table, part), `kind ${part.kind} for ${number}`), { malformed: 1 });
    }
  }
});

test("H13, H23: an ACCEPT or INSTALL whose proposal no honest member makes is counted", () => {
  const table = connected(ALL);
  const next = table.seat("a").machine.viewNumber + 1;
  const bodies = [
    new Uint8Array(0),
    new Uint8Array([0xa0]),
    new Uint8Array(1000).fill(0x9f),
    encodeProposal(proposalOf(table, { lineage: 77 })),
    encodeProposal(proposalOf(table, { cut: [] })),
    encodeProposal(proposalOf(table, { cut: [0, 0] })),
    encodeProposal(proposalOf(table, { cut: [0, 0, 0, 0] })),
    encodeProposal(proposalOf(table, { members: [] })),
    encodeProposal(proposalOf(table, { leader: 3 })),
    encodeProposal(proposalOf(table, { departed: [{ rank: 3, reason: "left" }] })),
  ];
  for (const body of bodies) {
    for (
      const part of [{ kind: Kind.accept, a: ballotOf(1, 1), b: next, body }, {
        kind: Kind.install,
        a: next,
        body,
      }]
    ) {
      assert.equal(harmless(table, fromB(table, part), `kind ${part.kind}`), { malformed: 1 });
    }
  }
});

test("H13: an ACCEPT with somebody else's ballot is counted", () => {
  const table = connected(ALL);
  const proposal = proposalOf(table);
  for (
    const ballot of [0, ballotOf(1, 0), ballotOf(1, 2), ballotOf(1, 500), ballotOf(ROUND_MAX + 1, 1), HUGE]
  ) {
    const part = { kind: Kind.accept, a: ballot, b: proposal.number, body: encodeProposal(proposal) };
    assert.equal(harmless(table, fromB(table, part), `ballot ${ballot}`), { implausible: 1 });
  }
});

test("H13: answers that nobody asked for change nothing", () => {
  const table = connected(ALL);
  const next = table.seat("a").machine.viewNumber + 1;
  const answer = (holds: number[], accepted?: Answer["accepted"]): Uint8Array =>
    encodeAnswer({ holds, voterOnly: false, accepted });
  const promise = (body: Uint8Array, ballot = ballotOf(1, 0)): Part => ({
    kind: Kind.promise,
    a: ballot,
    b: next,
    body,
  });
  for (const body of [answer([]), answer([0, 0]), answer([0, 0, 0, 0]), new Uint8Array(5)]) {
    assert.equal(harmless(table, fromB(table, promise(body)), "PROMISE of another size"), { malformed: 1 });
  }
  const other = { ballot: 1025, proposal: proposalOf(table, { number: next + 1 }) };
  assert.equal(harmless(table, fromB(table, promise(answer([0, 0, 0], other))), "of another view"), {
    malformed: 1,
  });
  harmless(table, fromB(table, promise(answer([HUGE, HUGE, HUGE]))), "PROMISE");
  harmless(table, fromB(table, { kind: Kind.accepted, a: ballotOf(1, 0), b: next }), "ACCEPTED");
  harmless(table, fromB(table, { kind: Kind.busy, a: ballotOf(1, 0), b: ballotOf(9, 1) }), "BUSY");
  assert.is(harmless(table, fromB(table, { kind: Kind.busy, a: HUGE, b: HUGE }), "BUSY").implausible, 1);
});

test("H16: after a BUSY with the highest ballot a view change still comes to its end", () => {
  const table = connected(ALL, { timing: { suspectMinMs: 500, suspectMaxMs: 2000 } });
  table.receive("a", fromB(table, { kind: Kind.busy, a: ballotOf(1, 0), b: HUGE }));
  table.seat("c").dead = true;
  table.runUntil("c is out", () => table.agree(["a", "b"]), 30_000);
});

test("H15: messages of a view change from a former life, or in another rank, are counted", () => {
  const table = connected(ALL);
  const proposal = encodeProposal(proposalOf(table));
  const next = table.seat("a").machine.viewNumber + 1;
  for (
    const changed of [{ incarnation: 1 }, { incarnation: 9999 }, { rank: 2 }, { rank: 0 }, { rank: 900 }]
  ) {
    for (
      const part of [{ kind: Kind.prepare, a: ballotOf(1, 1), b: next }, {
        kind: Kind.install,
        a: next,
        body: proposal,
      }]
    ) {
      assert.equal(harmless(table, fromB(table, part, changed), JSON.stringify(changed)), {
        unknownSender: 1,
      });
    }
  }
  for (const changed of [{ lineage: 77 }, { viewNumber: next }, { viewNumber: 1 }]) {
    const bytes = fromB(table, { kind: Kind.install, a: next, body: proposal }, changed);
    assert.is(harmless(table, bytes, JSON.stringify(changed)).foreignView, 1);
  }
});

test("an election message that no honest member sends is counted", () => {
  for (const election of ["senior", "bully", "ring"] as const) {
    const table = connected(ALL, { election });
    for (const [flags, round, candidate] of [[99, 1, 1], [255, HUGE, HUGE], [1, 0, 900], [2, 5, HUGE]]) {
      const part = { kind: Kind.election, flags, a: round, b: candidate };
      assert.is(
        harmless(table, fromB(table, part), `${election} ${flags}`).implausible,
        1,
        `${election} ${flags}`,
      );
    }
  }
});

// ---- what is said outside of any view ----

test("H13: an OUT of a stranger, of an earlier view, for another life or another group changes nothing", () => {
  const table = connected(ALL);
  const { lineage, number } = table.seat("a").machine.state.view.view;
  const out = (fields: object, a = number + 1): Uint8Array =>
    outside(table, Kind.out, encodeControl({ from: address("b"), incarnation: 100, lineage, ...fields }), {
      a,
    });
  assert.is(harmless(table, out({ from: address("z") }), "of a stranger").implausible, 1);
  for (const fields of [{ incarnation: 99 }, { incarnation: 101 }, { lineage: 77 }]) {
    harmless(table, out(fields), JSON.stringify(fields));
  }
  for (const a of [0, 1, number]) harmless(table, out({}, a), `of view ${a}`);
  for (const fields of [{ from: 5 }, { incarnation: -1 }, { lineage: "x" }, { from: undefined }]) {
    assert.equal(harmless(table, out(fields), JSON.stringify(fields)), { malformed: 1 });
  }
});

test("H13: a WELCOME changes nothing for a member, and is counted by a process that did not greet its sender", () => {
  const welcome = (table: Table, from: string, incarnation: number): Uint8Array => {
    const members = [["memory:z", "z", 7, 16, 65_536], ["memory:b", "b", 9, 16, 65_536]];
    const map = { from: address(from), incarnation, number: 99, lineage: 77, members, leader: 0 };
    return outside(table, Kind.welcome, encodeControl(map), { a: 99 });
  };
  const table = connected(ALL);
  harmless(table, welcome(table, "b", 100), "for a member");
  const joining = new Table(ALL);
  joining.tick("a");
  assert.is(harmless(joining, welcome(joining, "z", 100), "of a stranger").implausible, 1);
  assert.is(joining.seat("a").machine.taking.known, undefined);
  harmless(joining, welcome(joining, "b", 99), "for another life");
  assert.is(joining.seat("a").machine.taking.known, undefined);
});

test("H13: a malformed WELCOME, REFUSE, HELD, PULL or HELLO is counted", () => {
  for (const table of [connected(ALL), new Table(ALL)]) {
    table.tick("a");
    table.wire = [];
    const sound = memberMaps(table.seat("a").machine.state.roster?.view.members ?? []);
    const bad: readonly (readonly [kind: number, map: object])[] = [
      [Kind.welcome, {}],
      [Kind.welcome, {
        from: address("b"),
        incarnation: 100,
        number: 0,
        lineage: 1,
        members: sound,
        leader: 0,
      }],
      [Kind.welcome, {
        from: address("b"),
        incarnation: 100,
        number: 9,
        lineage: 0,
        members: sound,
        leader: 0,
      }],
      [Kind.welcome, { from: address("b"), incarnation: 100, number: 9, lineage: 1, members: [], leader: 0 }],
      [Kind.welcome, {
        from: address("z"),
        incarnation: 100,
        number: 9,
        lineage: 1,
        members: sound,
        leader: 0,
      }],
      [Kind.refuse, { from: address("b") }],
      [Kind.refuse, { from: address("b"), reason: "x".repeat(4097), incarnation: 100 }],
      [Kind.held, {}],
      [Kind.held, { from: "a b" }],
      [Kind.pull, { from: address("b"), transfer: 0 }],
      [Kind.pull, { from: address("b"), transfer: -1, offset: 0 }],
      [Kind.pull, { from: address("b"), transfer: 0, offset: 2 ** 53 }],
      [Kind.hello, {}],
    ];
    for (const [kind, map] of bad) {
      const counted = harmless(table, outside(table, kind, encodeControl(map)), `kind ${kind}`);
      assert.equal(counted, { malformed: 1 }, `kind ${kind} ${JSON.stringify(map)}`);
    }
    for (const kind of [Kind.prepare, Kind.install, Kind.ack, Kind.heartbeat, Kind.cut, 99]) {
      assert.equal(harmless(table, outside(table, kind, new Uint8Array(0)), `kind ${kind}`), {
        malformed: 1,
      });
    }
    const identity = table.identity("b", { viewNumber: 0, lineage: 0 });
    assert.equal(harmless(table, packet(identity, data(1, "x")), "data outside of a view"), { malformed: 1 });
  }
});

test("H13: HELD and PULL of somebody who never greeted are counted, and get no answer", () => {
  const table = connected(ALL);
  const map = { from: address("z"), transfer: 0, offset: 0 };
  for (const kind of [Kind.held, Kind.pull]) {
    assert.equal(harmless(table, outside(table, kind, encodeControl(map)), `kind ${kind}`), {
      unknownSender: 1,
    });
  }
});

test("H54: a PULL of a part that there is not gets no more than the end", () => {
  const table = connected(["a", "b"]);
  table.receive("a", greeting(table, { address: address("z"), name: "z" as MemberName }));
  for (const offset of [0, 1000, HUGE]) {
    table.wire = [];
    const map = { from: address("z"), transfer: 0, offset };
    bounded("answering", () => table.receive("a", outside(table, Kind.pull, encodeControl(map))));
    assert.ok(table.wire.length <= 2);
  }
});

test("H54: nine joiners at a time get eight transfers, and the ninth gets none", () => {
  const table = connected(["a", "b"]);
  const { destinations } = table.seat("a").machine.state;
  assert.equal(destinations, []);
  for (let index = 1; index <= 9; index++) {
    const from = address(`z${index}`);
    table.receive("a", greeting(table, { address: from, name: `z${index}` as MemberName }, 5000 + index));
    const counted = changes(table, "a", () => {
      const body = encodeControl({ from, transfer: 0, offset: 0 });
      table.receive("a", outside(table, Kind.pull, body, { incarnation: 5000 + index }));
      table.receive("a", outside(table, Kind.pull, body, { incarnation: 5000 + index }));
    });
    assert.is((counted.transferBytes ?? 0) > 0, index <= 8, `joiner ${index}`);
  }
});

test("H53: 2,000 strangers that greet cost a bounded number of connections", () => {
  const table = connected(["a", "b"]);
  const { state } = table.seat("a").machine;
  let wanted = 0;
  for (let index = 0; index < 2000; index++) {
    const bytes = greeting(
      table,
      { address: address(`z${index}`), name: `z${index}` as MemberName },
      5000 + index,
    );
    state.reaches = [];
    state.packets = [];
    state.destinations = [];
    table.seat("a").machine.receive(bytes, table.now);
    wanted += state.reaches.filter((reach) => reach.wanted).length;
  }
  assert.ok(wanted <= 1024, `${wanted} connections`);
  state.packets = [];
  state.destinations = [];
  state.reaches = [];
});

test("CHUNKs change nothing for a member, nor for a joiner that asked another giver, and malformed ones are counted", () => {
  const table = connected(["a", "b"]);
  const chunk = (body: Uint8Array, a = 1, flags = 1): Uint8Array =>
    outside(table, Kind.chunk, body, { a, flags });
  for (const body of [new Uint8Array(0), new Uint8Array(48), new Uint8Array(1000).fill(255)]) {
    harmless(table, chunk(body), "CHUNK");
    harmless(table, chunk(body, 1, 15), "CHUNK");
  }
  const joining = new Table(ALL);
  joining.tick("a");
  joining.wire = [];
  harmless(joining, chunk(new Uint8Array(48)), "CHUNK nobody asked for");
});

// ---- greetings ----

test("a greeting is refused, and the reason goes back, when the two are not configured alike", () => {
  const cases: readonly (readonly [what: string, fields: Partial<Hello>, reason: RegExp])[] = [
    ["another group", { group: "other" }, /group is other, not table/],
    ["another order", { order: "causal" }, /order is causal, not fifo/],
    ["another election", { election: "ring" }, /election is ring, not senior/],
    ["larger messages", { messageBytesMax: 2 ** 21 }, /more than 1048576/],
    ["a name in use", { name: "a" as MemberName, address: address("z") }, /name, a, is in use at memory:a/],
    [
      "the name of a third member",
      { name: "c" as MemberName, address: address("z") },
      /name, c, is in use at memory:c/,
    ],
    ["an earlier life", { incarnation: 50 }, /earlier life \(50\)/],
  ];
  for (const [what, fields, reason] of cases) {
    const table = connected(ALL);
    const bytes = greeting(table, fields, fields.incarnation ?? 5000);
    const counted = changes(table, "a", () => table.receive("a", bytes));
    assert.is(counted.refused, 1, what);
    if (what === "an earlier life") continue; // just late: nothing is wrong with how its member is configured
    const [event] = table.seat("a").events;
    assert.ok(event.type === "warning" && event.code === "refused-peer" && reason.test(event.text), what);
    assert.ok(table.agree(ALL));
  }
});

test("H29: an earlier life is refused, told of the later one, and stops", () => {
  const table = connected();
  const early = table.config("b", 50);
  const counted = changes(table, "a", () => table.receive("a", greeting(table, {}, 50)));
  assert.is(counted.refused, 1);
  const refusal = table.wire.find(({ to }) => to === "b");
  const machine = new GroupMachine(early);
  machine.receive(refusal?.bytes ?? new Uint8Array(0), table.now);
  assert.match(machine.state.fatal, /knows a later life of b/);
});

test("H28: a refusal that was meant for another life changes nothing", () => {
  const table = connected();
  const body = encodeControl({ from: address("a"), reason: "old", incarnation: 50 });
  table.receive("b", outside(table, Kind.refuse, body, { a: HUGE }));
  assert.equal([table.seat("b").machine.state.fatal, table.seat("b").told], ["", []]);
});

test("a greeting from the own address, or one whose lives disagree, is counted", () => {
  const table = connected();
  assert.equal(harmless(table, greeting(table, { address: address("a") }), "own address"), {
    implausible: 1,
  });
  assert.equal(harmless(table, greeting(table, { incarnation: 4999 }), "another life"), { malformed: 1 });
});

test("a greeting is counted when any field is missing or has another type", () => {
  const table = connected();
  const sound = helloOf(table, "b", { incarnation: 5000 as Incarnation });
  for (const field of Object.keys(sound)) {
    for (const value of [undefined, null, -1, 1.5, [5], {}, 2 ** 53]) {
      const body = encodeControl({ ...sound, [field]: value });
      const counted = harmless(table, outside(table, Kind.hello, body, { a: 5000 }), `${field} ${value}`);
      assert.equal(counted, { malformed: 1 }, `${field}: ${String(value)}`);
    }
  }
});

test("warnings are told the 1st, 10th and 100th time, so that a flood cannot fill the queue", () => {
  const table = connected();
  for (let round = 0; round < 500; round++) {
    table.receive("a", greeting(table, { address: address("z"), name: "a" as MemberName }));
  }
  const counts = table.seat("a").events.map((event) => event.type === "warning" ? event.count : 0);
  assert.equal(counts, [1, 10, 100]);
});

// ---- replays and mutations ----

/** A run with crashes, returns and leaving, and all packets that were carried in it. */
function eventful(seed: number): { readonly table: Table; readonly packets: Uint8Array[] } {
  const random = new Random(seed);
  const table = new Table(ALL, {
    order: seed % 2 === 0 ? "causal" : "fifo",
    election: random.pick(["senior", "bully", "ring"] as const),
    timing: { suspectMinMs: 500, suspectMaxMs: 2000 },
  });
  const packets: Uint8Array[] = [];
  const { carry } = table;
  table.carry = (carried) => {
    packets.push(carried.bytes.slice());
    carry.call(table, carried);
  };
  table.found();
  const traffic = (): void => {
    for (let round = 0; round < 30; round++) {
      for (const name of ALL) if (!table.seat(name).dead) table.seat(name).send(round);
      table.run(10);
    }
  };
  traffic();
  const victim = random.pick(ALL);
  table.seat(victim).dead = true;
  traffic();
  table.runUntil(
    "two are there",
    () => table.agree(ALL.filter((name) => name !== victim)) || table.seat("a").dead,
  );
  table.restart(victim, { expect: 0 });
  table.runUntil("three are there", () => table.agree(ALL));
  traffic();
  table.run(1000);
  table.carry = carry;
  return { table, packets };
}

test("packets of earlier views and lives change nothing when they come again", () => {
  const { table, packets } = eventful(1);
  assert.ok(packets.length > 200, `${packets.length} packets`);
  const before = ALL.map((name) => standing(table, name));
  for (const bytes of packets) {
    for (const name of ALL) table.receive(name, bytes);
  }
  table.run(200);
  for (const [index, name] of ALL.entries()) {
    const after = standing(table, name);
    assert.equal(after, before[index], name);
  }
  for (const name of ALL) assert.ok(table.seat(name).send("goes on") > 0);
  for (const name of ALL) table.turn(name);
  table.run(500);
  for (const { values } of table.seats.values()) {
    assert.is(values.filter((value) => value === "goes on").length, 3);
  }
});

test("recorded packets with altered bits never throw and never stall, at a member and at a joiner", () => {
  for (let seed = 1; seed <= 8; seed++) {
    const { table, packets } = eventful(seed);
    const random = new Random(1000 + seed);
    for (const [index, bytes] of packets.entries()) {
      const copy = bytes.slice();
      for (let flip = random.int(1, 4); flip > 0; flip--) {
        copy[random.int(3, copy.length - 1)] ^= 1 << random.int(0, 7);
      }
      const name = random.pick(ALL);
      const { machine } = table.seat(name);
      try {
        bounded("receiving", () => machine.receive(copy, table.now));
        table.turn(name);
        if (index % 50 === 0) table.run(20);
        if (index % 400 === 399) table.restart(random.pick(ALL));
      } catch (error) {
        throw new Error(`seed ${seed}, packet ${index}, for ${name}: ${String(error)}`, { cause: error });
      }
    }
  }
});

test.run();

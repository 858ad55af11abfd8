/** Forged, replayed and altered packets about views: each is counted or passed over, and nothing changes by it. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random } from "../../core/base/random.ts";
import {
  type Answer,
  ballotOf,
  encodeAnswer,
  encodeProposal,
  type Proposal,
  ROUND_MAX,
} from "../../core/membership/proposal.ts";
import { Kind } from "../../core/wire/message.ts";
import { bounded } from "../core/wire/bounded.ts";
import { ALL, connected, HUGE } from "./connected.ts";
import { harmless, standing } from "./harmless.ts";
import { packet, type Part, Table } from "./table.ts";

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

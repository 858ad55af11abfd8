/** Transcripts of view changes: members without a network, whose messages a test carries, loses and repeats. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Address, Incarnation, MemberName } from "../../../core/base/ids.ts";
import { Random } from "../../../core/base/random.ts";
import { type Answer, ballotOf, type Proposal, ROUND_MAX } from "../../../core/membership/proposal.ts";
import { isSameMember, type Member } from "../../../core/membership/view.ts";
import { type ChangeMessage, type ChangePort, ViewChange } from "../../../core/membership/view_change.ts";

const test = suite("membership/view_change");

function record(name: string): Member {
  return {
    address: `memory:${name}` as Address,
    name: name as MemberName,
    incarnation: 100 as Incarnation,
    windowMessages: 16,
    windowBytes: 65_536,
  };
}

/** One member: what it holds of each sender, by rank, and what it has done. */
class Seat implements ChangePort {
  readonly change: ViewChange;
  readonly rank: number;
  readonly held: number[];
  /** Newcomers that it would take in. */
  joiners: Member[] = [];
  installed: Proposal | undefined = undefined;
  wedges = 0;
  persisted = 0;
  dead = false;
  readonly #table: Table;
  #holds: readonly number[] | undefined = undefined;

  constructor(table: Table, rank: number) {
    this.#table = table;
    this.rank = rank;
    this.held = table.members.map(() => 0);
    this.change = new ViewChange(table.members, rank, this);
  }

  wedge(): readonly number[] {
    this.wedges++;
    return this.#holds ??= [...this.held];
  }

  holds(cut: readonly number[]): boolean {
    return cut.every((sequence, rank) => this.held[rank] >= sequence);
  }

  fetch(): void {}

  send(rank: number, message: ChangeMessage): void {
    this.#table.wire.push({ from: this.rank, to: rank, message: structuredClone(message) });
  }

  multicast(message: ChangeMessage): void {
    for (const { rank } of this.#table.seats) if (rank !== this.rank) this.send(rank, message);
  }

  draft(answers: readonly (Answer | undefined)[], joiners?: readonly string[]): Proposal {
    const { members } = this.#table;
    const kept = members.filter((_, rank) => answers[rank] !== undefined);
    const wanted = this.joiners.filter(({ address }) => joiners === undefined || joiners.includes(address));
    return {
      number: 2,
      lineage: 99,
      members: [...kept, ...wanted],
      leader: 0,
      cut: members.map((_, rank) => Math.max(0, ...answers.map((answer) => answer?.holds[rank] ?? 0))),
      departed: members.flatMap((_, rank) =>
        answers[rank] === undefined ? [{ rank, reason: "crashed" as const }] : []
      ),
    };
  }

  confirm(ballot: number, proposal: Proposal): void {
    for (const { name } of proposal.members) {
      if (this.joiners.some((joiner) => joiner.name === name)) {
        this.#table.said.push(`CUT ${ballot} to ${name}`);
      }
    }
  }

  persist(): void {
    this.persisted++;
  }

  install(proposal: Proposal): void {
    assert.is(this.installed, undefined, "nothing is installed twice");
    this.installed = proposal;
  }
}

interface Carried {
  readonly from: number;
  readonly to: number;
  readonly message: ChangeMessage;
}

/** Members around a table. */
class Table {
  readonly members: readonly Member[];
  readonly seats: readonly Seat[];
  wire: Carried[] = [];
  said: string[] = [];

  constructor(names: string) {
    this.members = names.split(" ").map(record);
    this.seats = this.members.map((_, rank) => new Seat(this, rank));
  }

  carry({ from, to, message }: Carried): void {
    const seat = this.seats[to];
    this.said.push(`${this.members[from].name}>${this.members[to].name} ${message.kind.toUpperCase()}`);
    if (seat.dead) return;
    assert.ok(seat.change.receive(from, structuredClone(message)), "an honest member's message is believed");
    seat.change.review();
  }

  /** Carries everything, and lets a proposer go on once all that live have answered. */
  run(lost: (carried: Carried) => boolean = () => false): string[] {
    this.said = [];
    for (let quiet = false; !quiet;) {
      quiet = true;
      for (let next = this.wire.shift(); next !== undefined; next = this.wire.shift()) {
        quiet = false;
        if (!lost(next)) this.carry(next);
      }
      for (const { change, dead } of this.seats) {
        const living = this.seats.filter((seat) => !seat.dead).map(({ rank }) => rank);
        if (dead || change.state.phase !== "collecting") continue;
        if (!living.every((rank) => change.answered.includes(rank)) || !change.isQuorum(change.answered)) {
          continue;
        }
        change.conclude();
        change.review();
        quiet = false;
      }
    }
    return this.said;
  }

  installed(): (string | undefined)[] {
    return this.seats.map(({ installed }) => installed?.members.map(({ name }) => name).join(" "));
  }
}

test("a view change is two rounds and an announcement when nothing fails", () => {
  const table = new Table("a b c");
  table.seats.forEach((seat, rank) => seat.held.splice(0, 3, 5, 5, 5 + rank));
  table.seats.forEach((seat) => seat.held[2] = 7);
  table.seats[0].change.propose();
  assert.equal(table.run(), [
    "a>b PREPARE",
    "a>c PREPARE",
    "b>a PROMISE",
    "c>a PROMISE",
    "a>b ACCEPT",
    "a>c ACCEPT",
    "b>a ACCEPTED",
    "c>a ACCEPTED",
    "a>b INSTALL",
    "a>c INSTALL",
  ]);
  assert.equal(table.installed(), ["a b c", "a b c", "a b c"]);
  assert.equal(table.seats.map(({ installed }) => installed?.cut), [[5, 5, 7], [5, 5, 7], [5, 5, 7]]);
  for (const { wedges, persisted, change } of table.seats) {
    assert.ok(wedges > 0 && persisted >= 2 && change.wedged);
  }
});

test("the cut is the union of what those that answer hold, and nobody accepts before it holds all of it", () => {
  const table = new Table("a b c");
  table.seats[0].held.splice(0, 3, 9, 0, 4);
  table.seats[1].held.splice(0, 3, 9, 3, 2);
  table.seats[2].dead = true;
  table.seats[0].change.propose();
  table.run();
  const cut = [9, 3, 4];
  assert.equal(table.seats[1].change.state.pending?.proposal.cut, cut);
  assert.equal(table.installed(), [undefined, undefined, undefined]);
  table.seats[0].held.splice(0, 3, ...cut);
  table.seats[0].change.review();
  table.run();
  assert.equal(table.installed(), [undefined, undefined, undefined], "one of three is no quorum");
  table.seats[1].held.splice(0, 3, ...cut);
  table.seats[1].change.review();
  table.run();
  assert.equal(table.installed(), ["a b", "a b", undefined]);
});

test("the next proposer repeats verbatim what somebody accepted, dead members and all", () => {
  const table = new Table("a b c d e");
  table.seats[4].dead = true;
  table.seats[0].change.propose();
  // a dies when b alone has accepted.
  table.run(({ from, to, message }) =>
    (message.kind === "accept" && to !== 1) || (from === 1 && message.kind === "accepted")
  );
  const accepted = table.seats[1].change.state.accepted?.proposal;
  assert.ok(accepted !== undefined && accepted.members.some(({ name }) => name === "a"));
  table.seats[0].dead = true;
  table.seats[2].change.propose();
  table.run();
  assert.ok(table.seats[2].change.state.repeats);
  for (const rank of [1, 2, 3]) assert.equal(table.seats[rank].installed, accepted);
});

test("the proposal with the highest ballot is repeated when several were accepted", () => {
  const table = new Table("a b c d e");
  const accept = (rank: number, round: number, proposer: number): Proposal => {
    const proposal = {
      ...table.seats[0].draft(table.members.map(() => undefined)),
      members: [record(`x${round}`)],
    };
    table.carry({
      from: proposer,
      to: rank,
      message: { kind: "accept", ballot: ballotOf(round, proposer), proposal, held: false },
    });
    return proposal;
  };
  accept(1, 1, 0);
  const latest = accept(2, 7, 0);
  accept(3, 3, 4);
  table.wire = [];
  table.seats[0].dead = true;
  table.seats[4].change.propose();
  table.run();
  assert.ok(table.wire.length === 0);
  table.seats[4].change.propose(); // its first ballot was lower than what others had promised
  table.run();
  assert.equal(table.seats[4].change.state.proposal, latest);
});

test("what was fetched after a higher promise is not accepted under the lower ballot", () => {
  const table = new Table("a b c");
  table.seats[0].held.splice(0, 3, 5, 0, 0);
  table.seats[0].change.propose();
  table.run(({ to, message }) => message.kind === "accept" && to === 1); // b hears of no ACCEPT; c fetches
  assert.is(table.seats[2].change.state.pending?.ballot, ballotOf(1, 0));
  table.seats[0].dead = true;
  table.seats[1].change.propose();
  table.run();
  const { change, held } = table.seats[2];
  assert.ok(change.state.promised > ballotOf(1, 0));
  held.splice(0, 3, 5, 0, 0);
  change.review();
  assert.is.not(change.state.accepted?.ballot, ballotOf(1, 0));
});

test("in an even split the side of the most senior member goes on, and the other one does not", () => {
  const table = new Table("a b c d");
  const split = ({ from, to }: Carried): boolean => (from < 2) !== (to < 2);
  for (const rank of [0, 2]) table.seats[rank].change.propose();
  table.run(split);
  for (const rank of [0, 2]) {
    table.seats[rank].change.conclude();
    table.seats[rank].change.review();
  }
  table.run(split);
  assert.equal(table.installed(), ["a b", "a b", undefined, undefined]);
});

test("a proposer with a lower ballot is told of the higher one, and comes through with its next", () => {
  const table = new Table("a b c");
  table.seats[1].change.propose();
  table.seats[1].dead = true;
  table.run();
  table.seats[0].change.state.promised = 0; // as if b's PREPARE had never come here
  table.seats[0].change.state.round = 0;
  table.seats[0].change.propose();
  assert.ok(table.run().includes("c>a BUSY"));
  assert.equal(table.installed(), [undefined, undefined, undefined]);
  table.seats[0].change.propose();
  table.run();
  assert.equal(table.installed(), ["a c", undefined, "a c"]);
});

test("a member that has installed answers every PREPARE with the view", () => {
  const table = new Table("a b c");
  table.seats[0].change.propose();
  table.run(({ to, message }) => message.kind === "install" && to === 2);
  assert.equal(table.installed(), ["a b c", "a b c", undefined]);
  table.seats[2].change.propose();
  assert.ok(table.run().includes("a>c INSTALL"));
  assert.equal(table.installed()[2], "a b c");
});

// ---- newcomers ----

test("a newcomer is in the proposal only once it has confirmed the cut", () => {
  const table = new Table("a b");
  const { change } = table.seats[0];
  table.seats[0].joiners = [record("x"), record("y")];
  change.propose();
  table.run();
  assert.is(change.state.phase, "confirming");
  const ballot = ballotOf(1, 0);
  assert.equal(table.said.filter((line) => line.startsWith("CUT")), [
    `CUT ${ballot} to x`,
    `CUT ${ballot} to y`,
  ]);
  change.confirmed("memory:x", ballot + 1024);
  change.confirmed("memory:z", ballot);
  assert.equal(change.unconfirmed.map(({ name }) => name), ["x", "y"], "another ballot, somebody else");
  change.confirmed("memory:x", ballot);
  change.settle();
  change.review();
  table.run();
  assert.equal(table.installed(), ["a b x", "a b x"]);
  change.confirmed("memory:y", ballot);
  assert.equal(table.installed(), ["a b x", "a b x"], "too late");
});

test("a view that is mostly newcomers is not installed before enough of them hold the cut", () => {
  const table = new Table("a b c");
  for (const seat of table.seats) seat.joiners = ["x", "y", "z", "u"].map(record);
  table.seats[2].dead = true;
  const [{ change }] = table.seats;
  change.propose();
  table.run();
  for (const name of ["x", "y", "z", "u"]) change.confirmed(`memory:${name}`, ballotOf(1, 0));
  change.settle();
  change.review();
  // b has it; then a dies, and b must repeat a proposal whose newcomers have confirmed to a only.
  table.run(({ from, message }) => from === 0 && message.kind === "install" || message.kind === "accepted");
  table.seats[0].dead = true;
  table.seats[2].dead = false;
  const next = table.seats[1].change;
  next.propose();
  table.run();
  assert.ok(next.state.repeats);
  assert.equal(
    table.installed(),
    [undefined, undefined, undefined],
    "of six only one is known to hold the cut",
  );
  for (const name of ["x", "y", "z"]) next.confirmed(`memory:${name}`, next.state.ballot);
  table.run();
  assert.equal(table.installed().slice(1), ["a b x y z u", "a b x y z u"]);
});

// ---- what no honest member sends ----

test("a message that no honest member sends changes nothing, and is said to be one", () => {
  const table = new Table("a b c");
  const { change } = table.seats[0];
  const sound = table.seats[1].draft([undefined, undefined, undefined]);
  const proposal = { ...sound, members: [record("b")] };
  const answer: Answer = { holds: [0, 0, 0], voterOnly: false, accepted: undefined };
  const before = structuredClone(change.state);
  const bad: ChangeMessage[] = [
    { kind: "prepare", ballot: ballotOf(1, 2) },
    { kind: "prepare", ballot: 1 },
    { kind: "prepare", ballot: ballotOf(ROUND_MAX + 1, 1) },
    { kind: "accept", ballot: ballotOf(1, 0), proposal, held: false },
    { kind: "accept", ballot: ballotOf(1, 1), proposal: { ...proposal, cut: [0] }, held: false },
    { kind: "install", proposal: { ...proposal, cut: [0, 0, 0, 0] } },
    { kind: "promise", ballot: ballotOf(1, 0), answer: { ...answer, holds: [0] } },
    { kind: "busy", ballot: ballotOf(1, 0), promised: Number.MAX_SAFE_INTEGER },
    { kind: "accepted", ballot: Number.MAX_SAFE_INTEGER },
  ];
  for (const message of bad) {
    assert.not(change.receive(1, message), message.kind);
    assert.equal(change.state, before);
  }
  for (
    const message of [{ kind: "promise", ballot: ballotOf(1, 0), answer }, {
      kind: "accepted",
      ballot: ballotOf(1, 0),
    }] as const
  ) {
    assert.ok(change.receive(1, message));
    assert.equal(change.state, before, `nobody asked for this ${message.kind}`);
  }
});

// ---- whatever happens ----

test("all that install install the same, whoever proposes and whatever is lost, repeated and reordered", () => {
  let decisions = 0;
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed);
    const names = ["a", "b", "c", "d", "e"].slice(0, random.int(2, 5));
    const table = new Table(names.join(" "));
    for (const seat of table.seats) seat.held.forEach((_, rank) => seat.held[rank] = random.int(0, 3));
    const decided = new Set<string>();
    for (let step = 0; step < 400; step++) {
      const seat = random.pick(table.seats);
      if (random.chance(0.05) && !seat.dead) seat.change.propose();
      if (random.chance(0.1) && !seat.dead) seat.change.repeat();
      if (random.chance(0.1) && seat.change.isQuorum(seat.change.answered)) seat.change.conclude();
      if (random.chance(0.1)) seat.held.forEach((_, rank) => seat.held[rank] = 3); // it fetched something
      if (random.chance(0.005)) seat.dead = true;
      if (!seat.dead) seat.change.review();
      if (table.wire.length === 0) continue;
      const [carried] = table.wire.splice(random.int(0, table.wire.length - 1), 1);
      if (random.chance(0.2)) continue;
      if (random.chance(0.2)) table.wire.push(carried);
      table.carry(carried);
      for (const { installed } of table.seats) {
        if (installed !== undefined) decided.add(JSON.stringify(installed));
      }
      assert.ok(decided.size <= 1, `seed ${seed}: two views were decided`);
    }
    decisions += decided.size;
    for (const { installed, rank, held } of table.seats) {
      if (installed === undefined) continue;
      assert.ok(installed.cut.every((sequence, sender) => held[sender] >= sequence), "it holds the cut");
      assert.ok(
        installed.members.length > 0 &&
          !installed.members.some((member, at) =>
            installed.members.findIndex((other) => isSameMember(other, member)) !== at
          ),
        `seed ${seed}, rank ${rank}`,
      );
    }
  }
  assert.ok(decisions > 100, `only ${decisions} of 300 runs came to a decision`);
});

test.run();

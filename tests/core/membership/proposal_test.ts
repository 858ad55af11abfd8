/** Ballots, proposals and answers: what is encoded is read; whatever an honest member cannot send gives `undefined`. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { type Address, type Incarnation, type MemberName, MEMBERS_MAX } from "../../../core/base/ids.ts";
import {
  type Answer,
  ballotOf,
  encodeAnswer,
  encodeProposal,
  memberMaps,
  type Proposal,
  proposerOf,
  readAnswer,
  readMembers,
  readProposal,
  ROUND_MAX,
  roundOf,
} from "../../../core/membership/proposal.ts";
import type { Member } from "../../../core/membership/view.ts";
import { encodeControl, parseControlBytes } from "../../../core/wire/control.ts";

const test = suite("membership/proposal");

function member(name: string, incarnation = 100): Member {
  return {
    address: `memory:${name}` as Address,
    name: name as MemberName,
    incarnation: incarnation as Incarnation,
    windowMessages: 16,
    windowBytes: 65_536,
  };
}

const PROPOSAL: Proposal = {
  number: 7,
  lineage: 99,
  members: [member("a"), member("b"), member("d", 105)],
  leader: 1,
  cut: [5, 0, 2 ** 40],
  departed: [{ rank: 2, reason: "crashed" }],
};
const ANSWER: Answer = { holds: [4, 0, 9], voterOnly: false, accepted: { ballot: 1025, proposal: PROPOSAL } };

function proposalOf(body: Uint8Array, size = 3): Proposal | undefined {
  return readProposal(parseControlBytes(body), size);
}

/** What a sound proposal with some fields changed gives. */
function changed(fields: Readonly<Record<string, unknown>>): Proposal | undefined {
  const map = parseControlBytes(encodeProposal(PROPOSAL));
  return proposalOf(encodeControl({ ...map, ...fields }));
}

test("a ballot names its round and its proposer, and rounds count more than ranks", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: ROUND_MAX }), fc.nat(MEMBERS_MAX - 1), (round, rank) => {
    const ballot = ballotOf(round, rank);
    assert.equal([roundOf(ballot), proposerOf(ballot)], [round, rank]);
    assert.ok(Number.isSafeInteger(ballot));
    assert.ok(ballot < ballotOf(round + 1, 0));
  }));
  assert.is.not(ballotOf(1, 0), 0, "0 stands for none");
});

test("a proposal comes back as it was", () => {
  assert.equal(proposalOf(encodeProposal(PROPOSAL)), PROPOSAL);
  const reasons = (["left", "crashed", "slow", "restarted"] as const).map((reason, rank) => ({
    rank,
    reason,
  }));
  const all = { ...PROPOSAL, cut: [0, 0, 0, 0], departed: reasons };
  assert.equal(proposalOf(encodeProposal(all), 4), all);
});

test("a proposal gives undefined when any field is missing", () => {
  for (const field of Object.keys(PROPOSAL)) {
    assert.is(changed({ [field]: undefined }), undefined, field);
    assert.is(changed({ [field]: null }), undefined, field);
  }
  assert.is(readProposal(undefined, 3), undefined);
});

test("a proposal gives undefined when a field has another type, or a value that no honest member gives", () => {
  const bad: Readonly<Record<string, readonly unknown[]>> = {
    number: [0, 1, -1, 2.5, 2 ** 53, "7", 7n],
    lineage: [0, -1, 1.5, 2 ** 53, "99"],
    members: [[], {}, "abc", [["memory:a", "a", 100, 16]], [null], Array(MEMBERS_MAX + 1).fill(1)],
    leader: [-1, 3, 1.5, "1"],
    cut: [[], [1, 2], [1, 2, 3, 4], [1, 2, -1], [1, 2, 2 ** 53], [1, 2, 0.5], [1, 2, "3"], {}, "123"],
    departed: [{}, [[3, "left"]], [[-1, "left"]], [[0, "bored"]], [[0]], [[0, "left", 1]], [5], [
      [0, "left"],
      [1, "left"],
      [2, "left"],
      [0, "left"],
    ]],
  };
  for (const [field, values] of Object.entries(bad)) {
    for (const value of values) {
      assert.is(changed({ [field]: value }), undefined, `${field}: ${JSON.stringify(String(value))}`);
    }
  }
});

test("a list of members gives undefined when one is not sound, or two are the same", () => {
  const [a, b] = memberMaps([member("a"), member("b")]) as unknown[][];
  assert.equal(readMembers([a, b]), [member("a"), member("b")]);
  assert.is(readMembers([a, a]), undefined);
  assert.is(readMembers([a, ["memory:x", ...b.slice(1, 1), "a", 100, 16, 65_536]]), undefined, "same name");
  assert.is(readMembers([a, ["memory:a", "x", 101, 16, 65_536]]), undefined, "same address");
  const bad: readonly (readonly [place: number, values: readonly unknown[]])[] = [
    [0, ["", "a b", 5, null, "x".repeat(257)]],
    [1, ["", "a b", "a\n", 5, null, "x".repeat(65)]],
    [2, [0, -1, 1.5, 2 ** 53, "1", null]],
    [3, [0, -1, 1.5, 2 ** 53, "1", null]],
    [4, [0, -1, 1.5, 2 ** 53, "1", null]],
  ];
  for (const [place, values] of bad) {
    for (const value of values) {
      const broken = b.map((field, index) => index === place ? value : field);
      assert.is(readMembers([a, broken]), undefined, `field ${place}: ${String(value).slice(0, 20)}`);
    }
  }
});

test("1,024 members are taken, and one more gives undefined", () => {
  const list = (count: number): unknown[] =>
    memberMaps(Array.from({ length: count }, (_, index) => member(`n${index}`)));
  assert.is(readMembers(list(MEMBERS_MAX))?.length, MEMBERS_MAX);
  assert.is(readMembers(list(MEMBERS_MAX + 1)), undefined);
});

test("the largest proposal fits into a control message", () => {
  const members = Array.from({ length: MEMBERS_MAX }, (_, index) => ({
    ...member(`${"n".repeat(59)}${String(index).padStart(5, "0")}`, Number.MAX_SAFE_INTEGER),
    address: `${"a".repeat(251)}${String(index).padStart(5, "0")}` as Address,
    windowMessages: 1_000_000,
    windowBytes: 2 ** 30,
  }));
  const cut = members.map(() => Number.MAX_SAFE_INTEGER);
  const departed = members.map((_, rank) => ({ rank, reason: "restarted" as const }));
  const largest = { ...PROPOSAL, members, cut, departed };
  assert.equal(proposalOf(encodeProposal(largest), MEMBERS_MAX), largest);
});

test("an answer comes back as it was, with and without an accepted proposal", () => {
  for (const answer of [ANSWER, { ...ANSWER, accepted: undefined }, { ...ANSWER, voterOnly: true }]) {
    assert.equal(readAnswer(parseControlBytes(encodeAnswer(answer)), 3), answer);
  }
});

test("an answer gives undefined when any field is broken", () => {
  const map = parseControlBytes(encodeAnswer(ANSWER));
  const read = (fields: Readonly<Record<string, unknown>>): Answer | undefined =>
    readAnswer(parseControlBytes(encodeControl({ ...map, ...fields })), 3);
  assert.equal(read({}), ANSWER);
  const bad: Readonly<Record<string, readonly unknown[]>> = {
    holds: [undefined, [], [1, 2], [1, 2, 3, 4], [1, 2, -1], [1, 2, 2 ** 53], "123", null],
    voterOnly: [undefined, null, 0, 1, "true"],
    ballot: [undefined, null, 0, -1, 1.5, 2 ** 53, "1"],
    proposal: [undefined, null, {}, [], "x", 5],
  };
  for (const [field, values] of Object.entries(bad)) {
    for (const value of values) assert.is(read({ [field]: value }), undefined, `${field}: ${String(value)}`);
  }
  assert.is(readAnswer(undefined, 3), undefined);
  assert.is(readAnswer(map, 2), undefined, "for a view of another size");
});

test.run();

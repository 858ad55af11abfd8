/** The ring election of one member: what it passes on and what it drops. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ElectionKind } from "../../../core/election/mod.ts";
import { alone } from "./alone.ts";

const test = suite("election/ring");
const { election: ELECTION, ok: OK, coordinator: COORDINATOR } = ElectionKind;

test("a candidacy that comes back wins and ELECTED goes round", () => {
  const { election, sent } = alone("ring", 2, 3);
  election.start(0);
  assert.equal(sent(), ["election 1 to 0"]);
  assert.equal([election.running, election.winner], [true, -1]);
  assert.ok(election.receive(1, ELECTION, 1, 2, 5));
  assert.equal(sent(), ["coordinator 1 to 0"]);
  assert.equal([election.running, election.winner, election.messagesSent], [false, 2, 2]);
  assert.is(election.nextDeadline(), Infinity);
  assert.ok(election.receive(1, COORDINATOR, 1, 2, 9));
  assert.ok(election.receive(1, ELECTION, 1, 2, 9), "a duplicate");
  assert.equal(sent(), [], "ELECTED ends where it began");
});

test("a higher candidate is passed on, a lower one replaced once, then dropped", () => {
  const { election, sent } = alone("ring", 1, 4);
  election.receive(0, ELECTION, 1, 0, 0);
  assert.equal(sent(), ["election 1 to 2"], "its own in place of the lower one");
  election.receive(0, ELECTION, 1, 0, 1);
  assert.equal(sent(), []);
  election.receive(0, ELECTION, 1, 2, 2);
  election.receive(0, ELECTION, 1, 3, 3);
  assert.equal(sent(), ["election 1 of 2 to 2", "election 1 of 3 to 2"]);
  election.receive(0, ELECTION, 1, 2, 4);
  election.receive(0, ELECTION, 1, 3, 4);
  election.receive(0, ELECTION, 1, 1, 4);
  assert.equal(sent(), [], "the own candidacy cannot win once a higher one is known");
  election.receive(0, COORDINATOR, 1, 3, 5);
  election.receive(0, COORDINATOR, 1, 3, 6);
  assert.equal(sent(), ["coordinator 1 of 3 to 2"]);
  assert.equal([election.winner, election.messagesSent], [3, 4]);
});

test("a member that has passed on a higher candidate does not put itself forward", () => {
  const { election, sent } = alone("ring", 1, 3);
  election.receive(0, ELECTION, 1, 2, 0);
  sent();
  election.receive(0, ELECTION, 1, 0, 1);
  assert.equal(sent(), []);
});

test("the ring closes over members that are gone", () => {
  const { election, unavailable, sent } = alone("ring", 0, 5);
  unavailable.add(1).add(2);
  election.start(0);
  assert.equal(sent(), ["election 1 to 3"]);
  unavailable.add(3);
  election.tick(10);
  assert.equal(sent(), ["election 1 to 4"], "what went to a dead member goes to the next one");
  unavailable.add(4);
  election.tick(20);
  assert.equal([election.winner, election.running, sent().length], [0, false, 0], "nobody else is left");
});

test("a round whose candidate and next member have died is begun again at once", () => {
  const { election, unavailable, sent } = alone("ring", 0, 4);
  election.receive(3, ELECTION, 1, 1, 0);
  assert.equal(sent(), ["election 1 of 1 to 1"]);
  unavailable.add(1);
  election.tick(10);
  assert.equal(sent(), ["election 2 to 2"]);
});

test("a member that is alone wins at once", () => {
  const { election, sent } = alone("ring", 0, 1);
  election.start(0);
  assert.equal([election.winner, election.nextDeadline(), sent().length], [0, Infinity, 0]);
});

test("a round that gets stuck is begun again with a higher number, ever more patiently", () => {
  const { election, sent } = alone("ring", 0, 4);
  election.start(0);
  assert.is(election.nextDeadline(), 225);
  election.tick(224);
  sent();
  election.tick(225);
  assert.equal(sent(), ["election 2 to 1"]);
  assert.is(election.nextDeadline(), 225 + 450);
  assert.is(election.messagesSent, 2);
  election.receive(3, ELECTION, 1, 3, 230);
  election.receive(3, COORDINATOR, 1, 3, 230);
  assert.equal(sent(), [], "the old round counts no more");
  assert.ok(election.running);
});

test("a newer round is joined, whatever was decided", () => {
  const { election, sent } = alone("ring", 0, 2);
  election.receive(1, COORDINATOR, 1, 1, 0);
  assert.is(election.winner, 1);
  sent();
  election.receive(1, ELECTION, 2, 1, 100);
  assert.equal([election.winner, election.running], [-1, true]);
  assert.equal(sent(), ["election 2 of 1 to 1"]);
  assert.is(election.messagesSent, 1);
});

test("who elects in an older round gets a newer one", () => {
  const { election, sent } = alone("ring", 1, 2);
  for (const round of [1, 2, 3]) {
    election.start(round * 1000);
    election.receive(0, ELECTION, round, 1, round * 1000 + 2);
  }
  sent();
  election.receive(0, ELECTION, 2, 0, 4000);
  assert.equal(sent(), [], "an old message is harmless");
  const other = alone("ring", 2, 3);
  other.election.receive(1, ELECTION, 5, 2, 0);
  other.election.receive(1, ELECTION, 5, 2, 1);
  assert.is(other.election.winner, 2);
  other.sent();
  other.election.receive(0, ELECTION, 3, 0, 100);
  assert.equal(other.sent(), ["election 6 to 0"]);
});

test("nobody wins while somebody higher is available, whatever messages say", () => {
  const { election } = alone("ring", 1, 3);
  election.start(0);
  election.receive(0, ELECTION, 1, 1, 1);
  assert.is(election.winner, -1);
  election.receive(2, COORDINATOR, 1, 0, 2);
  election.receive(2, COORDINATOR, 1, 1, 2);
  assert.equal([election.winner, election.running], [-1, true]);
});

test("a member looks for a new winner when the old one is gone or a higher one comes back", () => {
  const { election, unavailable, sent } = alone("ring", 0, 4);
  unavailable.add(3);
  election.receive(1, COORDINATOR, 1, 2, 0);
  assert.is(election.winner, 2);
  sent();
  unavailable.delete(3);
  election.tick(500);
  assert.equal(sent(), ["election 2 to 1"]);
  assert.is(election.winner, -1);
});

test("a member that leaves takes no part", () => {
  const { election, unavailable, sent } = alone("ring", 0, 3);
  unavailable.add(0);
  election.start(0);
  election.receive(2, ELECTION, 3, 2, 1);
  election.tick(2);
  assert.equal([election.winner, election.running, sent().length], [2, false, 0]);
});

test("messages that nobody can have meant are refused and change nothing", () => {
  const { election, unavailable, sent } = alone("ring", 1, 4);
  const refused: readonly (readonly [from: number, kind: number, round: number, candidate: number])[] = [
    [0, 0, 1, 0],
    [0, OK, 1, 0],
    [0, 9, 1, 0],
    [0, NaN, 1, 0],
    [-1, ELECTION, 1, 0],
    [4, ELECTION, 1, 0],
    [1, ELECTION, 1, 0],
    [0.5, ELECTION, 1, 0],
    [0, ELECTION, 1, 4],
    [0, ELECTION, 1, -1],
    [0, ELECTION, 1, NaN],
    [0, ELECTION, 0, 0],
    [0, ELECTION, 1.5, 0],
    [0, COORDINATOR, Infinity, 0],
    [0, COORDINATOR, 2 ** 53 - 1, 3],
  ];
  for (const [from, kind, round, candidate] of refused) {
    assert.is(
      election.receive(from, kind, round, candidate, 0),
      false,
      `${from} ${kind} ${round} ${candidate}`,
    );
  }
  unavailable.add(3);
  assert.ok(election.receive(0, ELECTION, 1, 3, 0), "not available here, though perhaps elsewhere");
  assert.ok(election.receive(0, COORDINATOR, 1, 3, 0));
  assert.ok(election.receive(0, COORDINATOR, 1, 1, 0), "nobody is told that it won");
  assert.equal([election.winner, election.running, election.nextDeadline(), sent().length], [
    -1,
    false,
    Infinity,
    0,
  ]);
});

test("a flood costs next to nothing", () => {
  const { election, sent } = alone("ring", 4, 9);
  for (let count = 0; count < 1000; count++) election.receive(0, ELECTION, 1, 0, count / 100);
  assert.is(sent().length, 1);
  for (let count = 0; count < 9000; count++) election.receive(0, ELECTION, 1, count % 9, 10);
  assert.ok(sent().length <= 9);
  for (let count = 0; count < 1000; count++) {
    election.receive(0, ELECTION, 2 + count, 8, 10 + count / 100);
    election.receive(1, COORDINATOR, 2 + count, 8, 10 + count / 100);
    election.tick(10 + count / 100);
  }
  assert.ok(sent().length <= 12);
});

test.run();

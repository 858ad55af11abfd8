/** The bully election of one member: what it sends and when, and what it refuses. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ElectionKind } from "../../../core/election/mod.ts";
import { alone } from "./alone.ts";

const test = suite("election/bully");
const { election: ELECTION, ok: OK, coordinator: COORDINATOR } = ElectionKind;

test("a member wins when none of the higher ones answers in time", () => {
  const { election, unavailable, sent } = alone("bully", 1, 4);
  unavailable.add(3);
  election.start(1000);
  assert.equal(sent(), ["election 1 to 2"]);
  assert.equal([election.running, election.winner, election.nextDeadline()], [true, -1, 1150]);
  election.tick(1149);
  assert.ok(election.running);
  election.tick(1150);
  assert.equal(sent(), ["coordinator 1 to 0"]);
  assert.equal([election.running, election.winner, election.messagesSent], [false, 1, 2]);
});

test("a member wins at once when nobody higher is available", () => {
  const { election, unavailable, sent } = alone("bully", 2, 4);
  unavailable.add(3).add(0);
  election.start(5);
  assert.equal(sent(), ["coordinator 1 to 1"]);
  assert.equal([election.winner, election.nextDeadline()], [2, Infinity]);
});

test("ids decide and not ranks", () => {
  const { election, sent } = alone("bully", 0, 3, [1, 2, 0]);
  election.start(0);
  assert.equal(sent(), ["election 1 to 1"]);
  election.tick(150);
  assert.equal(sent(), ["coordinator 1 to 2"]);
});

test("a member that was answered waits for the winner", () => {
  const { election, sent } = alone("bully", 0, 3);
  election.start(0);
  assert.equal(sent(), ["election 1 to 1", "election 1 to 2"]);
  assert.ok(election.receive(1, OK, 1, 1, 10));
  assert.ok(election.receive(2, OK, 1, 2, 10));
  election.tick(150);
  assert.ok(election.running);
  assert.ok(election.receive(2, COORDINATOR, 1, 2, 160));
  assert.equal([election.running, election.winner, election.nextDeadline()], [false, 2, Infinity]);
  assert.equal(sent(), []);
});

test("a member elects again when who answered never announces itself", () => {
  const { election, unavailable, sent } = alone("bully", 0, 2);
  election.start(0);
  election.receive(1, OK, 1, 1, 10);
  election.tick(150);
  assert.is(election.nextDeadline(), 750);
  sent();
  election.tick(750);
  assert.equal(sent(), ["election 2 to 1"]);
  assert.is(election.messagesSent, 2, "it is the same election to who counts");
  unavailable.add(1);
  election.tick(760);
  assert.equal([election.winner, election.nextDeadline()], [0, Infinity], "nobody is left to wait for");
});

test("a question of a lower one is answered and makes a member elect once", () => {
  const { election, sent } = alone("bully", 1, 3);
  assert.ok(election.receive(0, ELECTION, 4, 0, 0));
  assert.equal(sent(), ["ok 4 to 0", "election 4 to 2"]);
  assert.is(election.messagesSent, 2);
  assert.ok(election.receive(0, ELECTION, 4, 0, 1), "a duplicate");
  assert.ok(election.receive(0, ELECTION, 3, 0, 1), "an overtaken one");
  assert.equal(sent(), []);
  election.start(2);
  assert.equal(sent(), [], "an election is running already");
});

test("a question of an older round is answered with the newer number, and who asked asks again", () => {
  const higher = alone("bully", 1, 2);
  for (let count = 0; count < 3; count++) higher.election.start(count * 1000);
  higher.sent();
  higher.election.receive(0, ELECTION, 1, 0, 3000);
  assert.equal(higher.sent(), ["ok 3 to 0"]);
  const lower = alone("bully", 0, 2);
  lower.election.start(3000);
  lower.sent();
  lower.election.receive(1, OK, 3, 1, 3002);
  assert.is(lower.election.nextDeadline(), 3075);
  lower.election.tick(3075);
  assert.equal(lower.sent(), ["election 4 to 1"]);
  higher.election.receive(0, ELECTION, 4, 0, 3080);
  assert.equal(higher.sent(), ["ok 4 to 0", "coordinator 4 to 0"]);
});

test("a claim from below is answered by an election when somebody higher is available", () => {
  const highest = alone("bully", 2, 3);
  assert.ok(highest.election.receive(1, COORDINATOR, 1, 1, 0));
  assert.equal(highest.sent(), ["coordinator 2 to 0", "coordinator 2 to 1"]);
  const lowest = alone("bully", 0, 3);
  assert.ok(lowest.election.receive(1, COORDINATOR, 1, 1, 0));
  assert.equal(lowest.sent(), ["election 2 to 1", "election 2 to 2"]);
  assert.is(lowest.election.winner, -1);
});

test("a dead member that nobody suspects yet does not hold up the others", () => {
  const { election, unavailable, sent } = alone("bully", 0, 3);
  election.start(0);
  sent();
  election.receive(1, OK, 1, 1, 5);
  election.tick(150);
  election.receive(1, COORDINATOR, 1, 1, 155);
  assert.equal([election.winner, election.running], [1, false]);
  assert.is(election.nextDeadline(), 755);
  election.tick(755);
  assert.equal(sent(), ["election 2 to 2"], "it is asked again, in case that it only was slow");
  assert.is(election.winner, 1);
  unavailable.add(2);
  election.tick(800);
  assert.is(election.nextDeadline(), Infinity);
});

test("a claim that comes before the time for answers is up is accepted then", () => {
  const { election } = alone("bully", 0, 3);
  election.start(0);
  election.receive(1, COORDINATOR, 1, 1, 100);
  assert.is(election.winner, -1);
  election.tick(150);
  assert.is(election.winner, 1);
});

test("a winner gives way when somebody higher answers late", () => {
  const { election } = alone("bully", 0, 2);
  election.start(0);
  election.tick(150);
  assert.is(election.winner, 0);
  election.receive(1, OK, 1, 1, 170);
  assert.equal([election.winner, election.running], [-1, true]);
  election.receive(1, COORDINATOR, 1, 1, 180);
  assert.equal([election.winner, election.nextDeadline()], [1, Infinity]);
});

test("a member looks for a new winner when the old one is gone or a higher one comes back", () => {
  const { election, unavailable, sent } = alone("bully", 1, 4);
  unavailable.add(3);
  election.receive(2, COORDINATOR, 1, 2, 0);
  assert.is(election.winner, 2);
  unavailable.delete(3);
  election.tick(500);
  assert.equal(sent(), ["election 2 to 3"]);
  unavailable.add(2).add(3);
  election.tick(1000);
  assert.equal(sent(), ["coordinator 3 to 0"]);
});

test("messages are counted from the last election on, and a new one gives the silent another chance", () => {
  const { election, sent } = alone("bully", 1, 3);
  election.start(0);
  election.tick(150);
  assert.equal([election.winner, election.messagesSent], [1, 2]);
  election.start(300);
  election.tick(301);
  assert.equal([election.running, election.messagesSent], [true, 1]);
  election.tick(450);
  assert.equal([election.running, election.messagesSent], [false, 2]);
  sent();
  election.receive(0, ELECTION, 7, 0, 600);
  assert.equal(sent(), ["ok 7 to 0", "election 7 to 2"]);
  assert.is(election.messagesSent, 2);
});

test("a member that leaves takes no part", () => {
  const { election, unavailable, sent } = alone("bully", 2, 3);
  unavailable.add(2);
  election.start(0);
  election.receive(0, ELECTION, 2, 0, 1);
  election.receive(1, COORDINATOR, 2, 1, 2);
  election.tick(3);
  assert.equal([election.winner, election.running, sent().length], [1, false, 0]);
  assert.is(election.nextDeadline(), Infinity);
});

test("messages that nobody can have meant are refused and change nothing", () => {
  const { election, sent } = alone("bully", 1, 3);
  const refused: readonly (readonly [from: number, kind: number, round: number, candidate: number])[] = [
    [0, 0, 1, 0],
    [0, 4, 1, 0],
    [0, NaN, 1, 0],
    [-1, ELECTION, 1, -1],
    [3, ELECTION, 1, 3],
    [0.5, ELECTION, 1, 0.5],
    [1, COORDINATOR, 1, 1],
    [0, ELECTION, 0, 0],
    [0, ELECTION, -1, 0],
    [0, ELECTION, 1.5, 0],
    [0, ELECTION, NaN, 0],
    [0, ELECTION, Infinity, 0],
    [0, ELECTION, Number.MAX_SAFE_INTEGER, 0],
    [0, ELECTION, 1, 2],
    [2, ELECTION, 1, 2],
    [0, OK, 1, 0],
    [0, COORDINATOR, 1, 2],
  ];
  for (const [from, kind, round, candidate] of refused) {
    assert.is(
      election.receive(from, kind, round, candidate, 0),
      false,
      `${from} ${kind} ${round} ${candidate}`,
    );
  }
  assert.equal([election.winner, election.running, election.nextDeadline(), sent().length], [
    -1,
    false,
    Infinity,
    0,
  ]);
});

test("a claim of a member that is not available counts for nothing", () => {
  const { election, unavailable } = alone("bully", 0, 3);
  unavailable.add(2);
  assert.ok(election.receive(2, COORDINATOR, 9, 2, 0));
  assert.equal([election.winner, election.running], [-1, false]);
});

test("a flood costs one message each at most, and one election per half electionMs", () => {
  const size = 10;
  const { election, sent } = alone("bully", 8, size);
  for (let count = 0; count < 1000; count++) election.receive(0, ELECTION, 1, 0, count / 100);
  assert.is(sent().length, 2, "one answer, and one question to the one higher member");
  for (let count = 0; count < 1000; count++) {
    election.receive(0, ELECTION, 2 + count, 0, 10 + count / 100);
    election.receive(1, COORDINATOR, 2 + count, 1, 10 + count / 100);
    election.receive(9, OK, 2 + count, 9, 10 + count / 100);
    election.tick(10 + count / 100);
  }
  assert.ok(sent().length <= 1000 + size);
  for (let ms = 20; ms < 1520; ms++) {
    election.receive(1, COORDINATOR, 2000 + ms, 1, ms);
    election.tick(ms);
  }
  assert.ok(sent().length <= (1500 / 75 + 1) * size);
});

test.run();

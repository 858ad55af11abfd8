/** The senior election, and who leads a new view under each strategy. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ElectionKind, nextLeader } from "../../../core/election/mod.ts";
import { alone } from "./alone.ts";

const test = suite("election/senior");

test("the lowest available rank wins at once and without messages", () => {
  const { election, unavailable, sent } = alone("senior", 2, 4);
  assert.is(election.winner, -1);
  unavailable.add(0);
  election.start(10);
  assert.equal([election.winner, election.running, election.messagesSent], [1, false, 0]);
  unavailable.add(1);
  assert.is(election.winner, 2);
  unavailable.delete(0);
  election.tick(20);
  assert.is(election.winner, 0);
  assert.equal([election.nextDeadline(), sent().length], [Infinity, 0]);
});

test("nobody wins when nobody is available", () => {
  const { election, unavailable } = alone("senior", 0, 2);
  unavailable.add(0).add(1);
  election.start(0);
  assert.is(election.winner, -1);
});

test("a message is refused: there are none", () => {
  const { election } = alone("senior", 0, 2);
  for (const kind of Object.values(ElectionKind)) assert.is(election.receive(1, kind, 1, 1, 0), false);
});

test("the leader of a new view is a function of the view", () => {
  const members = [{ id: 4 }, { id: 9 }, { id: 2 }];
  assert.is(nextLeader("senior", members, 2, 1), 0);
  assert.is(nextLeader("bully", members, 2, 0), 1);
  assert.is(nextLeader("ring", members, 2, 0), 2, "who leads goes on");
  assert.is(nextLeader("ring", members, -1, 0), 0, "else who proposed");
  assert.is(nextLeader("ring", members, -1, -1), 1, "else the highest id");
  for (const wrong of [3, 0.5, NaN, -7]) assert.is(nextLeader("ring", members, wrong, wrong), 1);
  assert.is(nextLeader("bully", [], 0, 0), -1);
});

test.run();

/** Linearizable reads of whole groups over the in-process network. */
import * as assert from "uvu/assert";
import { DEADLINE_MS, fails, groupSuite, member, until } from "../group/members.ts";
import { type Group, memoryStore, type ReplicatedCounter } from "@tutti/tutti";
import { NAMES, objects, replicated } from "./replicated.ts";

const test = groupSuite("replication/reads");

test("a leader reads without a message, and what others have just done", async () => {
  const { all, groups } = await replicated(NAMES);
  const leader = groups.findIndex((group) => group.view?.members[group.view.leader].name === group.name);
  await until("the leader is sure", () => groups[leader].leadership() !== undefined);
  const [other] = all.filter((_, index) => index !== leader);
  await other.hits.add(5);
  const sent = (): number => groups[leader].stats().messagesSent;
  const before = sent();
  assert.is(await all[leader].hits.get(), 5);
  assert.is(sent(), before);
  const adds = Array.from({ length: 100 }, () => other.hits.add());
  for (const add of adds) {
    const sum = await add;
    assert.ok(await all[leader].hits.get() >= sum, "a read is older than what was confirmed before");
  }
});

test("reads that wait at the same time at a member that does not lead share a barrier", async () => {
  const { groups, all } = await replicated(NAMES);
  const index = groups.findIndex((group) => group.view?.members[group.view.leader].name !== group.name);
  await all[index].users.set("k", 1);
  const before = groups[index].stats().messagesSent;
  assert.equal(
    new Set(await Promise.all(Array.from({ length: 200 }, () => all[index].users.get("k")))),
    new Set([1]),
  );
  const sent = groups[index].stats().messagesSent - before;
  assert.ok(sent === 1 || sent === 2, `${sent} messages`);
  await groups[index].readBarrier();
  await fails("InvalidArgument", async () => await (await member("P9", ["P9"])).readBarrier(), /no replicas/);
});

test("a durable group of one that comes back in its first view reads what it had without a message", async () => {
  const store = memoryStore();
  const start = async (): Promise<{ group: Group; hits: ReplicatedCounter }> => {
    const { hits } = objects();
    const group = await member("P1", [], { order: "total", level: "durable", store, replicas: { hits } });
    await group.ready({ deadline: DEADLINE_MS });
    return { group, hits };
  };
  const before = await start();
  await before.hits.add(7);
  assert.is(before.group.view?.number, 1);
  await before.group.close({ deadline: 0 });
  const { group, hits } = await start();
  await until("the view after the first is there", () => group.view?.number === 2);
  await until("it is sure to lead", () => group.leadership() !== undefined);
  const { messagesSent } = group.stats();
  assert.is(await hits.get({ deadline: DEADLINE_MS }), 7);
  assert.is(group.stats().messagesSent, messagesSent);
  assert.is(await hits.add(), 8);
  assert.is(await hits.get(), 8);
});

test.run();

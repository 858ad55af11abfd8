/** Members of a durable group come back with all that they knew. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Cluster, type SimulatedNode } from "../../core/testing/mod.ts";

const test = suite("group/durable");

/** A durable group of three, whose disks take some time. */
function cluster(seed: number): Cluster {
  const made = new Cluster({ size: 3, seed, order: "total", level: "durable", diskMs: () => 3 });
  made.start();
  assert.ok(made.runUntilSettled(10_000));
  return made;
}

function restart(nodes: readonly SimulatedNode[]): void {
  for (const node of nodes) node.start();
}

for (const seed of [1, 2, 3]) {
  test(`a group that stops at once, in the middle of sending, loses nothing that was acknowledged (seed ${seed})`, () => {
    const group = cluster(seed);
    const { nodes } = group;
    for (let count = 0; count < 30; count++) {
      for (const node of nodes) node.send();
      group.run(2);
    }
    const acknowledged = group.trace.filter((line) => line.e === "acked").length;
    assert.ok(acknowledged > 0);
    for (const node of nodes) node.crash();
    group.run(100);
    restart(nodes);
    assert.ok(group.runUntilSettled(20_000), nodes.map((node) => node.describe()).join(" | "));
    for (const line of group.trace) {
      if (line.e === "acked") {
        for (const node of nodes) assert.ok(node.known.has(line.m), `${node.name} lacks ${line.m}`);
      }
    }
    nodes[0].send();
    assert.ok(group.runUntilSettled(10_000), "the group goes on");
    assert.equal(
      group.check(["total-order", "prefix", "index", "uniform-total-order", "durability", "fifo"]),
      [],
    );
  });
}

test("a member that comes back keeps its identity, and needs no state transfer", () => {
  const group = cluster(4);
  const [, b] = group.nodes;
  for (let count = 0; count < 10; count++) b.send();
  assert.ok(group.runUntilSettled(10_000));
  const incarnation = b.machine?.state.incarnation;
  b.crash();
  group.run(50);
  b.start();
  assert.ok(group.runUntilSettled(20_000));
  assert.is(b.machine?.state.incarnation, incarnation);
  assert.is(group.trace.filter((line) => line.e === "join" && line.n === b.name).length, 1, "only at first");
  assert.is(b.known.size, 10);
});

test("two of three that come back without the third go on", () => {
  const group = cluster(5);
  const [a, b, c] = group.nodes;
  for (let count = 0; count < 10; count++) c.send();
  assert.ok(group.runUntilSettled(10_000));
  for (const node of group.nodes) node.crash();
  restart([a, b]);
  group.run(20_000);
  assert.equal(a.view?.members.map(({ name }) => name).sort(), [a.name, b.name].sort());
  assert.is(a.known.size, 10);
});

test("one of three that comes back alone waits, and changes nothing", () => {
  const group = cluster(6);
  const [a, b, c] = group.nodes;
  for (const node of group.nodes) node.crash();
  restart([c]);
  group.run(20_000);
  assert.is(c.send(), undefined);
  restart([a, b]);
  assert.ok(group.runUntilSettled(20_000));
  assert.is(typeof c.send(), "string");
});

test.run();

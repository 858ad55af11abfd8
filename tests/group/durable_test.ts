/** Members of a durable group come back with all that they knew. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Cluster, type SimulatedNode } from "../../core/testing/mod.ts";
import { Kind } from "../../core/wire/message.ts";
import { PacketReader } from "../../core/wire/packet_reader.ts";

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

test("joiners that crash before they have anything on disk do not stop those that come back", () => {
  const group = new Cluster({
    size: 5,
    founders: 2,
    seed: 7,
    order: "total",
    level: "durable",
    diskMs: (index) => index < 2 ? 3 : 1_000_000,
  });
  const [a, b, ...joiners] = group.nodes;
  a.start();
  b.start();
  group.run(5000);
  assert.is(a.view?.members.length, 2);
  for (const node of joiners) node.start();
  for (let count = 0; count < 10_000 && a.view?.members.length === 2; count++) group.run(1);
  assert.ok((a.view?.members.length ?? 0) > 2, "some are let in");
  group.run(20); // on the disks of both
  for (const node of group.nodes) node.crash();
  restart([a, b]);
  group.run(20_000);
  assert.equal(a.view?.members.map(({ name }) => name).sort(), [a.name, b.name].sort());
  assert.is(typeof a.send(), "string");
});

/** A view of three that one of them has missed, while the others crash and only one of them comes back. */
function missedByOne(logBytesMax: number, downMs: number): Cluster {
  let hidden = false;
  const group = new Cluster({
    size: 4,
    seed: 1,
    order: "total",
    level: "durable",
    diskMs: () => 3,
    limits: { logBytesMax },
    drops: (_from, bytes) => hidden && isInstall(bytes),
  });
  group.start();
  assert.ok(group.runUntilSettled(10_000));
  const [a, b, c, d] = group.nodes;
  const before = a.view?.number;
  hidden = true;
  d.leave();
  for (let count = 0; count < 4000 && a.view?.number === before; count++) group.run(1);
  group.network.partition([a.address, b.address], [c.address]);
  hidden = false;
  for (let count = 0; count < 4000 && b.view?.number === before; count++) group.run(1);
  for (let count = 0; count < 30; count++) {
    a.send({ filler: "x".repeat(4000) });
    b.send({ filler: "x".repeat(4000) });
    group.run(10);
  }
  a.crash();
  b.crash();
  group.network.heal();
  group.run(downMs);
  a.start();
  return group;
}

function isInstall(bytes: Uint8Array): boolean {
  const reader = new PacketReader();
  reader.open(bytes.slice());
  while (reader.next()) if (reader.kind === Kind.install) return true;
  return false;
}

for (
  const [what, logBytesMax, downMs] of [
    ["a log that is cut", 65_536, 50],
    ["a log that is not cut", 2 ** 26, 50],
    ["a long time in which nobody has the rest of the view", 2 ** 26, 30_000],
  ] as const
) {
  test(`two of three go on though one of them has missed the view of the others, with ${what}`, () => {
    const group = missedByOne(logBytesMax, downMs);
    assert.ok(group.runUntilSettled(120_000), group.nodes.map((node) => node.describe()).join(" | "));
  });
}

test.run();

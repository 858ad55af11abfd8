/** All three elections among several members: whoever lives agrees in the end, at the cost that the textbooks give. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import process from "node:process";
import { Random } from "../../../core/base/random.ts";
import { ElectionKind, type ElectionName } from "../../../core/election/mod.ts";
import { Network } from "./network.ts";

const test = suite("election/network");
const STRATEGIES: readonly ElectionName[] = ["senior", "bully", "ring"];
const RUNS = 300;
/** Longest that a calm network needs, in virtual milliseconds. */
const CALM_MS = 5000;
/** SEED=n runs one seed alone. */
const ONLY = process.env.SEED === undefined ? undefined : Number(process.env.SEED);

function permutation(size: number, random: Random): number[] {
  const ids = Array.from({ length: size }, (_, rank) => rank);
  for (let index = size - 1; index > 0; index--) {
    const other = random.int(0, index);
    [ids[index], ids[other]] = [ids[other], ids[index]];
  }
  return ids;
}

/** Who must win. */
function expected(name: ElectionName, network: Network, ids: readonly number[]): number {
  const { living } = network;
  if (name === "senior") return living[0];
  return living.reduce((best, rank) => ids[rank] > ids[best] ? rank : best);
}

/** A network that is bad for some time, in which members die, some from the start, and some are suspected wrongly. */
function storm(name: ElectionName, seed: number): void {
  const random = new Random(seed);
  const ids = permutation(random.int(2, 9), random);
  const network = new Network(name, ids, random.uint32());
  const { faults } = network;
  faults.loss = random.pick([0, 0.05, 0.3]);
  faults.duplication = random.pick([0, 0.3]);
  faults.delayMaxMs = random.pick([1, 5, 40]);
  for (let rank = 0; rank < ids.length; rank++) {
    network.at(random.between(0, 100), rank, () => network.elections[rank].start(network.now));
  }
  let mayDie = random.int(0, ids.length - 1);
  for (; mayDie > 0; mayDie--) {
    const rank = random.int(0, ids.length - 1);
    if (network.dead[rank]) continue;
    if (random.chance(0.4)) network.kill(rank, 300);
    else network.at(random.between(0, 1500), rank, () => network.kill(rank, 300));
  }
  for (let count = random.int(0, 4); count > 0; count--) {
    const [observer, rank] = [random.int(0, ids.length - 1), random.int(0, ids.length - 1)];
    if (observer === rank) continue;
    const from = random.between(0, 1000);
    network.at(from, observer, () => network.judge(observer, rank, false));
    network.at(
      from + random.between(0, 600),
      observer,
      () => network.judge(observer, rank, network.dead[rank] === false),
    );
  }
  network.run(2500);
  Object.assign(faults, { loss: 0, duplication: 0, delayMinMs: 1, delayMaxMs: 5 });
  const right = expected(name, network, ids);
  const agreed = network.run(2500 + CALM_MS, () => network.winner === right);
  const winners = network.elections.map(({ winner }, rank) => network.dead[rank] ? "dead" : winner);
  assert.ok(agreed, `ids ${ids}, expected ${right}, winners ${winners}`);
  network.run(network.now + 20_000);
  assert.is(network.winner, right, "it does not change any more");
  const before = network.sent.length;
  network.run(network.now + 20_000);
  assert.is(network.sent.length, before, "there is peace");
}

for (const name of STRATEGIES) {
  test(`${name}: all that live agree once the network is calm`, () => {
    for (let seed = ONLY ?? 1; seed <= (ONLY ?? RUNS); seed++) {
      try {
        storm(name, seed);
      } catch (error) {
        const replay = `SEED=${seed} deno run -A tests/core/election/network_test.ts`;
        throw new Error(`seed ${seed}: ${error}; replay: ${replay}`, { cause: error });
      }
    }
  });
}

for (const name of STRATEGIES) {
  test(`${name}: a death is settled quickly when nothing is lost`, () => {
    for (let size = 2; size <= 9; size++) {
      const ids = permutation(size, new Random(size));
      const network = new Network(name, ids, size);
      network.kill(expected(name, network, ids), 20);
      const right = expected(name, network, ids);
      assert.ok(network.run(400, () => network.winner === right), `${size} members`);
    }
  });
}

/** Messages of one election in which nothing is lost, started by one member alone. */
function cost(name: ElectionName, ids: readonly number[], initiator: number): Network {
  const network = new Network(name, ids, 1);
  network.elections[initiator].start(0);
  network.run(10_000);
  assert.is(network.winner, expected(name, network, ids));
  const counted = network.elections.reduce((sum, { messagesSent }) => sum + messagesSent, 0);
  assert.is(counted, network.sent.length, "every message is counted at who sent it");
  return network;
}

function ascending(size: number): number[] {
  return Array.from({ length: size }, (_, rank) => rank);
}

test("bully: n - 1 messages when the highest begins, at most n^2 - 1 when the lowest does", () => {
  for (let size = 2; size <= 9; size++) {
    assert.is(cost("bully", ascending(size), size - 1).sent.length, size - 1);
    const { sent } = cost("bully", ascending(size), 0);
    const of = (kind: number): number => sent.filter((message) => message.kind === kind).length;
    assert.is(of(ElectionKind.election), size * (size - 1) / 2);
    assert.is(of(ElectionKind.ok), size * (size - 1) / 2);
    assert.is(of(ElectionKind.coordinator), size - 1);
  }
});

test("bully: all beginning at once cost no more than the lowest alone", () => {
  for (let size = 2; size <= 9; size++) {
    const network = new Network("bully", ascending(size), 1);
    for (const election of network.elections) election.start(0);
    network.run(10_000);
    assert.is(network.winner, size - 1);
    assert.ok(network.sent.length <= size * size - 1, `${network.sent.length} messages of ${size}`);
  }
});

test("ring: 2n messages when the highest begins, at most 3n - 1 when anybody does", () => {
  for (let size = 2; size <= 9; size++) {
    assert.is(cost("ring", ascending(size), size - 1).sent.length, 2 * size);
    assert.is(
      cost("ring", ascending(size), 0).sent.length,
      3 * size - 1,
      "the worst: the highest is the last to hear",
    );
    for (let seed = 1; seed <= 20; seed++) {
      const random = new Random(seed);
      const { sent } = cost("ring", permutation(size, random), random.int(0, size - 1));
      assert.ok(sent.length <= 3 * size - 1);
      assert.is(sent.filter(({ kind }) => kind === ElectionKind.coordinator).length, size);
    }
  }
});

test("ring: all beginning at once cost at most n(n + 1) / 2 candidacies, and n for ELECTED", () => {
  for (let size = 2; size <= 9; size++) {
    const descending = ascending(size).reverse(); // each candidacy gets as far as it can
    const network = new Network("ring", descending, 1);
    for (const election of network.elections) election.start(0);
    network.run(10_000);
    assert.is(network.winner, 0);
    assert.ok(
      network.sent.length <= size * (size + 1) / 2 + size,
      `${network.sent.length} messages of ${size}`,
    );
  }
});

for (const name of ["bully", "ring"] as const) {
  test(`${name}: nothing that a member sends makes the others fail, nor send more than a bounded number`, () => {
    const random = new Random(7);
    const size = 6;
    const network = new Network(name, ascending(size), 3);
    for (let count = 0; count < 20_000; count++) {
      const wild = (): number => random.pick([random.int(-1, size), random.int(0, 2000), NaN, 0.5, 2 ** 53]);
      const rank = random.int(0, size - 1);
      const from = random.chance(0.9) ? random.int(0, size - 1) : wild();
      const before = network.sent.length;
      network.elections[rank].receive(
        from,
        random.int(0, 4),
        random.chance(0.9) ? random.int(1, 50) : wild(),
        random.chance(0.5) ? from : random.chance(0.9) ? random.int(0, size - 1) : wild(),
        network.now,
      );
      assert.ok(network.sent.length - before <= size);
      if (count % 100 === 0) network.run(network.now + 10);
    }
    const agreed = network.run(network.now + CALM_MS, () => network.winner === size - 1);
    assert.ok(agreed, `winners ${network.elections.map(({ winner }) => winner)}`);
  });
}

test.run();

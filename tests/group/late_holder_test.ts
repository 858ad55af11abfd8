/** A view change whose cut only one member holds part of waits for that member alone, not for everybody in turn. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Cluster } from "../../core/testing/mod.ts";

const test = suite("group/late holder");

/** Longest time from the wedge to the next view, in virtual milliseconds: some round trips, and repetitions of what is lost. */
const CHANGE_MS_MAX = 400;

// Seeds with which the others do not suspect the holder as well before they have promised: then nobody waits for its answer.
for (const [size, seed] of [[8, 2], [12, 2], [20, 1], [20, 2], [20, 4]]) {
  test(`what only the last of ${size} members has of one that crashed is fetched from it at once (seed ${seed})`, () => {
    const group = new Cluster({
      size,
      seed,
      order: "total",
      level: "safe",
      clockRate: (index) => index === size - 1 ? 1.2 : 1, // so that another one proposes
      timing: { suspectMaxMs: 5000 },
    });
    group.start();
    assert.ok(group.runUntilSettled(60_000));
    const [sender, ...rest] = group.nodes;
    const holder = rest[rest.length - 1];
    const [proposer] = rest;
    group.run(1000);
    for (const node of rest) if (node !== holder) group.network.block(sender.address, node.address);
    group.run(20);
    for (const node of group.nodes) if (node !== holder) group.network.block(holder.address, node.address);
    const id = sender.send();
    group.run(5);
    sender.crash();
    const before = proposer.view?.number ?? 0;
    for (let count = 0; count < 20_000 && proposer.machine?.state.wedged !== true; count++) group.run(0.5);
    group.network.heal();
    const wedgedAt = group.now;
    const moved = (): boolean => rest.every(({ view }) => (view?.number ?? 0) > before);
    for (let count = 0; count < 20_000 && !moved(); count++) group.run(0.5);
    assert.ok(moved());
    assert.ok(group.now - wedgedAt < CHANGE_MS_MAX, `it took ${Math.round(group.now - wedgedAt)} ms`);
    assert.ok(rest.every(({ known }) => known.has(id as string)), "the cut has the message");
  });
}

test.run();

import type { NamedCase } from "./named_case.ts";
import { type Bench, check, type Probe, turn } from "./probe.ts";
import { indexOf, numbered, senderOf } from "./packets.ts";

/** Cases about members that come, go and come back. */
export const lifeCases: readonly NamedCase[] = [
  ["the first multicast arrives when both members say reachable", async (bench, harness) => {
    for (let round = 0; round < (harness.rounds ?? 10); round++) {
      const [a, b] = await bench.mesh(2);
      await bothWays(bench, a, b, 1);
      await Promise.all([a.transport.close(500), b.transport.close(500)]);
    }
  }],
  ["a late joiner hears everyone and is heard", async (bench) => {
    const [a, b] = await bench.mesh(2);
    for (let index = 0; index < 100; index++) a.multicast(numbered(0, index));
    const late = await bench.open();
    await bench.join(a, b, late);
    await bothWays(bench, a, late, 1000);
    await bothWays(bench, late, b, 2000);
  }],
  ["connect before the peer exists is enough", async (bench, harness) => {
    const member = await harness.create();
    const a = await bench.open();
    a.transport.connect(member.address);
    const b = await bench.reopen(member.address);
    b.transport.connect(a.address);
    await bench.until(() => a.isUp(b.address) && b.isUp(a.address), "the members never met");
    await bothWays(bench, a, b, 1);
  }],
  ["nobody is reachable when only one side connects", async (bench) => {
    const [a, b, c] = [await bench.open(), await bench.open(), await bench.open()];
    a.transport.connect(b.address);
    await bench.join(b, c);
    check(!a.isUp(b.address) && !b.isUp(a.address), "reachable without both sides connecting");
  }],
  [
    "a peer that only one side reaches for is told to the other as a stranger, until both connect",
    async (bench) => {
      const [a, b, c] = [await bench.open(), await bench.open(), await bench.open()];
      await bench.join(b, c);
      a.transport.connect(b.address);
      await knocks(bench, a, b);
      await bothWays(bench, b, c, 10);
      await knocks(bench, a, b);
      check(
        b.strangers.every((peer) => peer === a.address),
        `${b.strangers} are strangers, not ${a.address}`,
      );
      check(a.strangers.length + c.strangers.length === 0, "one that reaches for a peer was told of it");
      check(!b.isUp(a.address) && !a.isUp(b.address), "a stranger is reachable");
      b.transport.connect(a.address);
      await bench.until(() => a.isUp(b.address) && b.isUp(a.address), "connect did not make it reachable");
      await bothWays(bench, a, b, 20);
    },
  ],
  ["a stranger is told again when it lets go and reaches for the same peer again", async (bench) => {
    const [a, b] = [await bench.open(), await bench.open()];
    for (let round = 1; round <= 3; round++) {
      a.transport.connect(b.address);
      await knocks(bench, a, b);
      a.transport.disconnect(b.address);
    }
  }],
  ["who lets a peer go is told of it as a stranger while that one reaches on", async (bench) => {
    const [a, b] = await bench.mesh(2);
    b.transport.disconnect(a.address);
    await knocks(bench, a, b);
    b.transport.connect(a.address);
    await bench.until(() => a.isUp(b.address) && b.isUp(a.address), "connect did not bring it back");
    await bothWays(bench, a, b, 1);
  }],
  ["reachable(false) comes when the peer closes", async (bench) => {
    const [a, b, c] = await bench.mesh(3);
    await c.transport.close(500);
    await bench.until(() => !a.isUp(c.address) && !b.isUp(c.address), "a closed member stayed reachable");
    check(a.unicast(c.address, numbered(0, 1)) === "unreachable", "a packet to a closed member was accepted");
    await bothWays(bench, a, b, 1);
  }],
  ["reachable(true) comes back when the peer restarts on its address", async (bench) => {
    const [a, first] = await bench.mesh(2);
    let b = first;
    for (let round = 0; round < 3; round++) {
      await b.transport.close(500);
      const changes = a.reachability.length;
      b = await bench.reopen(b.address);
      b.transport.connect(a.address);
      const again = b;
      const cameBack = (): boolean =>
        again.isUp(a.address) && a.isUp(again.address) &&
        a.reachability.slice(changes).some(({ up }) => up);
      await bench.until(cameBack, `the members did not meet again after restart ${round + 1}`);
      await bothWays(bench, a, b, 10 * round);
    }
  }],
  ["disconnect stops packets and connect brings them back", async (bench) => {
    const [a, b, c] = await bench.mesh(3);
    a.transport.disconnect(b.address);
    check(
      a.unicast(b.address, numbered(0, 1)) === "unreachable",
      "a packet to a disconnected peer was accepted",
    );
    await bench.until(() => !b.isUp(a.address), "the peer was not told");
    a.packets.length = 0;
    b.multicast(numbered(1, 1));
    b.unicast(a.address, numbered(1, 2));
    await bench.until(() => c.packets.length === 1, "the third member lost the packet");
    await turn(20);
    check(a.packets.length === 0, "a packet of a disconnected peer was delivered");
    a.transport.connect(b.address);
    await bench.until(() => a.isUp(b.address) && b.isUp(a.address), "connect did not bring the peer back");
    await bothWays(bench, a, b, 10);
  }],
  ["connect twice, to itself and after disconnect does no harm", async (bench) => {
    const [a, b] = await bench.mesh(2);
    for (let round = 0; round < 20; round++) {
      a.transport.connect(b.address);
      a.transport.connect(a.address);
      a.transport.disconnect(b.address);
      a.transport.connect(b.address);
      a.transport.connect(b.address);
      if (round % 5 === 0) await turn(5);
    }
    const met = (): boolean => a.isUp(b.address) && b.isUp(a.address);
    await bench.until(met, "the members did not meet after the storm");
    await eventually(bench, a, b);
    a.packets.length = 0;
    await turn(20);
    check(!a.packets.some((packet) => senderOf(packet) === 0), "a member heard itself");
  }],
  ["close is idempotent and bounded, and the address is free at once", async (bench) => {
    const [a, b] = await bench.mesh(2);
    const started = performance.now();
    await Promise.all([a.transport.close(1000), a.transport.close(1000)]);
    await a.transport.close(1000);
    const tookMs = performance.now() - started;
    check(tookMs < 2500, `close took ${Math.round(tookMs)} ms of 1000 allowed`);
    const again = await bench.reopen(a.address);
    again.transport.connect(b.address);
    await bench.until(() => again.isUp(b.address), "the new member on the freed address met nobody");
  }],
  ["what was sent just before close arrives", async (bench) => {
    const [a, b] = await bench.mesh(2);
    for (let index = 0; index < 100; index++) {
      a.multicast(numbered(0, index, 2000));
      a.unicast(b.address, numbered(0, 1000 + index, 2000));
    }
    await a.transport.close(2000);
    if (!a.transport.traits.lossy) {
      await bench.until(() => b.packets.length === 200, () => `${b.packets.length} of 200 packets arrived`);
    }
  }],
  ["a closed member refuses quietly and its handler hears nothing more", async (bench) => {
    const [a, b] = await bench.mesh(2);
    for (let index = 0; index < 1000; index++) b.multicast(numbered(1, index));
    await a.transport.close(500);
    const calls = a.calls;
    for (let index = 0; index < 100; index++) b.multicast(numbered(1, index));
    check(a.multicast(numbered(0, 1)) === "unreachable", "a closed member could multicast");
    check(a.unicast(b.address, numbered(0, 1)) === "unreachable", "a closed member could unicast");
    a.transport.connect(b.address);
    a.transport.disconnect(b.address);
    check(typeof a.transport.stats() === "object", "no stats after close");
    await bench.until(() => !b.isUp(a.address), "the peer never noticed the close");
    check(a.calls === calls, `the handler was called ${a.calls - calls} times after close`);
  }],
  ["close without open comes back", async (_bench, harness) => {
    const { transport } = await harness.create();
    await transport.close(100);
    check(transport.multicast(numbered(0, 1)) === "unreachable", "multicast before open was accepted");
  }],
];

/** Sends to a peer that does not reach back, again and again, until that one is told of a stranger once more. */
async function knocks(bench: Bench, from: Probe, to: Probe): Promise<void> {
  const before = to.strangers.length;
  let again = 0;
  await bench.until(() => {
    if (performance.now() >= again) {
      from.unicast(to.address, numbered(0, 1));
      again = performance.now() + 20;
    }
    return to.strangers.slice(before).includes(from.address);
  }, `${to.address} was not told that ${from.address} reaches for it`);
}

/** Exactly one multicast and one unicast each way, the first ones after reachable. */
async function bothWays(bench: Bench, a: Probe, b: Probe, index: number): Promise<void> {
  if (a.transport.traits.lossy) return await eventually(bench, a, b);
  a.packets.length = 0;
  b.packets.length = 0;
  check(a.multicast(numbered(0, index)) === "sent", "a multicast was not sent");
  check(b.multicast(numbered(1, index)) === "sent", "a multicast was not sent");
  check(a.unicast(b.address, numbered(0, index + 1)) === "sent", "a unicast was not sent");
  check(b.unicast(a.address, numbered(1, index + 1)) === "sent", "a unicast was not sent");
  for (const probe of [a, b]) {
    for (const expected of [index, index + 1]) {
      await bench.until(
        () => probe.packets.some((packet) => indexOf(packet) === expected),
        `${probe.address} did not get the first ${
          expected === index ? "multicast" : "unicast"
        } after reachable`,
      );
    }
  }
}

/** Sends until something new arrives each way. */
async function eventually(bench: Bench, a: Probe, b: Probe): Promise<void> {
  a.packets.length = 0;
  b.packets.length = 0;
  let again = 0;
  await bench.until(() => {
    if (performance.now() >= again) {
      a.multicast(numbered(0, 1));
      b.multicast(numbered(1, 1));
      again = performance.now() + 50;
    }
    return a.packets.length > 0 && b.packets.length > 0;
  }, "no packet went both ways");
}

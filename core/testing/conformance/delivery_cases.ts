import type { Address } from "../../base/ids.ts";
import type { NamedCase } from "./named_case.ts";
import { type Bench, check, type Probe, turn } from "./probe.ts";
import { indexOf, numbered, patterned, same, senderOf } from "./packets.ts";

/** Cases about packets between members that reach each other. */
export const deliveryCases: readonly NamedCase[] = [
  ["multicast reaches every other member once, and not its sender", async (bench) => {
    const members = await bench.mesh(3);
    members.forEach((member, index) => check(member.multicast(numbered(index, 1)) === "sent", "not sent"));
    await settle(bench, members, 2);
    members.forEach((member, index) => {
      const senders = member.packets.map(senderOf).sort();
      const expected = [0, 1, 2].filter((other) => other !== index);
      check(
        JSON.stringify(senders) === JSON.stringify(expected),
        `member ${index} heard ${senders}, not ${expected}`,
      );
    });
  }],
  ["unicast reaches exactly one member", async (bench) => {
    const [a, b, c] = await bench.mesh(3);
    check(a.unicast(b.address, numbered(0, 1)) === "sent", "not sent");
    check(b.unicast(c.address, numbered(1, 2)) === "sent", "not sent");
    check(c.unicast(a.address, numbered(2, 3)) === "sent", "not sent");
    await settle(bench, [a, b, c], 1);
    check(
      indexOf(b.packets[0]) === 1 && indexOf(c.packets[0]) === 2 && indexOf(a.packets[0]) === 3,
      "mixed up",
    );
  }],
  ["multicast is sent when there is no peer", async (bench) => {
    const alone = await bench.open();
    check(alone.multicast(numbered(0, 1)) === "sent", "a member alone could not multicast");
    await turn();
    check(alone.packets.length === 0, "a member heard itself");
  }],
  ["unicast is unreachable when the peer is unknown", async (bench, harness) => {
    const [a, b] = await bench.mesh(2);
    const unknown = harness.addresses.unused as Address;
    check(a.unicast(unknown, numbered(0, 1)) === "unreachable", "a packet to an unknown peer was accepted");
    a.transport.connect(unknown);
    check(a.unicast(unknown, numbered(0, 1)) === "unreachable", "a packet to an absent peer was accepted");
    a.transport.disconnect(unknown);
    a.transport.disconnect(unknown);
    check(a.unicast(b.address, numbered(0, 2)) === "sent", "the adapter no longer works");
    await bench.until(() => b.packets.length === 1, "the packet after it did not arrive");
  }],
  ["packets arrive intact when they are as large as the adapter allows", async (bench) => {
    const [a, b] = await bench.mesh(2);
    const limit = a.transport.traits.packetBytesMax;
    const sizes = [1, 2, 127, 128, 129, 1400, 65_535, 65_536, 65_537, limit].filter((bytes) =>
      bytes <= limit
    );
    for (const bytes of sizes) {
      const packet = patterned(bytes);
      for (const send of [() => a.multicast(packet), () => a.unicast(b.address, packet)]) {
        b.packets.length = 0;
        await arrives(bench, send, b, `${bytes} bytes`);
        check(same(b.packets[0], packet), `a packet of ${bytes} bytes arrived altered`);
      }
    }
  }],
  ["a packet one byte past the limit is never delivered, and the next one is", async (bench) => {
    const [a, b] = await bench.mesh(2);
    const packet = patterned(a.transport.traits.packetBytesMax + 1);
    a.multicast(packet);
    a.unicast(b.address, packet);
    await arrives(bench, () => a.multicast(numbered(0, 1)), b, "the multicast after it");
    await arrives(bench, () => a.unicast(b.address, numbered(0, 2)), b, "the unicast after it", 2);
    for (const got of b.packets) indexOf(got);
  }],
  ["packets stay as they were when many more follow", async (bench) => {
    const [a, b] = await bench.mesh(2);
    for (const bytes of [40, 300, 1200]) {
      b.packets.length = 0;
      for (let index = 0; index < 200; index++) {
        a.multicast(numbered(0, index, bytes));
        a.unicast(b.address, numbered(0, 1000 + index, bytes));
        if (index % 16 === 15) await turn();
      }
      if (!a.transport.traits.lossy) await bench.until(() => b.packets.length >= 400, "packets are missing");
      else await bench.until(() => b.packets.length >= 1, "nothing arrived");
      for (const packet of b.packets) indexOf(packet);
    }
  }],
  ["a burst arrives whole and in order on each path", async (bench, harness) => {
    const [a, b, c] = await bench.mesh(3);
    const count = harness.burst ?? 10_000;
    for (let index = 0; index < count; index++) {
      await accepted(bench, a, () => a.multicast(numbered(0, index)));
    }
    await complete(bench, a, [b, c], count);
    b.packets.length = 0;
    c.packets.length = 0;
    // Another sender's number: where packets may be lost, some of the first burst may still be on their way.
    for (let index = 0; index < count; index++) {
      await accepted(bench, a, () => a.unicast(b.address, numbered(1, index)));
    }
    await complete(bench, a, [b], count);
    check(!c.packets.some((packet) => senderOf(packet) === 1), "a unicast burst reached another member");
  }],
  ["the handler is never called from within multicast or unicast", async (bench) => {
    const [a, b] = await bench.mesh(2);
    for (let index = 0; index < 100; index++) {
      a.multicast(numbered(0, index));
      b.multicast(numbered(1, index));
      a.unicast(b.address, numbered(0, index));
      b.unicast(a.address, numbered(1, index));
      if (index % 10 === 0) await turn();
    }
    await bench.until(() => a.packets.length > 0 && b.packets.length > 0, "nothing arrived");
    check(a.reentrantCalls + b.reentrantCalls === 0, "a handler was called from within a send");
  }],
  ["the adapter goes on when a handler throws", async (bench) => {
    const [a, b] = await bench.mesh(2);
    b.throwing = true;
    await arrives(bench, () => a.multicast(numbered(0, 1)), b, "the multicast");
    await arrives(bench, () => a.unicast(b.address, numbered(0, 2)), b, "the unicast", 2);
    b.throwing = false;
    b.packets.length = 0;
    await arrives(bench, () => a.multicast(numbered(0, 3)), b, "the multicast after the throw");
    await arrives(bench, () => a.unicast(b.address, numbered(0, 4)), b, "the unicast after the throw", 2);
  }],
];

/** Sends, again where packets may be lost, until the receiver has `count` packets. */
async function arrives(
  bench: Bench,
  send: () => string,
  receiver: Probe,
  what: string,
  count = 1,
): Promise<void> {
  let again = performance.now();
  await bench.until(() => {
    if (receiver.packets.length >= count) return true;
    if (performance.now() >= again) {
      const status = send();
      check(status === "sent" || status === "full", `${what}: the send was ${status}`);
      const retry = status === "full" || receiver.transport.traits.lossy;
      again = retry ? performance.now() + 50 : Infinity;
    }
    return false;
  }, `${what} did not arrive`);
}

/** Repeats a send that is `full` until the adapter has room. */
async function accepted(bench: Bench, sender: Probe, send: () => string): Promise<void> {
  for (let status = send(); status !== "sent"; status = send()) {
    check(status === "full", `a send to a reachable member was ${status}`);
    const drains = sender.drains;
    await bench.until(() => sender.drains > drains, "no drain followed a full");
  }
}

/** Waits until every member has `count` packets, then once more round through the network for any that are too many. */
async function settle(bench: Bench, members: readonly Probe[], count: number): Promise<void> {
  await bench.until(
    () => members.every((member) => member.packets.length >= count),
    () => `packets are missing: ${members.map((member) => member.packets.length)}, not ${count} each`,
  );
  await turn(20);
  for (const member of members) {
    check(member.packets.length === count, `${member.packets.length} packets arrived, not ${count}`);
  }
}

async function complete(
  bench: Bench,
  sender: Probe,
  receivers: readonly Probe[],
  count: number,
): Promise<void> {
  if (sender.transport.traits.lossy) {
    await bench.until(() => receivers.every((receiver) => receiver.packets.length > 0), "nothing arrived");
    return;
  }
  await bench.until(
    () => receivers.every((receiver) => receiver.packets.length >= count),
    () => `${receivers.map((receiver) => receiver.packets.length)} of ${count} packets arrived`,
  );
  for (const receiver of receivers) {
    check(receiver.packets.length === count, `${receiver.packets.length} packets arrived, not ${count}`);
    receiver.packets.forEach((packet, index) => {
      const got = indexOf(packet);
      check(got === index, `packet ${got} came in place ${index}`);
    });
  }
}

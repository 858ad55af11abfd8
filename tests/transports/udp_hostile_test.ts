/**
 * The UDP adapter against hostile and foreign traffic: forged greetings (H57), oversize datagrams (H58), foreign
 * traffic on the multicast group (H59), own datagrams that come back (H60), and forgeries in a peer's name.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random } from "../../core/base/random.ts";
import { Doorman } from "../../transports/udp/doorman.ts";
import {
  bootOf,
  type Control,
  CONTROL_BYTES,
  decodeControl,
  encodeControl,
  encodeFragment,
  encodePacket,
  encodeProbe,
  Kind,
} from "../../transports/udp/frames.ts";
import {
  closeAll,
  exchange,
  GROUP,
  hostAndPort,
  meet,
  type Member,
  member,
  type Raw,
  raw,
  until,
} from "./udp_members.ts";

const test = suite("udp hostile");
test.after.each(closeAll);

/** A greeting as somebody who claims an address makes it. */
function knock(claimed: string, change: Partial<Control> = {}): Uint8Array {
  const [host, port] = hostAndPort(claimed);
  return encodeControl({
    kind: Kind.hello,
    boot: 4711,
    token: 99,
    echo: 0,
    host,
    port,
    nonce: 0,
    known: false,
    copies: false,
    deaf: false,
    final: false,
    ...change,
  });
}

/** The answers that a socket got. */
function answers(socket: Raw): Control[] {
  return socket.got.flatMap(({ bytes }) => decodeControl(bytes) ?? []).filter(({ kind }) =>
    kind === Kind.answer
  );
}

test("a greeting gets one answer of its own size, and nobody is told before the address is proven (H57)", async () => {
  const a = await member();
  const stranger = await raw();
  const own = `udp://127.0.0.1:${stranger.port}`;
  await stranger.send(knock(own), a.address);
  await until(() => stranger.got.length > 0, "no answer came");
  assert.equal(stranger.got.map(({ bytes }) => bytes.length), [CONTROL_BYTES]);
  const [answer] = answers(stranger);
  assert.is(answer.echo, 99);
  assert.is(a.strangers.length, 0);
  await stranger.send(knock(own, { echo: answer.token }), a.address);
  await until(() => a.strangers.length > 0, "the stranger was not told");
  assert.equal(a.strangers, [own]);
  assert.is(stranger.got.length, 1, "a proven greeting got an answer");
});

test("a flood of greetings in another's name sends it no more than was sent, and harms nobody (H57)", async () => {
  const [a, b] = [await member(), await member()];
  await meet(a, b);
  const victim = await raw();
  const attacker = await raw();
  const claimed = `udp://127.0.0.1:${victim.port}`;
  const before = a.stat("answersSent");
  // Guessed tokens as well: they prove nothing.
  for (let count = 0; count < 5000; count++) {
    await attacker.send(knock(claimed, { echo: count }), a.address);
    if (count % 500 === 0) await exchange(a, b);
  }
  await attacker.send(knock(`udp://127.0.0.1:${attacker.port}`), a.address);
  const answered = (): number => a.stat("answersSent") - before;
  await until(() => victim.got.length > 0 && answered() > 0, "no greeting was answered");
  await exchange(a, b);
  assert.ok(answered() <= 5001, `${answered()} answers to 5001 greetings`);
  assert.ok(victim.got.length <= answered());
  assert.ok(victim.got.every(({ bytes }) => bytes.length === CONTROL_BYTES));
  assert.is(a.strangers.length, 0);
  assert.is(a.stat("losses") + b.stat("losses"), 0);
});

test("a thousand unproven greetings a second are served, and no more (H57)", () => {
  const doorman = new Doorman();
  const served = (fromMs: number, toMs: number): number => {
    let count = 0;
    for (let nowMs = fromMs; nowMs < toMs; nowMs += 0.01) if (doorman.admits(nowMs)) count++;
    return count;
  };
  assert.ok(served(0, 1000) <= 1200);
  const next = served(1000, 2000);
  assert.ok(next >= 990 && next <= 1001, `${next}`);
  assert.ok(served(60_000, 60_001) <= 201);
  const tokens = ["udp://10.0.0.1:1", "udp://10.0.0.1:2", "udp://10.0.0.2:1"].map((text) =>
    doorman.tokenOf(text)
  );
  assert.is(new Set(tokens).size, 3);
  assert.is(doorman.tokenOf("udp://10.0.0.1:1"), tokens[0]);
  assert.is.not(new Doorman().tokenOf("udp://10.0.0.1:1"), tokens[0]);
  assert.ok(tokens.every((token) => Number.isSafeInteger(token) && token > 0 && token < 2 ** 48));
});

test("greetings from where nobody can be, from oneself, by multicast, cut or longer are dropped and counted (H57)", async () => {
  const a = await member();
  const attacker = await raw();
  const before = a.stat("foreignDatagrams");
  let sent = 0;
  const send = async (bytes: Uint8Array, to: string = a.address): Promise<void> => {
    await attacker.send(bytes, to);
    sent++;
  };
  for (const host of ["0.0.0.0", "255.255.255.255", "224.0.0.1", "239.255.84.85", "240.0.0.1"]) {
    await send(knock(`udp://${host}:5000`));
  }
  await send(knock("udp://127.0.0.1:0"));
  await send(knock(a.address));
  const good = knock(`udp://127.0.0.1:${attacker.port}`);
  await send(good, GROUP);
  await send(encodeProbe(4711, [1]));
  for (let bytes = 0; bytes < good.length; bytes++) await send(good.subarray(0, bytes));
  await send(new Uint8Array([...good, 0]));
  await until(
    () => a.stat("foreignDatagrams") >= before + sent,
    () => `${a.stat("foreignDatagrams") - before} of ${sent}`,
  );
  assert.is(a.stat("foreignDatagrams"), before + sent);
  assert.is(attacker.got.length, 0);
  assert.is(a.stat("answersSent"), 0);
});

test("foreign traffic on the multicast group and the own port is dropped and counted (H59)", async () => {
  const [a, b] = [await member(), await member()];
  await meet(a, b);
  const random = new Random(9);
  const foreign = await raw();
  const counted = (): number => a.stat("foreignDatagrams") + a.stat("unknownSenders");
  const before = counted();
  let sent = 0;
  for (let count = 0; count < 500; count++) {
    const noise = Uint8Array.from({ length: random.uint32() % 1400 }, () => random.uint32() & 255);
    const ours = encodePacket(random.uint32(), noise.subarray(0, 100));
    const mixed = [
      noise,
      new TextEncoder().encode("M-SEARCH * HTTP/1.1"),
      ours,
      ours.subarray(0, random.uint32() % ours.length),
    ];
    await foreign.send(mixed[count % 4], count % 8 < 4 ? GROUP : a.address);
    sent++;
    if (count % 25 === 0) await exchange(a, b);
  }
  await until(() => counted() >= before + sent, () => `${counted() - before} of ${sent} were counted`);
  assert.is(counted(), before + sent);
  for (const packet of [...a.packets, ...b.packets]) {
    assert.is(packet.length, 4, "a foreign packet was delivered");
  }
});

test("two groups on one multicast group do not hear each other (H59)", async () => {
  const patient = { silenceMs: 20_000 };
  const one = [await member(patient), await member(patient), await member(patient)];
  const two = [await member(patient), await member(patient)];
  await meet(...one);
  await meet(...two);
  await until(() => [...one, ...two].every((each) => each.stat("copiedNow") === 0), "copies are sent");
  const said = new Map(
    one.map((each, index) => [each, index]).concat(two.map((each, index) => [each, 10 + index])) as [
      Member,
      number,
    ][],
  );
  for (let round = 0; round < 200; round++) {
    for (const [each, number] of said) each.transport.multicast(Uint8Array.of(0x54, 0x55, number, round));
    if (round % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
  }
  for (const members of [one, two]) {
    for (const each of members) {
      const others = members.filter((other) => other !== each);
      await until(
        () => others.every((other) => each.packets.some((packet) => packet[2] === said.get(other))),
        "members of one group do not hear each other",
      );
      for (const packet of each.packets) {
        assert.ok(others.some((other) => said.get(other) === packet[2]), `a packet of ${packet[2]} came`);
      }
      assert.ok(each.stat("unknownSenders") > 0, "the other group's packets were not counted");
      assert.is(each.stat("copiedNow"), 0);
      assert.equal(each.strangers, []);
    }
  }
});

test("own datagrams that come back are ignored, looped back by the system or replayed (H60)", async () => {
  const [a, b] = [await member(), await member()];
  const listener = await raw(GROUP);
  await meet(a, b);
  for (let count = 0; count < 50; count++) a.transport.multicast(Uint8Array.of(0x54, 0x55, 1, count));
  await until(() => a.stat("ownDatagrams") >= 50, "own datagrams were not counted");
  const own = listener.got.filter(({ source }) => source.port === a.port).map(({ bytes }) => bytes);
  assert.ok(own.length >= 50);
  const before = a.stat("ownDatagrams");
  const attacker = await raw();
  for (const bytes of own.slice(0, 50)) {
    await attacker.send(bytes, a.address);
    await attacker.send(bytes, GROUP);
  }
  await until(() => a.stat("ownDatagrams") >= before + 100, "replayed datagrams were not counted");
  assert.equal(a.packets, []);
  await exchange(a, b);
});

test("what comes from elsewhere in a peer's name changes nothing", async () => {
  const [a, b] = [await member(), await member()];
  const listener = await raw(GROUP);
  await meet(a, b);
  await exchange(a, b);
  const known = a.packets.length;
  const boots = new Set(
    listener.got.filter(({ source }) => source.port === b.port).map(({ bytes }) => bootOf(bytes)),
  );
  assert.is(boots.size, 1);
  const [boot] = boots;
  const attacker = await raw();
  const packet = encodePacket(boot, new Uint8Array(40));
  const part = encodeFragment(boot, {
    number: 1,
    length: 1000,
    checksum: 0,
    size: 600,
    index: 0,
    payload: new Uint8Array(600),
  });
  const before = a.stat("unknownSenders") + a.stat("answersSent");
  let sent = 0;
  for (let count = 0; count < 20; count++) {
    for (const bytes of [packet, part]) {
      await attacker.send(bytes, a.address);
      await attacker.send(bytes, GROUP);
      sent += 2;
    }
    for (
      const change of [
        { boot },
        { boot: 5 },
        { boot, kind: Kind.bye, final: true },
        { boot, kind: Kind.ack },
        { boot, kind: Kind.answer },
      ]
    ) {
      await attacker.send(knock(b.address, change), a.address);
    }
    sent += 4; // A farewell without proof gets no answer at all.
  }
  const counted = (): number => a.stat("unknownSenders") + a.stat("answersSent");
  await until(() => counted() >= before + sent, () => `${counted() - before} of ${sent} were counted`);
  assert.is(a.packets.length, known, "a forged packet was delivered");
  assert.is(a.stat("unfinishedPacketsNow"), 0);
  assert.is(a.stat("losses") + b.stat("losses"), 0, "a forged greeting or farewell was believed");
  await exchange(a, b);
});

test("datagrams and packets larger than allowed are never delivered, and the next ones are (H58)", async () => {
  const a = await member({ packetBytesMax: 10_000 });
  const b = await member({ packetBytesMax: 1 << 20, datagramBytesMax: 65_507, queueBytesMax: 8 << 20 });
  await meet(a, b);
  await exchange(a, b);
  for (const bytes of [10_001, 30_000, 65_000, 65_507, 100_000, 1 << 20]) {
    assert.is(b.transport.unicast(a.address, new Uint8Array(bytes)), "sent");
    assert.is(b.transport.multicast(new Uint8Array(bytes)), "sent");
  }
  assert.is(b.transport.unicast(a.address, new Uint8Array((1 << 20) + 1)), "unreachable");
  assert.is(b.transport.multicast(new Uint8Array((1 << 20) + 1)), "unreachable");
  assert.is(b.stat("packetsDropped"), 2);
  await exchange(a, b);
  // Deno reads into a smaller buffer, so that the rest of such a datagram is lost and it counts as malformed.
  const refused = (): number => a.stat("oversizeDatagrams") + a.stat("foreignDatagrams");
  await until(() => refused() >= 12, () => `${refused()} were refused`);
  assert.ok(a.packets.every((packet) => packet.length === 4), "something oversize was delivered");
  assert.is(a.stat("unfinishedBytesNow"), 0);
  // One that reads large datagrams, and still allows no large packets.
  const c = await member({ packetBytesMax: 10_000, datagramBytesMax: 65_507 });
  await meet(b, c);
  b.transport.unicast(c.address, new Uint8Array(10_001));
  b.transport.multicast(new Uint8Array(30_000));
  await until(() => c.stat("oversizeDatagrams") >= 2, "oversize packets were not counted");
  let again = 0;
  await until(() => {
    if (performance.now() >= again) {
      b.transport.unicast(c.address, new Uint8Array(10_000));
      again = performance.now() + 50;
    }
    return c.packets.length > 0;
  }, "the largest packet did not arrive");
  assert.ok(c.packets.every(({ length }) => length === 10_000));
});

test.run();

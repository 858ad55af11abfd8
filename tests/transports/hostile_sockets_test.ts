/**
 * Whatever is thrown at the open sockets of a running group, every message is delivered, the garbage is counted, and the
 * event loop is never blocked (H12, H31, H33 to H37, H39, H40, H49, H50).
 *
 * Forged packets that are well formed are another matter (H13, H30): there is no authentication yet.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { connect } from "node:net";
import { Context, Dealer, Publisher, Subscriber } from "zeromq";
import type { Random } from "../../core/base/random.ts";
import { encodeControl } from "../../core/wire/control.ts";
import { Kind } from "../../core/wire/message.ts";
import { PacketWriter } from "../../core/wire/packet_writer.ts";
import { altered, concat, noise, underAttack } from "./attack.ts";

const test = suite("zeromq hostile sockets");

// ---- raw TCP ----

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const greeting = new Uint8Array(64);
greeting.set([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, ...ascii("NULL")]);

/** The READY command of ZMTP 3.0. */
function ready(socketType: string): Uint8Array {
  const type = ascii(socketType);
  const body = concat([5], ascii("READY"), [11], ascii("Socket-Type"), [0, 0, 0, type.length], type);
  return concat([4, body.length], body);
}

function rawGarbage(random: Random): Uint8Array[] {
  return [
    new Uint8Array(0),
    new Uint8Array(1),
    new Uint8Array(100_000),
    new Uint8Array(100_000).fill(0xaa),
    noise(random, 1 << 20),
    ascii("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    greeting.subarray(0, 10),
    greeting,
    concat(greeting, noise(random, 10_000)),
    concat(greeting, ready("DEALER").subarray(0, 9)),
    concat(greeting, ready("NOBODY")),
    concat(greeting, ready("DEALER"), noise(random, 10_000)),
    concat(greeting, ready("SUB"), noise(random, 10_000)),
    concat(greeting, ready("DEALER"), [2, 0x3f, 255, 255, 255, 255, 255, 255, 255], new Uint8Array(1000)), // H36
    concat(greeting, ready("DEALER"), [2, 0, 0, 0, 0, 0x80, 0, 0, 0], new Uint8Array(1000)),
    concat([1, 0, 6, 0], ascii("hello")), // a whole message of ZMTP 1.0
  ];
}

/** Opens a connection, writes, and goes when the other end does or soon. */
function rawConnection(port: number, bytes: Uint8Array, stayMs: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" }, () => {
      socket.write(bytes);
      setTimeout(() => socket.destroy(), stayMs);
    });
    socket.on("error", () => {});
    socket.once("close", () => resolve());
    socket.resume();
  });
}

test("garbage over raw TCP to every listening socket harms nobody", () =>
  underAttack(1, async ({ members, random }) => {
    for (const { ports } of members) {
      for (const port of ports) {
        await Promise.all(rawGarbage(random).map((bytes) => rawConnection(port, bytes, 100)));
      }
    }
  }));

test("a storm of connections and disconnections harms nobody (H12)", () =>
  underAttack(2, async ({ victim, random }) => {
    const context = new Context();
    for (let round = 0; round < 10; round++) {
      const storm: Promise<void>[] = [];
      for (const port of victim.ports) {
        for (let index = 0; index < 20; index++) {
          storm.push(rawConnection(port, noise(random, 100), index % 3));
        }
      }
      const [router, publisher] = victim.ports;
      const sockets = [new Dealer({ context, linger: 0 }), new Subscriber({ context, linger: 0 })] as const;
      sockets[0].connect(`tcp://127.0.0.1:${router}`);
      sockets[1].connect(`tcp://127.0.0.1:${publisher}`);
      sockets[1].subscribe(...Array.from({ length: 100 }, (_, index) => `topic ${round} ${index}`));
      await Promise.all(storm);
      for (const socket of sockets) socket.close();
    }
  }));

// ---- ZMTP, but not ours ----

test("random frames of a DEALER are counted one by one (H35, H50)", () =>
  underAttack(3, async ({ victim, random, throwAt, until }) => {
    const count = (): number => {
      const { foreignPackets, transport } = victim.group.stats();
      return foreignPackets + transport.foreignFrames;
    };
    const before = count();
    const messages = Array.from({ length: 3000 }, (_, index) => {
      const parts = index % 3 === 0 ? 2 + random.uint32() % 4 : 1;
      return Array.from({ length: parts }, () => index % 10 === 0 ? new Uint8Array(0) : noise(random, 500));
    });
    const sent = await throwAt(messages);
    await until(() => count() >= before + sent, () => `${count() - before} of ${sent} were counted`);
    assert.is(count(), before + sent);
  }));

test("a flood of 10,000 frames is counted and harms nobody", () =>
  underAttack(4, async ({ victim, random, throwAt, until }) => {
    const hello = helloFrame(random, "tcp://127.0.0.1:1", 2);
    const count = (): number => {
      const { foreignPackets, malformed, transport } = victim.group.stats();
      return foreignPackets + malformed + transport.foreignFrames;
    };
    const before = count();
    const { unknownPeers } = victim.group.stats().transport;
    await throwAt(Array.from({ length: 2000 }, () => hello));
    const kinds: readonly (() => Uint8Array)[] = [
      () => hello.subarray(0, 4 + random.uint32() % (hello.length - 4)),
      () => concat([0x54, 0x5a, 0xf7, 1, 9], noise(random, 50)),
      () => concat([0x54, 0x55, 1, 0], noise(random, 50)),
      () => concat([0x58], noise(random, 50)),
    ];
    const sent = await throwAt(Array.from({ length: 10_000 }, (_, index) => kinds[index % kinds.length]()));
    await until(() => count() >= before + sent, () => `${count() - before} of ${sent} were counted`);
    assert.is(count(), before + sent);
    assert.ok(victim.group.stats().transport.unknownPeers > unknownPeers, "the stranger was not noticed");
  }));

/** The adapter's greeting, in somebody's name. */
function helloFrame(random: Random, address: string, publishPort: number): Uint8Array {
  const text = ascii(address);
  const frame = concat([0x54, 0x5a, 0xf7, 1, 0], new Uint8Array(26), text);
  const view = new DataView(frame.buffer);
  view.setUint32(5, random.uint32());
  view.setUint32(9, random.uint32() | 1);
  view.setUint16(25, publishPort);
  view.setUint16(27, text.length);
  return frame;
}

test("garbage from a publisher in a member's name is counted, and the member is taken back", () =>
  underAttack(5, async ({ members, victim, random, throwAt, until }) => {
    const publisher = new Publisher({ context: new Context(), linger: 0, sendTimeout: 0 });
    await publisher.bind("tcp://127.0.0.1:*");
    const port = Number(publisher.lastEndpoint?.split(":")[2]);
    const count = (): number => {
      const { foreignPackets, transport } = victim.group.stats();
      return foreignPackets + transport.foreignFrames;
    };
    const { losses } = victim.group.stats().transport;
    const before = count();
    await throwAt([helloFrame(random, `tcp://127.0.0.1:${members[1].ports[0]}`, port)]);
    await until(() => {
      publisher.send([noise(random, 100), noise(random, 100)]).catch(() => {});
      publisher.send(noise(random, 100)).catch(() => {});
      return count() > before + 100;
    }, "garbage from the publisher was not counted");
    publisher.close();
    assert.ok(victim.group.stats().transport.losses > losses, "the forged greeting was not noticed");
    await until(
      () => victim.group.stats().transport.reachableNow === 2,
      "the true member was not taken back",
    );
  }));

// ---- our own packets, cut and altered ----

test("packets that are cut, trailed by garbage or altered are counted one by one (H33, H34, H36, H49)", () =>
  underAttack(6, async ({ victim, samples, throwAt, until }) => {
    const packets: Uint8Array[] = [];
    for (const sample of samples.values()) {
      for (let bytes = 4; bytes < Math.min(sample.length, 400); bytes++) {
        packets.push(sample.subarray(0, bytes));
      }
      for (const count of [1, 10, 23]) packets.push(concat(sample, new Uint8Array(count).fill(1)));
      for (const length of [2 ** 31, 2 ** 32 - 1, sample.length, 10_000]) {
        packets.push(altered(sample, (view) => view.setUint32(36, length)));
      }
      packets.push(
        altered(sample, (view) => view.setUint8(3, 2)), // unknown flags
        altered(sample, (view) => view.setUint32(8, 0xffff_ffff)), // a view beyond 2^53
        altered(sample, (view) => view.setUint32(16, 0xffff_ffff)), // an incarnation beyond 2^53
        altered(sample, (view) => view.setBigUint64(16, 0n)),
        altered(sample, (view) => view.setUint16(26, 999)), // relayed, but the flag says not
        altered(sample, (view) => view.setUint32(40, 0xffff_ffff)), // a number beyond 2^53
      );
    }
    const before = victim.group.stats().malformed;
    const sent = await throwAt(packets);
    const found = (): number => victim.group.stats().malformed - before;
    await until(() => found() >= sent, () => `${found()} of ${sent} were counted`);
    assert.is(found(), sent);
    // Well formed, and yet nothing that this version knows.
    const heartbeat = samples.get(Kind.heartbeat) as Uint8Array;
    const { foreignView } = victim.group.stats();
    await throwAt([
      ...[0, 21, 255].map((kind) => altered(heartbeat, (view) => view.setUint8(32, kind))),
      altered(heartbeat, (view) => view.setUint32(12, 77)),
    ]);
    await until(() => victim.group.stats().foreignView > foreignView, "another view was not counted");
    assert.is(found(), sent + 3);
  }));

test("greetings with hostile bodies are counted, and take no time (H37, H39, H40)", () =>
  underAttack(7, async ({ victim, samples, throwAt, until }) => {
    const sample = samples.get(Kind.hello) as Uint8Array;
    const withBody = (body: Uint8Array): Uint8Array => {
      const packet = concat(sample.subarray(0, 56), body);
      new DataView(packet.buffer).setUint32(36, body.length);
      return packet;
    };
    const bodies = [
      new Uint8Array(0),
      new Uint8Array(100_000).fill(0x81), // nested
      new Uint8Array(100_000).fill(0xa1),
      new Uint8Array(100_000).fill(0x9f), // endless
      concat([0xc2, 0x5a, 0, 4, 0x93, 0xe0], new Uint8Array(300_000).fill(0xff)), // a big integer of 300 kB
      concat([0x9b, 0, 0, 0, 0, 0x7f, 255, 255, 255], new Uint8Array(100)), // 2^31 items announced
      concat([0xa1, 0x69], ascii("__proto__"), [0xa0]),
      sample.subarray(56, sample.length - 1),
      concat(sample.subarray(56), [0xf6]),
    ];
    const before = victim.group.stats().malformed;
    await throwAt(bodies.map(withBody));
    const found = (): number => victim.group.stats().malformed - before;
    await until(() => found() >= bodies.length, () => `${found()} of ${bodies.length} were counted`);
  }));

test("packets of another group are counted, with a warning (H31)", () =>
  underAttack(8, async ({ members, victim, samples, throwAt, until }) => {
    const other = 0x1234_5678;
    const kinds = [Kind.data, Kind.ack, Kind.heartbeat];
    const packets = kinds.map((kind) =>
      altered(samples.get(kind) as Uint8Array, (view) => view.setUint32(4, other))
    );
    const before = victim.group.stats().foreignGroup;
    let sent = await throwAt(Array.from({ length: 300 }, (_, index) => packets[index % packets.length]));
    // A greeting that names its group: once by a stranger, once in a member's name.
    for (const address of ["tcp://127.0.0.1:1", members[1].group.address]) {
      sent += await throwAt([greetingOf("others", address, other)]);
    }
    await until(() => victim.group.stats().foreignGroup >= before + sent, "packets were not counted");
    assert.is(victim.group.stats().foreignGroup, before + sent);
    await until(() => victim.warnings.length >= 2, "no warnings came");
    const texts = victim.warnings.map(({ code, text }) => `${code}: ${text}`).join("\n");
    assert.match(texts, /foreign-group: a packet of another group/);
    assert.match(
      texts,
      /refused-peer: P9 at tcp:\/\/127\.0\.0\.1:1 is refused: its group is others, not under-attack/,
    );
  }));

function greetingOf(group: string, address: string, groupKey: number): Uint8Array {
  const incarnation = 5;
  const body = encodeControl({
    group,
    name: "P9",
    address,
    incarnation,
    order: "fifo",
    election: "senior",
    windowMessages: 100,
    windowBytes: 100_000,
    messageBytesMax: 1000,
    suspectMinMs: 1200,
    replicas: "",
    founders: [],
    view: 0,
    lineage: 0,
    ready: 0,
    voter: 0,
  });
  const writer = new PacketWriter({ groupKey, viewNumber: 0, lineage: 0, incarnation, rank: 0 }, 10_000);
  const offset = writer.begin(Kind.hello, 0, 0, body.length, incarnation, 1);
  writer.bytes.set(body, offset);
  return writer.take();
}

test("packets of other protocol versions are counted, with a clear warning (H49)", () =>
  underAttack(9, async ({ victim, samples, throwAt, until }) => {
    const packets = [...samples.values()].flatMap((sample) =>
      [0, 2, 255].map((version) => altered(sample, (view) => view.setUint8(2, version)))
    );
    const before = victim.group.stats().foreignVersion;
    const sent = await throwAt(packets);
    await until(() => victim.group.stats().foreignVersion >= before + sent, "packets were not counted");
    assert.is(victim.group.stats().foreignVersion, before + sent);
    await until(() => victim.warnings.some(({ code }) => code === "foreign-version"), "no warning came");
    const warning = victim.warnings.find(({ code }) => code === "foreign-version");
    assert.match(warning?.text ?? "", /protocol version 0 .* speaks version 1/);
  }));

test.run();

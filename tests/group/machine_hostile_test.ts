/** Packets in a view that no honest member sends: each is counted, changes nothing, and costs nobody a message. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random } from "../../core/base/random.ts";
import { Kind } from "../../core/wire/message.ts";
import { bounded } from "../core/wire/bounded.ts";
import { ALL, changes, connected, heartbeat, HUGE } from "./connected.ts";
import { data, groupKey, numbers, packet } from "./table.ts";

const test = suite("group/machine/hostile");

// ---- what is not for this member ----

test("H49: a packet of another version is counted and told", () => {
  const table = connected();
  const bytes = packet(table.identity("b"), data(1, "x"));
  bytes[2] = 2;
  assert.equal(changes(table, "a", () => table.receive("a", bytes)), { foreignVersion: 1 });
  assert.equal(table.seat("a").told, ["warning foreign-version"]);
});

test("H33, H35: foreign and malformed packets are counted, and nothing else happens", () => {
  const table = connected();
  assert.equal(changes(table, "a", () => table.receive("a", new Uint8Array(0))), { foreignPackets: 1 });
  assert.equal(changes(table, "a", () => table.receive("a", new Uint8Array(100).fill(7))), {
    foreignPackets: 1,
  });
  const whole = packet(table.identity("b"), data(1, "x"));
  assert.equal(changes(table, "a", () => table.receive("a", whole.slice(0, -1))), { malformed: 1 });
  assert.equal([table.seat("a").values, table.wire], [[], []]);
});

test("H31: a packet of another group is counted, and its messages are not delivered", () => {
  const table = connected();
  const identity = table.identity("b", { groupKey: groupKey("other") });
  assert.equal(changes(table, "a", () => table.receive("a", packet(identity, data(1, "x")))), {
    foreignGroup: 1,
  });
  assert.equal(table.seat("a").told, ["warning foreign-group"]);
  assert.equal(table.seat("a").values, []);
});

test("H14: a packet of an earlier, a later or another group's view is counted, and not acted upon", () => {
  const table = connected();
  const { viewNumber } = table.seat("a").machine;
  for (
    const changed of [{ viewNumber: viewNumber - 1 }, { viewNumber: viewNumber + 1 }, { viewNumber: HUGE }, {
      lineage: 77,
    }]
  ) {
    const bytes = packet(table.identity("b", changed), data(1, "x"));
    const counted = changes(table, "a", () => table.receive("a", bytes));
    assert.is(counted.foreignView, 1, JSON.stringify(changed));
    assert.is(counted.messagesDelivered, undefined);
    table.wire = [];
  }
  assert.equal([table.seat("a").values, table.seat("a").machine.viewNumber], [[], viewNumber]);
});

test("H13, H19: packets of a wrong rank or life are counted, and not acted upon", () => {
  const table = connected();
  const ack = { kind: Kind.ack, a: 1, b: 1, body: numbers(100) };
  const parts = [data(1, "x"), ack, { kind: Kind.heartbeat, a: 5, body: new Uint8Array(28) }, {
    kind: Kind.prepare,
    a: 1025,
    b: 3,
  }];
  for (
    const changed of [{ incarnation: 9999 }, { incarnation: 1 }, { rank: 7 }, { rank: 0 }, {
      rank: 0,
      incarnation: 100,
    }]
  ) {
    for (const part of parts) {
      const counted = changes(
        table,
        "a",
        () => table.receive("a", packet(table.identity("b", changed), part)),
      );
      assert.equal(counted, { unknownSender: 1 }, JSON.stringify(changed));
    }
  }
  assert.equal([table.seat("a").values, table.seat("a").told, table.seat("a").machine.state.wedged], [
    [],
    [],
    false,
  ]);
});

test("H13: a relayed packet of an unknown origin, or of this member itself, is counted", () => {
  const table = connected(ALL);
  for (const changed of [{ rank: 9 }, { rank: 2, incarnation: 9999 }, { rank: 0, incarnation: 100 }]) {
    const identity = table.identity("b", { ...changed, relayRank: 1 });
    assert.equal(changes(table, "a", () => table.receive("a", packet(identity, data(1, "x")))), {
      unknownSender: 1,
    });
  }
  assert.equal(table.seat("a").values, []);
});

test("H60: an own packet that comes back is not delivered again", () => {
  const table = connected();
  table.seat("a").send("once");
  table.turn("a");
  const [{ bytes }] = table.wire;
  table.receive("a", bytes);
  table.receive("a", packet(table.identity("a", { relayRank: 1 }), data(1, "once")));
  assert.equal(table.seat("a").values, ["once"]);
});

test("H49: a message of an unknown kind is counted, and those around it count", () => {
  const table = connected();
  const bytes = packet(table.identity("b"), data(1, "x"), { kind: 99 }, data(2, "y"));
  assert.is(changes(table, "a", () => table.receive("a", bytes)).malformed, 1);
  assert.equal(table.seat("a").values, ["x", "y"]);
});

// ---- acknowledgements and requests that cannot be ----

test("H18: an acknowledgement of what was never sent is counted, and nothing is stable by it", () => {
  const table = connected();
  table.seat("a").send("x");
  table.turn("a");
  table.wire = [];
  for (const [received, delivered] of [[2, 2], [HUGE, HUGE], [HUGE, 1], [0, 1]]) {
    const part = { kind: Kind.ack, a: received, b: delivered, body: numbers(100) };
    const counted = changes(table, "a", () => table.receive("a", packet(table.identity("b"), part)));
    assert.equal(counted, { acksReceived: 1, implausible: 1 });
  }
  assert.is(table.seat("a").machine.state.own.stable, 0);
});

test("H18: a heartbeat that claims more than was sent is counted, and nothing is stable by it", () => {
  const table = connected();
  table.seat("a").send("x");
  table.turn("a");
  table.wire = [];
  const holdings = [{ rank: 0, received: 5, delivered: 5 }];
  assert.is(changes(table, "a", () => table.receive("a", heartbeat(table, 0, { holdings }))).implausible, 1);
  assert.is(table.seat("a").machine.state.own.stable, 0);
});

test("an acknowledgement for a former life is passed over, and a malformed one counted", () => {
  const table = connected();
  const ack = (body: Uint8Array) => packet(table.identity("b"), { kind: Kind.ack, a: HUGE, b: HUGE, body });
  assert.equal(changes(table, "a", () => table.receive("a", ack(numbers(99)))), {});
  assert.equal(changes(table, "a", () => table.receive("a", ack(new Uint8Array(7)))), { malformed: 1 });
});

test("H20: a request for 2^32 messages that were never sent is counted, and not answered", () => {
  const table = connected();
  table.seat("a").send("x");
  table.turn("a");
  table.wire = [];
  const nak = (body: Uint8Array, incarnation: number, rank: number, count = body.length / 16) =>
    packet(table.identity("b"), { kind: Kind.nak, a: incarnation, b: rank, count, body });
  const cases: readonly (readonly [bytes: Uint8Array, counter: string])[] = [
    [nak(numbers(2, 2 ** 32), 100, 0), "implausible"],
    [nak(numbers(2, HUGE), 100, 0), "implausible"],
    [nak(numbers(1, 2), 777, 1), "implausible"],
    [nak(numbers(1, 2), 100, 9), "malformed"],
    [nak(numbers(2, 1), 100, 0), "malformed"],
    [nak(numbers(1, 2 ** 53), 100, 0), "malformed"],
    [nak(numbers(1, 2), 100, 0, 2), "malformed"],
  ];
  for (const [bytes, counter] of cases) {
    const counted = changes(table, "a", () => bounded("answering", () => table.receive("a", bytes)));
    assert.is(counted[counter] !== undefined, true, counter);
    assert.equal(table.wire, []);
  }
});

test("H20: a request for 2^53 messages of a third member is answered with what there is, at once", () => {
  const table = connected(ALL);
  table.cut.add("c>b");
  table.seat("c").send("x");
  table.turn("c");
  table.carryAll();
  table.wire = [];
  const part = { kind: Kind.nak, a: 102, b: 2, count: 1, body: numbers(1, HUGE) };
  bounded("answering", () => table.receive("a", packet(table.identity("b"), part)));
  assert.ok(table.wire.length <= 8);
});

test("H20: an answer is 256 KiB at the most", () => {
  const table = connected(["a", "b"], { limits: { windowBytes: 16 * 2 ** 20 } });
  table.cut.add("a>b");
  for (let count = 0; count < 100; count++) assert.ok(table.seat("a").send(new Uint8Array(10_000)) > 0);
  table.turn("a");
  table.wire = [];
  const part = { kind: Kind.nak, a: 100, b: 0, count: 1, body: numbers(1, 100) };
  table.receive("a", packet(table.identity("b"), part));
  const bytes = table.wire.reduce((sum, carried) => sum + carried.bytes.length, 0);
  assert.ok(bytes > 200 * 1024 && bytes < 256 * 1024 + 20_000, String(bytes));
});

// ---- jumps (H17) and floods (H53) ----

test("H17: an announcement of 2^53 - 1 costs a window of requests, and the stream goes on", () => {
  const table = connected(["a", "b"], { limits: { windowMessages: 16, messageBytesMax: 1024 } });
  bounded("hearing", () => table.receive("a", heartbeat(table, HUGE)));
  const { stream } = table.seat("a").machine.state.view.peers[1];
  assert.is(stream.known, 17, "the window, and a fragment");
  const naks = changes(table, "a", () => table.run(1000)).naksSent;
  assert.ok(naks >= 1 && naks <= 20, String(naks));
  table.seat("b").send("still here");
  table.turn("b");
  table.run(200);
  assert.equal(table.seat("a").values, ["still here"]);
  assert.is(table.seat("b").machine.state.own.stable, 1);
});

test("H17: a heartbeat whose stable sequence passes its last one is malformed", () => {
  const table = connected();
  assert.equal(changes(table, "a", () => table.receive("a", heartbeat(table, 5, { stable: 6 }))), {
    malformed: 1,
  });
});

test("H17: a mark of 2^53 - 1 drops nothing that was not delivered", () => {
  const table = connected();
  table.seat("a").takes = false;
  table.receive("a", packet(table.identity("b"), data(1, "x"), { kind: Kind.mark, a: HUGE, b: HUGE }));
  assert.is(table.seat("a").machine.state.view.peers[1].stream.stable, 0);
  assert.is(
    changes(
      table,
      "a",
      () => table.receive("a", packet(table.identity("b"), { kind: Kind.mark, a: 1, b: 2 })),
    ).malformed,
    1,
  );
});

test("H17: a message beyond the window is dropped and counted", () => {
  const table = connected(["a", "b"], { limits: { windowMessages: 16, messageBytesMax: 1024 } });
  for (const sequence of [18, 2 ** 40, HUGE]) {
    const counted = changes(
      table,
      "a",
      () => table.receive("a", packet(table.identity("b"), data(sequence, "x", 1))),
    );
    assert.equal(counted, { messagesReceived: 1, packetsBeyondWindow: 1 });
  }
  assert.is(
    changes(table, "a", () => table.receive("a", packet(table.identity("b"), data(16, "x", 1)))).packetsAhead,
    1,
  );
});

test("H17: a Lamport time of 2^53 - 1 does not use up the clock, and its message keeps its place", () => {
  const table = connected();
  const bytes = packet(table.identity("b"), data(1, "bad", HUGE), data(2, "good", 7));
  assert.is(changes(table, "a", () => table.receive("a", bytes)).undecodable, 1);
  assert.is(table.seat("a").values.length, 2);
  assert.is(table.seat("a").values[1], "good");
  assert.ok(table.seat("a").machine.state.clock.time < 1000);
  assert.equal(table.seat("a").told, ["warning undecodable"]);
});

test("H37-H46: a value that cannot be decoded keeps its place in the stream", () => {
  const table = connected();
  const bad = { kind: Kind.data, flags: 0, a: 1, b: 1, body: new Uint8Array([0x9f]) };
  table.receive("a", packet(table.identity("b"), bad, data(2, "next")));
  assert.is(table.seat("a").values[1], "next");
  assert.is(table.seat("a").machine.state.view.peers[1].stream.delivered, 2);
});

test("a heartbeat that echoes what was never sent is counted, and gives no leadership", () => {
  const table = connected(ALL);
  const { watch } = table.seat("a").machine;
  for (const other of ["b", "c"]) table.cut.add(`${other}>a`);
  table.runUntil("a is no longer sure to lead", () => watch.sureUntil() <= table.now);
  const counted = changes(table, "a", () => table.receive("a", heartbeat(table, 0, { echo: HUGE })));
  assert.equal(counted, { implausible: 1 });
  assert.ok(watch.sureUntil() <= table.now);
});

test("a late or repeated heartbeat takes back nothing that a later one said", () => {
  const table = connected(ALL);
  const peer = table.seat("a").machine.state.view.peers[2];
  table.receive("a", heartbeat(table, 0, { beat: 500, suspects: [2] }));
  assert.equal([...peer.suspectedBy], [1]);
  table.receive("a", heartbeat(table, 0, { beat: 499, suspects: [] }));
  table.receive("a", heartbeat(table, 0, { beat: 500, suspects: [] }));
  assert.equal([...peer.suspectedBy], [1]);
});

test("one member that suspects everybody evicts nobody before confirmMs", () => {
  const table = connected(ALL);
  for (let beat = 1000; beat < 1050; beat++) {
    table.receive("a", heartbeat(table, 0, { beat, suspects: [0, 1, 2] }));
    table.run(50);
  }
  assert.ok(table.agree(ALL));
  assert.equal(table.seat("a").views, []);
});

// ---- random input ----

test("random and altered packets never throw, never stall, and cost no member a message", () => {
  const random = new Random(53);
  for (let seed = 0; seed < 10; seed++) {
    const table = connected(ALL);
    let sent = 0;
    for (let round = 0; round < 300; round++) {
      const name = random.pick(ALL);
      if (random.chance(0.3) && table.seat(name).send(`m${sent + 1}`) > 0) sent++;
      table.turn(name);
      for (const carried of table.wire.splice(0)) {
        table.carry(carried);
        const to = table.seat(carried.to);
        const bytes = garbled(carried.bytes, random);
        const { machine } = to;
        bounded("receiving", () => machine.receive(bytes.slice(), table.now));
        table.turn(carried.to);
      }
      table.now += 1;
    }
    table.run(20_000);
    for (const seat of table.seats.values()) {
      assert.is(new Set(seat.values.filter((value) => /^m\d+$/.test(String(value)))).size, sent, seat.name);
    }
  }
});

/** A packet that no checksum protects: cut, or altered in its first bytes, so that it can be told from a sound one. */
function garbled(bytes: Uint8Array, random: Random): Uint8Array {
  if (random.chance(0.3)) return bytes.slice(0, random.int(0, bytes.length - 1));
  const copy = bytes.slice();
  if (random.chance(0.3)) return copy.map(() => random.int(0, 255));
  copy[random.int(0, 3)] ^= 1 << random.int(0, 7);
  return copy;
}

test.run();

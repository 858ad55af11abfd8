/** Packets of a limited size: what can be split is, and a group grows no further than the rest allows. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Address, type Incarnation, type MemberName, NAME_BYTES_MAX } from "../../core/base/ids.ts";
import type { GroupConfig } from "../../core/group/config.ts";
import { helloPacketBytes, roomFor, viewPacketBytes } from "../../core/group/packet_room.ts";
import { encodeAnswer, encodeProposal, type Proposal } from "../../core/membership/proposal.ts";
import type { Member } from "../../core/membership/view.ts";
import { MESSAGE_HEADER_BYTES, PACKET_HEADER_BYTES } from "../../core/wire/limits.ts";
import { join } from "../../core/runtime/join.ts";
import { memory, MemoryNetwork } from "../../transports/memory/mod.ts";
import { connected, HUGE } from "./connected.ts";
import { address, type Carried, type Choices, describe, Table } from "./table.ts";

const test = suite("group/packet room");

const SMALL = 1024;

function members(count: number, addressBytes: number, nameBytes: number): Member[] {
  return Array.from({ length: count }, (_, index) => ({
    address: `memory:${index}`.padEnd(addressBytes, "x") as Address,
    name: `${index}`.padEnd(nameBytes, "x") as MemberName,
    incarnation: HUGE as Incarnation,
    windowMessages: 1_000_000,
    windowBytes: 2 ** 30,
  }));
}

/** Remembers the largest packet that is put out at a table. */
function measured(table: Table): { readonly most: () => number } {
  const { carry } = table;
  let most = 0;
  table.carry = (carried: Carried) => {
    most = Math.max(most, carried.bytes.length);
    carry.call(table, carried);
  };
  return { most: () => most };
}

test("what is said of a view has room in what is reckoned for it, with the largest numbers", () => {
  for (const count of [1, 2, 8, 300]) {
    for (const [addressBytes, nameBytes] of [[12, 3], [23, 24], [255, NAME_BYTES_MAX]]) {
      const all = members(count, addressBytes, nameBytes);
      const proposal: Proposal = {
        number: HUGE,
        lineage: HUGE,
        members: all,
        leader: count - 1,
        cut: all.map(() => HUGE),
        departed: all.map((_, rank) => ({ rank, reason: "restarted" })),
      };
      const accepted = { ballot: HUGE, proposal };
      const promise = encodeAnswer({ holds: all.map(() => HUGE), voterOnly: false, accepted });
      const longest = Math.max(promise.length, encodeProposal(proposal).length);
      const bytes = PACKET_HEADER_BYTES + MESSAGE_HEADER_BYTES + longest;
      const reckoned = viewPacketBytes(all);
      assert.ok(bytes <= reckoned, `${bytes} bytes for ${reckoned}`);
      assert.ok(reckoned <= bytes + 64 + 10 * count, `${reckoned} reckoned for ${bytes} bytes`);
    }
  }
});

test("there is room for as many newcomers as fit, and for who takes the place of a former life", () => {
  const [first, second, third, fourth] = members(4, 20, 8);
  const room = viewPacketBytes([first, second, third]);
  assert.equal(roomFor([first], [second, third, fourth], room), [second, third]);
  assert.equal(roomFor([first], [second, third, fourth], room - 1), [second]);
  assert.equal(roomFor([first], [first], 0), [first]);
});

test("no packet is larger than the transport takes while members send and change their view", () => {
  const names = ["a", "b", "c", "d", "e", "f", "g"];
  for (const engine of ["sequencer", "lamport"] as const) {
    const choices: Choices = { order: "total", engine, packetBytesMax: SMALL };
    const table = new Table(names, choices);
    const { most } = measured(table);
    table.found();
    for (let round = 0; round < 60; round++) {
      // Heartbeats, and what is said of the order, come behind messages that leave them more or less room.
      table.run(20);
      table.now += 250;
      for (const name of names) {
        assert.ok(table.seat(name).send("x".repeat(860 + 2 * round)) > 0);
        table.tick(name);
      }
    }
    table.seat("c").dead = true;
    table.runUntil("c is out", () => table.agree(names.filter((name) => name !== "c")));
    table.restart("c");
    table.runUntil("c is back", () => table.agree(names));
    assert.ok(most() <= SMALL, `${most()} bytes`);
  }
});

test("one for whom packets have no room is refused, and those who are there go on", () => {
  const names = Array.from({ length: 14 }, (_, index) => `m${index}`);
  const table = new Table(names, { packetBytesMax: SMALL, expect: 1 });
  const { most } = measured(table);
  for (const name of names) table.tick(name);
  table.run(20_000);
  const { view } = table.seat("m0").machine.state;
  const room = viewPacketBytes(view.view.members);
  assert.ok(room <= SMALL && room + 80 > SMALL, `${room} bytes for ${view.size} members`);
  const outside = names.filter((name) => table.seat(name).members.length === 0);
  assert.is(outside.length, names.length - view.size);
  for (const name of outside) {
    assert.ok(
      table.seat(name).events.some((event) =>
        event.type === "warning" && event.code === "refused" && /have no room for it/.test(event.text)
      ),
      name,
    );
  }
  assert.ok(most() <= SMALL, `${most()} bytes`);
});

test("join refuses a transport whose packets are too small for those who are expected", async () => {
  const peers = Array.from({ length: 20 }, (_, index) => `memory:peer${index}`);
  const error = await join({
    group: "g",
    name: "P1",
    peers,
    transport: memory("P1", new MemoryNetwork({ packetBytesMax: SMALL })),
  }).then(() => "joined", String);
  assert.match(error, /Cannot join: packets of 1024 bytes are too small for 21 members/);
});

test("what is reckoned for a greeting is what it takes", () => {
  const table = connected(["a", "b"]);
  const { config } = table.seat("a").machine.state;
  const { most } = measured(table);
  table.seat("a").machine.admission.ask(table.now, true);
  table.turn("a");
  const hello = table.wire.find(({ bytes }) => describe(bytes) === "HELLO");
  const reckoned = helloPacketBytes(config as GroupConfig, [address("a"), address("b")]);
  assert.ok(hello !== undefined && hello.bytes.length <= reckoned && most() === 0);
  assert.ok(reckoned <= hello.bytes.length + 100);
});

test.run();

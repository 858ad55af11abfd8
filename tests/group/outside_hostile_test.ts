/** Forged and malformed packets from outside of any view - greetings, transfers, refusals: nothing changes by them. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Incarnation, MemberName } from "../../core/base/ids.ts";
import type { Hello } from "../../core/group/greeting.ts";
import { GroupMachine } from "../../core/group/machine.ts";
import { memberMaps } from "../../core/membership/proposal.ts";
import { encodeControl } from "../../core/wire/control.ts";
import { Kind } from "../../core/wire/message.ts";
import { bounded } from "../core/wire/bounded.ts";
import { ALL, changes, connected, greeting, helloOf, HUGE, outside } from "./connected.ts";
import { harmless } from "./harmless.ts";
import { address, data, packet, Table } from "./table.ts";

const test = suite("group/outside/hostile");

// ---- what is said outside of any view ----

test("H13: an OUT of a stranger, of an earlier view, for another life or another group changes nothing", () => {
  const table = connected(ALL);
  const { lineage, number } = table.seat("a").machine.state.view.view;
  const out = (fields: object, a = number + 1): Uint8Array =>
    outside(table, Kind.out, encodeControl({ from: address("b"), incarnation: 100, lineage, ...fields }), {
      a,
    });
  assert.is(harmless(table, out({ from: address("z") }), "of a stranger").implausible, 1);
  for (const fields of [{ incarnation: 99 }, { incarnation: 101 }, { lineage: 77 }]) {
    harmless(table, out(fields), JSON.stringify(fields));
  }
  for (const a of [0, 1, number]) harmless(table, out({}, a), `of view ${a}`);
  for (const fields of [{ from: 5 }, { incarnation: -1 }, { lineage: "x" }, { from: undefined }]) {
    assert.equal(harmless(table, out(fields), JSON.stringify(fields)), { malformed: 1 });
  }
});

test("H13: a WELCOME changes nothing for a member, and is counted by a process that did not greet its sender", () => {
  const welcome = (table: Table, from: string, incarnation: number): Uint8Array => {
    const members = [["memory:z", "z", 7, 16, 65_536], ["memory:b", "b", 9, 16, 65_536]];
    const map = {
      from: address(from),
      incarnation,
      blocked: false,
      number: 99,
      lineage: 77,
      members,
      leader: 0,
    };
    return outside(table, Kind.welcome, encodeControl(map), { a: 99 });
  };
  const table = connected(ALL);
  harmless(table, welcome(table, "b", 100), "for a member");
  const joining = new Table(ALL);
  joining.tick("a");
  assert.is(harmless(joining, welcome(joining, "z", 100), "of a stranger").implausible, 1);
  assert.is(joining.seat("a").machine.taking.known, undefined);
  harmless(joining, welcome(joining, "b", 99), "for another life");
  assert.is(joining.seat("a").machine.taking.known, undefined);
});

test("H13: a malformed WELCOME, REFUSE, HELD, PULL or HELLO is counted", () => {
  for (const table of [connected(ALL), new Table(ALL)]) {
    table.tick("a");
    table.wire = [];
    const sound = memberMaps(table.seat("a").machine.state.roster?.view.members ?? []);
    const bad: readonly (readonly [kind: number, map: object])[] = [
      [Kind.welcome, {}],
      [Kind.welcome, {
        from: address("b"),
        incarnation: 100,
        number: 0,
        lineage: 1,
        members: sound,
        leader: 0,
      }],
      [Kind.welcome, {
        from: address("b"),
        incarnation: 100,
        number: 9,
        lineage: 0,
        members: sound,
        leader: 0,
      }],
      [Kind.welcome, { from: address("b"), incarnation: 100, number: 9, lineage: 1, members: [], leader: 0 }],
      [Kind.welcome, {
        from: address("z"),
        incarnation: 100,
        number: 9,
        lineage: 1,
        members: sound,
        leader: 0,
      }],
      [Kind.refuse, { from: address("b") }],
      [Kind.refuse, { from: address("b"), reason: "x".repeat(4097), incarnation: 100 }],
      [Kind.held, {}],
      [Kind.held, { from: "a b" }],
      [Kind.pull, { from: address("b"), transfer: 0 }],
      [Kind.pull, { from: address("b"), transfer: -1, offset: 0, bytes: 1_000_000 }],
      [Kind.pull, { from: address("b"), transfer: 0, offset: 2 ** 53 }],
      [Kind.pull, { from: address("b"), transfer: 0, offset: 0, bytes: 1, runs: [1] }],
      [Kind.pull, { from: address("b"), transfer: 0, offset: 0, bytes: 1, runs: [1, -1] }],
      [Kind.pull, { from: address("b"), transfer: 0, offset: 0, bytes: 1, runs: new Array(130).fill(1) }],
      [Kind.hello, {}],
    ];
    for (const [kind, map] of bad) {
      const counted = harmless(table, outside(table, kind, encodeControl(map)), `kind ${kind}`);
      assert.equal(counted, { malformed: 1 }, `kind ${kind} ${JSON.stringify(map)}`);
    }
    for (const kind of [Kind.prepare, Kind.accept, Kind.ack, Kind.heartbeat, Kind.cut, 99]) {
      assert.equal(harmless(table, outside(table, kind, new Uint8Array(0)), `kind ${kind}`), {
        malformed: 1,
      });
    }
    const identity = table.identity("b", { viewNumber: 0, lineage: 0 });
    assert.equal(harmless(table, packet(identity, data(1, "x")), "data outside of a view"), { malformed: 1 });
  }
});

test("H13: HELD and PULL of somebody who never greeted are counted, and get no answer", () => {
  const table = connected(ALL);
  const map = { from: address("z"), transfer: 0, offset: 0, bytes: 1_000_000 };
  for (const kind of [Kind.held, Kind.pull]) {
    assert.equal(harmless(table, outside(table, kind, encodeControl(map)), `kind ${kind}`), {
      unknownSender: 1,
    });
  }
});

test("H54: a PULL of a part that there is not gets no more than the end", () => {
  const table = connected(["a", "b"]);
  table.receive("a", greeting(table, { address: address("z"), name: "z" as MemberName }));
  for (const offset of [0, 1000, HUGE]) {
    table.wire = [];
    const map = { from: address("z"), transfer: 0, offset };
    bounded("answering", () => table.receive("a", outside(table, Kind.pull, encodeControl(map))));
    assert.ok(table.wire.length <= 2);
  }
});

test("H54: nine joiners at a time get eight transfers, and the ninth gets none", () => {
  const table = connected(["a", "b"]);
  const { destinations } = table.seat("a").machine.state;
  assert.equal(destinations, []);
  for (let index = 1; index <= 9; index++) {
    const from = address(`z${index}`);
    table.receive("a", greeting(table, { address: from, name: `z${index}` as MemberName }, 5000 + index));
    const counted = changes(table, "a", () => {
      const body = encodeControl({ from, transfer: 0, offset: 0, bytes: 1_000_000 });
      table.receive("a", outside(table, Kind.pull, body, { incarnation: 5000 + index }));
      table.receive("a", outside(table, Kind.pull, body, { incarnation: 5000 + index }));
    });
    assert.is((counted.transferBytes ?? 0) > 0, index <= 8, `joiner ${index}`);
  }
});

test("H53: 2,000 strangers that greet cost a bounded number of connections", () => {
  const table = connected(["a", "b"]);
  const { state } = table.seat("a").machine;
  let wanted = 0;
  for (let index = 0; index < 2000; index++) {
    const bytes = greeting(
      table,
      { address: address(`z${index}`), name: `z${index}` as MemberName },
      5000 + index,
    );
    state.reaches = [];
    state.packets = [];
    state.destinations = [];
    table.seat("a").machine.receive(bytes, table.now);
    wanted += state.reaches.filter((reach) => reach.wanted).length;
  }
  assert.ok(wanted <= 1024, `${wanted} connections`);
  state.packets = [];
  state.destinations = [];
  state.reaches = [];
});

test("CHUNKs change nothing for a member, nor for a joiner that asked another giver, and malformed ones are counted", () => {
  const table = connected(["a", "b"]);
  const chunk = (body: Uint8Array, a = 1, flags = 1): Uint8Array =>
    outside(table, Kind.chunk, body, { a, flags });
  for (const body of [new Uint8Array(0), new Uint8Array(48), new Uint8Array(1000).fill(255)]) {
    harmless(table, chunk(body), "CHUNK");
    harmless(table, chunk(body, 1, 15), "CHUNK");
  }
  const joining = new Table(ALL);
  joining.tick("a");
  joining.wire = [];
  harmless(joining, chunk(new Uint8Array(48)), "CHUNK nobody asked for");
});

// ---- greetings ----

test("a greeting is refused, and the reason goes back, when the two are not configured alike", () => {
  const cases: readonly (readonly [what: string, fields: Partial<Hello>, reason: RegExp])[] = [
    ["another group", { group: "other" }, /group is other, not table/],
    ["another order", { order: "causal" }, /order is causal, not fifo/],
    ["another election", { election: "ring" }, /election is ring, not senior/],
    ["larger messages", { messageBytesMax: 2 ** 27 }, /more than 67108864/],
    ["a name in use", { name: "a" as MemberName, address: address("z") }, /name, a, is in use at memory:a/],
    [
      "the name of a third member",
      { name: "c" as MemberName, address: address("z") },
      /name, c, is in use at memory:c/,
    ],
    ["an earlier life", { incarnation: 50 }, /earlier life \(50\)/],
  ];
  for (const [what, fields, reason] of cases) {
    const table = connected(ALL);
    const bytes = greeting(table, fields, fields.incarnation ?? 5000);
    const counted = changes(table, "a", () => table.receive("a", bytes));
    assert.is(counted.refused, 1, what);
    if (what === "an earlier life") continue; // just late: nothing is wrong with how its member is configured
    const [event] = table.seat("a").events;
    assert.ok(event.type === "warning" && event.code === "refused-peer" && reason.test(event.text), what);
    assert.ok(table.agree(ALL));
  }
});

test("H29: an earlier life is refused, told of the later one, and stops", () => {
  const table = connected();
  const early = table.config("b", 50);
  const counted = changes(table, "a", () => table.receive("a", greeting(table, {}, 50)));
  assert.is(counted.refused, 1);
  const refusal = table.wire.find(({ to }) => to === "b");
  const machine = new GroupMachine(early);
  machine.receive(refusal?.bytes ?? new Uint8Array(0), table.now);
  assert.match(machine.state.fatal, /knows a later life of b/);
});

test("H28: a refusal that was meant for another life changes nothing", () => {
  const table = connected();
  const body = encodeControl({ from: address("a"), reason: "old", incarnation: 50 });
  table.receive("b", outside(table, Kind.refuse, body, { a: HUGE }));
  assert.equal([table.seat("b").machine.state.fatal, table.seat("b").told], ["", []]);
});

test("a greeting from the own address, or one whose lives disagree, is counted", () => {
  const table = connected();
  assert.equal(harmless(table, greeting(table, { address: address("a") }), "own address"), {
    implausible: 1,
  });
  assert.equal(harmless(table, greeting(table, { incarnation: 4999 }), "another life"), { malformed: 1 });
});

test("a greeting is counted when any field is missing or has another type", () => {
  const table = connected();
  const sound = helloOf(table, "b", { incarnation: 5000 as Incarnation });
  for (const field of Object.keys(sound)) {
    for (const value of [undefined, null, -1, 1.5, [5], {}, 2 ** 53]) {
      const body = encodeControl({ ...sound, [field]: value });
      const counted = harmless(table, outside(table, Kind.hello, body, { a: 5000 }), `${field} ${value}`);
      assert.equal(counted, { malformed: 1 }, `${field}: ${String(value)}`);
    }
  }
});

test("warnings are told the 1st, 10th and 100th time, so that a flood cannot fill the queue", () => {
  const table = connected();
  for (let round = 0; round < 500; round++) {
    table.receive("a", greeting(table, { address: address("z"), name: "a" as MemberName }));
  }
  const counts = table.seat("a").events.map((event) => event.type === "warning" ? event.count : 0);
  assert.equal(counts, [1, 10, 100]);
});

test.run();

/** Machines that know each other, and packets of a member made by hand. */
import * as assert from "uvu/assert";
import { encodeHello, type Hello, HOLDING_BYTES, writeHolding } from "../../core/wire/control.ts";
import { Kind, writeU64 } from "../../core/wire/message.ts";
import { type Choices, groupKey, packet, Table } from "./table.ts";

/** The largest number that travels. */
export const HUGE: number = Number.MAX_SAFE_INTEGER;
export const ALL: readonly string[] = ["a", "b", "c"];

/** Two or three members that know each other, and whose heartbeats are out of the way. */
export function connected(names: readonly string[] = ["a", "b"], choices: Choices = {}): Table {
  const table = new Table(names, choices);
  table.connect();
  for (const seat of table.seats.values()) {
    assert.equal(
      [...seat.machine.state.roster.others()].filter((peer) => !peer.up || !peer.connected).length,
      0,
    );
    seat.events = [];
  }
  return table;
}

/** The counters that have changed since, by name. */
export function changes(table: Table, name: string, action: () => void): Record<string, number> {
  const { counters } = table.seat(name).machine.state;
  const before: Record<string, number> = { ...counters };
  action();
  const changed: Record<string, number> = {};
  for (const [key, value] of Object.entries(counters)) {
    if (value !== before[key] && !["packetsReceived", "packetsSent", "bytesSent"].includes(key)) {
      changed[key] = value - before[key];
    }
  }
  return changed;
}

export function helloOf(table: Table, name: string, fields: Partial<Hello> = {}): Hello {
  const { config } = table.seat(name).machine.state;
  return {
    group: config.group,
    name: config.name,
    address: config.address,
    members: config.members,
    names: config.members.map(() => ""),
    order: config.order,
    windowMessages: 100,
    windowBytes: 100_000,
    messageBytesMax: 1000,
    request: true,
    knows: 0,
    first: 0,
    ...fields,
  };
}

/** A greeting of `b`, made by hand. */
export function greeting(table: Table, fields: Partial<Hello>, incarnation = 5000, rank = 1): Uint8Array {
  const identity = table.identity("b", { incarnation, rank, groupKey: groupKey(fields.group ?? "table") });
  return packet(identity, {
    kind: Kind.hello,
    a: incarnation,
    body: encodeHello(helloOf(table, "b", fields)),
  });
}

/** A heartbeat of `b`, made by hand. */
export function heartbeat(
  table: Table,
  last: number,
  stable: number,
  holdings: readonly Parameters<typeof writeHolding>[2][] = [],
): Uint8Array {
  const body = new Uint8Array(8 + holdings.length * HOLDING_BYTES);
  const view = new DataView(body.buffer);
  writeU64(view, 0, stable);
  holdings.forEach((holding, index) => writeHolding(view, 8 + index * HOLDING_BYTES, holding));
  return packet(table.identity("b"), { kind: Kind.heartbeat, count: holdings.length, a: last, b: 1, body });
}

/** Machines that are members of one view, and packets of a member made by hand. */
import type { Hello } from "../../core/group/greeting.ts";
import { encodeControl } from "../../core/wire/control.ts";
import { type Heartbeat, heartbeatBytes, writeHeartbeat } from "../../core/wire/heartbeat.ts";
import { Kind } from "../../core/wire/message.ts";
import { type Choices, groupKey, packet, Table } from "./table.ts";

/** The largest number that travels. */
export const HUGE: number = Number.MAX_SAFE_INTEGER;
export const ALL: readonly string[] = ["a", "b", "c"];
/** Counters that change with every packet, and say nothing. */
const ALWAYS: readonly string[] = ["packetsReceived", "packetsSent", "bytesSent"];

/** Two or three members of one view, by rank in the order of their names, that have told everything there was to tell. */
export function connected(names: readonly string[] = ["a", "b"], choices: Choices = {}): Table {
  const table = new Table(names, choices);
  table.found();
  table.run(300);
  for (const seat of table.seats.values()) {
    seat.events = [];
    seat.story = [];
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
    if (value !== before[key] && !ALWAYS.includes(key)) changed[key] = value - before[key];
  }
  return changed;
}

/** What a member would say in a greeting. */
export function helloOf(table: Table, name: string, fields: Partial<Hello> = {}): Hello {
  const { config, incarnation } = table.seat(name).machine.state;
  return {
    group: config.group,
    name: config.name,
    address: config.address,
    incarnation,
    order: config.order,
    election: config.election,
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
    ...fields,
  };
}

/** A greeting of `b`, made by hand. */
export function greeting(table: Table, fields: Partial<Hello>, incarnation = 5000): Uint8Array {
  const hello = helloOf(table, "b", { incarnation, ...fields });
  return outside(table, Kind.hello, encodeControl(hello), {
    a: incarnation,
    incarnation,
    group: hello.group,
  });
}

/** What of a packet from outside of any view a test may choose. */
export interface Outside {
  readonly a?: number;
  readonly b?: number;
  readonly flags?: number;
  readonly incarnation?: number;
  readonly group?: string;
}

/** A packet from outside of any view, made by hand. */
export function outside(
  table: Table,
  kind: number,
  body: Uint8Array,
  { a = 0, b = 0, flags = 0, incarnation = 5000, group = "table" }: Outside = {},
): Uint8Array {
  const identity = table.identity("b", {
    incarnation,
    rank: 0,
    viewNumber: 0,
    lineage: 0,
    groupKey: groupKey(group),
  });
  return packet(identity, { kind, a, b, flags, body });
}

/** A heartbeat of `b` to the members of its view, made by hand. */
export function heartbeat(
  table: Table,
  last: number,
  fields: Partial<Heartbeat> = {},
  flags = 0,
): Uint8Array {
  const whole = { stable: 0, beat: 1000, echo: 0, suspects: [], slow: [], holdings: [], ...fields };
  const body = new Uint8Array(heartbeatBytes(whole));
  writeHeartbeat(new DataView(body.buffer), 0, whole);
  const count = whole.holdings.length;
  return packet(table.identity("b"), { kind: Kind.heartbeat, flags, count, a: last, b: 1, body });
}

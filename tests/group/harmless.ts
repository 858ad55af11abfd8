/** A packet that nobody honest sends must change nothing: what is compared before and after. */
import * as assert from "uvu/assert";
import { bounded } from "../core/wire/bounded.ts";
import { changes } from "./connected.ts";
import type { Table } from "./table.ts";

/** What must be the same after a packet that nobody honest sends. */
export function standing(table: Table, name: string): unknown {
  const { machine, values, members, told } = table.seat(name);
  const { phase, wedged, incarnation, own } = machine.state;
  const change = machine.membership.change?.state;
  return {
    members,
    number: machine.viewNumber,
    phase,
    wedged,
    incarnation,
    values: [...values],
    told: told.filter((type) => !type.startsWith("warning")),
    sent: own.last,
    promised: change?.promised,
    accepted: change?.accepted,
    decided: change?.decided,
  };
}

/** A forged packet changes nothing at `a`; which counters rise by it. */
export function harmless(table: Table, bytes: Uint8Array, what: string, name = "a"): Record<string, number> {
  const before = standing(table, name);
  const counted = changes(table, name, () => bounded(what, () => table.receive(name, bytes)));
  assert.equal(standing(table, name), before, what);
  table.wire = [];
  return counted;
}

/** Judges a run by what every process wrote down: its journal and its trace. */
import { readFileSync } from "node:fs";
import type { TraceProperty } from "@tutti/tutti/testing";
import { numberOf } from "./message.ts";

/**
 * What is asked of the traces: of the messages over all lives of the processes, and of the library's own lines. Stability would
 * need the order of events between processes.
 */
export const PROMISES: readonly TraceProperty[] = [
  "integrity",
  "validity",
  "agreement",
  "fifo",
  "causal",
  "views",
  "quorum",
  "view-synchrony",
  "one-leader-per-epoch",
];

/** What became of the lines at one process. */
export interface Account {
  readonly name: string;
  readonly expected: number;
  readonly delivered: number;
  readonly missed: number;
  readonly doubled: number;
  /** Lines delivered after a later one of the same sender, for each sender. */
  readonly orderViolations: Readonly<Record<string, number>>;
  /** Lines that nobody sent. */
  readonly strange: number;
}

/**
 * Compares what a process has delivered, over all its lives, with what was typed.
 *
 * @param typed The lines of each sender, in order.
 */
export function account(
  name: string,
  journalPath: string,
  typed: ReadonlyMap<string, readonly string[]>,
): Account {
  const seen = new Map<string, number>();
  const latest = new Map<string, number>();
  const orderViolations: Record<string, number> = {};
  for (const sender of typed.keys()) orderViolations[sender] = 0;
  let delivered = 0;
  let doubled = 0;
  let strange = 0;
  for (const row of readFileSync(journalPath, "utf8").split("\n")) {
    if (row === "") continue;
    const line = JSON.parse(row);
    if (line.e !== "deliver") continue;
    delivered++;
    const number = numberOf(line.from, line.id);
    if (typed.get(line.from)?.[number - 1] !== line.content) {
      strange++;
      continue;
    }
    if (seen.has(line.id)) doubled++;
    seen.set(line.id, number);
    if (number < (latest.get(line.from) ?? 0)) orderViolations[line.from]++;
    latest.set(line.from, number);
  }
  const expected = [...typed.values()].reduce((sum, lines) => sum + lines.length, 0);
  return { name, expected, delivered, missed: expected - seen.size, doubled, orderViolations, strange };
}

/** Whether every line came exactly once and in its sender's order. */
export function isRight({ missed, doubled, orderViolations, strange }: Account): boolean {
  return missed + doubled + strange === 0 && Object.values(orderViolations).every((count) => count === 0);
}

/** A table for people. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const lines = [header, ...rows].map((row) => row.map(String));
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines.map((line) =>
    line.map((cell, column) => column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])).join(
      "  ",
    )
  ).map((line) => `  ${line}`).join("\n");
}

/** The accounts as a table. */
export function formatAccounts(accounts: readonly Account[]): string {
  const senders = Object.keys(accounts[0].orderViolations);
  return formatTable(
    [
      "process",
      "lines expected",
      "delivered",
      "missed",
      "doubled",
      ...senders.map((sender) => `${sender} out of order`),
    ],
    accounts.map((
      { name, expected, delivered, missed, doubled, orderViolations },
    ) => [name, expected, delivered, missed, doubled, ...senders.map((sender) => orderViolations[sender])]),
  );
}

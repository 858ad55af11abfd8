/** The results, for people and for programs. */
import type { Runtime } from "./child_process.ts";
import type { Row } from "./bench_options.ts";
import { MEMBERS, type Round } from "./rounds.ts";

/** A measured row: the medians of its rounds. */
export interface Result {
  readonly row: Row;
  readonly round: Round;
  /** The medians of raw zeromq.js at the same payload, in the same run. */
  readonly raw: Round;
}

/** One line of JSON. */
export function jsonLine({ row, round, raw }: Result, runtime: Runtime): string {
  return JSON.stringify({
    name: row.name,
    runtime,
    members: MEMBERS,
    payloadBytes: row.payloadBytes,
    order: row.order,
    delivery: row.kind === "raw" ? null : "reliable",
    messagesPerSecond: Math.round(round.messagesPerSecond),
    ratioToRaw: digits(round.messagesPerSecond / raw.messagesPerSecond, 3),
    cpuSecondsPerMillion: digits(round.cpuSecondsPerMillion, 3),
    p50Us: digits(round.p50Us, 1),
    p99Us: digits(round.p99Us, 1),
    rssMiB: digits(round.rssMiB, 1),
  });
}

const HEADINGS = [
  "name",
  "messages/s",
  "of raw",
  "CPU s/M",
  "x raw",
  "p50 us",
  "x raw",
  "p99 us",
  "x raw",
  "RSS MiB",
];

/** The table. */
export function table(results: readonly Result[]): string {
  const lines = [HEADINGS, ...results.map(cells)];
  const widths = HEADINGS.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines.map((line) =>
    line.map((cell, column) => column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])).join(
      "  ",
    )
  ).join("\n");
}

function cells({ row, round, raw }: Result): string[] {
  return [
    row.name,
    Math.round(round.messagesPerSecond).toLocaleString("en"),
    ratio(round.messagesPerSecond, raw.messagesPerSecond),
    round.cpuSecondsPerMillion.toFixed(2),
    ratio(round.cpuSecondsPerMillion, raw.cpuSecondsPerMillion),
    round.p50Us.toFixed(0),
    ratio(round.p50Us, raw.p50Us),
    round.p99Us.toFixed(0),
    ratio(round.p99Us, raw.p99Us),
    round.rssMiB.toFixed(0),
  ];
}

function ratio(value: number, yardstick: number): string {
  return (value / yardstick).toFixed(2);
}

function digits(value: number, count: number): number {
  return Number(value.toFixed(count));
}

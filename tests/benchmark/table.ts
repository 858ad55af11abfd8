/** The results, for people and for programs. */
import type { Runtime } from "./child_process.ts";
import { DETECTION_MS, type Recovery } from "./recovery.ts";
import type { Round } from "./rounds.ts";
import type { Row } from "./rows.ts";

/** A measured row: the medians of its rounds. */
export interface Result {
  readonly row: Row;
  readonly round: Round;
  /** The medians of raw zeromq.js with as many processes at the same payload, in the same run. */
  readonly raw: Round;
}

/** A measured row about recovery. */
export interface RecoveryResult {
  readonly row: Row;
  /** The median of its kills; what was acknowledged, lost and wrong is that of all. */
  readonly overall: Recovery;
  /** The slowest, in milliseconds. */
  readonly slowestMs: number;
  readonly kills: number;
}

/** One line of JSON. */
export function jsonLine({ row, round, raw }: Result, runtime: Runtime): string {
  return JSON.stringify({
    ...subject(row, runtime),
    messagesPerSecond: Math.round(round.messagesPerSecond),
    ratioToRaw: digits(round.messagesPerSecond / raw.messagesPerSecond, 3),
    cpuSecondsPerMillion: digits(round.cpuSecondsPerMillion, 3),
    p50Us: digits(round.p50Us, 1),
    p99Us: digits(round.p99Us, 1),
    p50RatioToRaw: digits(round.p50Us / raw.p50Us, 2),
    lightP50Us: digits(round.lightP50Us, 1),
    lightP99Us: digits(round.lightP99Us, 1),
    lightP50RatioToRaw: digits(round.lightP50Us / raw.lightP50Us, 2),
    receiptP50Us: digits(round.receiptP50Us, 1),
    receiptP99Us: digits(round.receiptP99Us, 1),
    rssMiB: digits(round.rssMiB, 1),
  });
}

/** One line of JSON about recovery. */
export function recoveryJsonLine(
  { row, overall, slowestMs, kills }: RecoveryResult,
  runtime: Runtime,
): string {
  return JSON.stringify({
    ...subject(row, runtime),
    messagesPerSecond: Math.round(overall.messagesPerSecond),
    kills,
    detectionMs: DETECTION_MS,
    recoveryMs: overall.recoveryMs,
    recoveryMsMax: slowestMs,
    ratioToDetection: digits(overall.recoveryMs / DETECTION_MS, 2),
    ratioToDetectionMax: digits(slowestMs / DETECTION_MS, 2),
    acknowledged: overall.acknowledged,
    lost: overall.lost,
    faults: overall.faults,
  });
}

function subject(
  { name, promised, members, payloadBytes }: Row,
  runtime: Runtime,
): Readonly<Record<string, unknown>> {
  const delivery = promised === null ? null : promised.level ?? "reliable";
  const { order = null, engine = null } = promised ?? {};
  return { name, runtime, members, payloadBytes, order, engine, delivery };
}

/** The table. */
export function table(results: readonly Result[]): string {
  const headings =
    "name|messages/s|of raw|CPU s/M|x raw|light p50 us|x raw|p50 us|x raw|p99 us|x raw|receipt p50|p99|RSS MiB";
  return aligned([headings.split("|"), ...results.map(cells)]);
}

/** The table about recovery. */
export function recoveryTable(results: readonly RecoveryResult[]): string {
  const headings =
    "name|kills|messages/s|recovery ms|x detection|slowest ms|x detection|receipts|lost|faults";
  return aligned([headings.split("|"), ...results.map(recoveryCells)]);
}

function aligned(lines: readonly (readonly string[])[]): string {
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
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
    round.lightP50Us.toFixed(0),
    ratio(round.lightP50Us, raw.lightP50Us),
    round.p50Us.toFixed(0),
    ratio(round.p50Us, raw.p50Us),
    round.p99Us.toFixed(0),
    ratio(round.p99Us, raw.p99Us),
    Number.isNaN(round.receiptP50Us) ? "" : round.receiptP50Us.toFixed(0),
    Number.isNaN(round.receiptP99Us) ? "" : round.receiptP99Us.toFixed(0),
    round.rssMiB.toFixed(0),
  ];
}

function recoveryCells({ row, overall, slowestMs, kills }: RecoveryResult): string[] {
  return [
    row.name,
    String(kills),
    Math.round(overall.messagesPerSecond).toLocaleString("en"),
    overall.recoveryMs.toFixed(0),
    ratio(overall.recoveryMs, DETECTION_MS),
    slowestMs.toFixed(0),
    ratio(slowestMs, DETECTION_MS),
    overall.acknowledged.toLocaleString("en"),
    String(overall.lost),
    String(overall.faults),
  ];
}

function ratio(value: number, yardstick: number): string {
  return (value / yardstick).toFixed(2);
}

/** `NaN`, for what was not measured, becomes `null` in JSON. */
function digits(value: number, count: number): number {
  return Number(value.toFixed(count));
}

/**
 * `deno task bench`: how fast a group is, beside raw zeromq.js on the same machine in the same run; and how soon it goes on when its
 * leader is killed.
 *
 * Raw and group rounds alternate (raw, groups, raw, groups, raw, groups, raw) and the medians are compared, so that a machine that
 * slows down meanwhile slows all. All members send flat out; a message counts when the slowest member's application has it, own
 * messages included. See docs/performance.md.
 */
import process from "node:process";
import { type BenchOptions, HELP, readBenchOptions, UsageError } from "./bench_options.ts";
import { commandFor } from "./child_process.ts";
import { DETECTION_MS, playRecovery, type Recovery } from "./recovery.ts";
import { playRound, type Round } from "./rounds.ts";
import { rawFor, type Row, ROWS } from "./rows.ts";
import {
  jsonLine,
  recoveryJsonLine,
  type RecoveryResult,
  recoveryTable,
  type Result,
  table,
} from "./table.ts";
import { median } from "./usage.ts";

const NOTES = `
raw:    zeromq.js alone, one PUB, all others SUB, 64 KiB frames of messages that nobody copies or decodes
others: groups, all members sending flat out; own messages included. durable: with stores on disk
messages/s at the slowest member; CPU of all processes per million messages that every member got; one-way latency is half of a
ping-pong of a follower with the leader, one message outstanding: without a pause, and, as light, with one of 2 ms each time;
receipt: from sending to the receipt that tells the place; RSS is the peak of the largest process. Medians of alternating rounds.`;
const RECOVERY_NOTES = `
From before kill -9 of the leader until each survivor has delivered a message that was sent after it, as the median of the kills and
at the slowest; a silence of less than ${DETECTION_MS} ms (suspectMinMs, the default) is never taken for a crash. receipts: messages that
any member had a receipt for, at all kills; lost: those that a survivor has not delivered; faults: messages out of order, and
survivors that differ.`;

async function main(args: readonly string[]): Promise<number> {
  const options = readBenchOptions(args);
  if (options === "help") {
    console.log(HELP);
    return 0;
  }
  if (options === "list") {
    console.log(ROWS.map(({ name }) => name).join("\n"));
    return 0;
  }
  const { json, runtime, rows } = options;
  const command = commandFor(runtime);
  const results: Result[] = [];
  for (const [raw, compared] of Map.groupBy(rows.filter(({ kind }) => kind === "pace"), rawFor)) {
    const measured = await measure(raw, compared, command, options);
    results.push(...measured);
    if (json) { for (const result of measured) console.log(jsonLine(result, runtime)); }
  }
  const recoveries: RecoveryResult[] = [];
  for (const row of rows.filter(({ kind }) => kind === "recovery")) {
    recoveries.push(await measureRecovery(row, command, options));
    if (json) console.log(recoveryJsonLine(recoveries[recoveries.length - 1], runtime));
  }
  if (!json) console.log(`Processes on ${runtime}, ZeroMQ over tcp loopback`);
  if (!json && results.length > 0) console.log(`\n${table(results)}\n${NOTES}`);
  if (!json && recoveries.length > 0) console.log(`\n${recoveryTable(recoveries)}\n${RECOVERY_NOTES}`);
  return recoveries.some(({ overall }) => overall.lost > 0 || overall.faults > 0) ? 1 : 0;
}

/** Measures rows that are compared with the same raw one. */
async function measure(
  raw: Row,
  rows: readonly Row[],
  command: readonly string[],
  { seconds, rounds }: BenchOptions,
): Promise<Result[]> {
  const groups = rows.filter((row) => row !== raw);
  const played = new Map<Row, Round[]>([raw, ...groups].map((row) => [row, []]));
  const play = async (row: Row): Promise<void> => {
    played.get(row)?.push(await playRound(row, command, seconds));
  };
  await play(raw);
  for (let count = 0; count < rounds; count++) {
    for (const row of groups) await play(row);
    await play(raw);
  }
  const medians = new Map([...played].map(([row, all]) => [row, medianRound(all)]));
  return rows.map((row) => ({ row, round: medians.get(row) as Round, raw: medians.get(raw) as Round }));
}

function medianRound(rounds: readonly Round[]): Round {
  return {
    messagesPerSecond: median(rounds.map((round) => round.messagesPerSecond)),
    cpuSecondsPerMillion: median(rounds.map((round) => round.cpuSecondsPerMillion)),
    p50Us: median(rounds.map((round) => round.p50Us)),
    p99Us: median(rounds.map((round) => round.p99Us)),
    lightP50Us: median(rounds.map((round) => round.lightP50Us)),
    lightP99Us: median(rounds.map((round) => round.lightP99Us)),
    receiptP50Us: median(rounds.map((round) => round.receiptP50Us)),
    receiptP99Us: median(rounds.map((round) => round.receiptP99Us)),
    rssMiB: median(rounds.map((round) => round.rssMiB)),
  };
}

async function measureRecovery(
  row: Row,
  command: readonly string[],
  { seconds, rounds }: BenchOptions,
): Promise<RecoveryResult> {
  const kills: Recovery[] = [];
  for (let count = 0; count < rounds; count++) kills.push(await playRecovery(row, command, seconds));
  const times = kills.map(({ recoveryMs }) => recoveryMs);
  const sum = (of: (kill: Recovery) => number): number => kills.reduce((total, kill) => total + of(kill), 0);
  return {
    row,
    overall: {
      recoveryMs: median(times),
      messagesPerSecond: median(kills.map(({ messagesPerSecond }) => messagesPerSecond)),
      acknowledged: sum(({ acknowledged }) => acknowledged),
      lost: sum(({ lost }) => lost),
      faults: sum(({ faults }) => faults),
    },
    slowestMs: Math.max(...times),
    kills: kills.length,
  };
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  console.error(error instanceof UsageError ? error.message : `Cannot measure: ${error}`);
  process.exit(error instanceof UsageError ? 2 : 1);
}

/**
 * `deno task bench`: how fast a group is, beside raw zeromq.js on the same machine in the same run.
 *
 * Raw and group rounds alternate (raw, group, raw, group, raw, group, raw) and the medians are compared, so that a machine that
 * slows down meanwhile slows both. Three members, all sending flat out; a message counts when the slowest member's
 * application has it, own messages included. See docs/performance.md.
 */
import process from "node:process";
import { HELP, readBenchOptions, type Row, ROWS, UsageError } from "./bench_options.ts";
import { commandFor, type Runtime } from "./child_process.ts";
import { playRound, type Round } from "./rounds.ts";
import { jsonLine, type Result, table } from "./table.ts";
import { median } from "./usage.ts";

const GROUP_ROUNDS = 3;
const NOTES = `
raw:  zeromq.js alone, one PUB and two SUB processes, 64 KiB frames of messages that nobody copies or decodes
fifo: a group of three processes, all sending flat out; own messages included
messages/s at the slowest member; CPU of all processes per million messages that every member got; one-way latency is
half of a ping-pong with one message outstanding; RSS is the peak of the largest process. Medians of alternating rounds.`;

async function main(args: readonly string[]): Promise<number> {
  const options = readBenchOptions(args);
  if (options === "help") {
    console.log(HELP);
    return 0;
  }
  const { json, runtime, seconds, rows } = options;
  const command = commandFor(runtime);
  const results: Result[] = [];
  for (const { payloadBytes } of ROWS.filter(({ kind }) => kind === "raw")) {
    const wanted = rows.filter((row) => row.payloadBytes === payloadBytes);
    if (wanted.length === 0) continue;
    const measured = await measure(payloadBytes, wanted, command, seconds);
    results.push(...measured);
    if (json) { for (const result of measured) console.log(jsonLine(result, runtime)); }
  }
  if (!json) console.log(`${heading(runtime)}\n\n${table(results)}\n${NOTES}`);
  return 0;
}

function heading(runtime: Runtime): string {
  return `Three processes on ${runtime}, ZeroMQ over tcp loopback`;
}

async function measure(
  payloadBytes: number,
  rows: readonly Row[],
  command: readonly string[],
  seconds: number,
): Promise<Result[]> {
  const raw = ROWS.find((row) => row.kind === "raw" && row.payloadBytes === payloadBytes) as Row;
  const groups = rows.filter(({ kind }) => kind === "group");
  const rounds = new Map<Row, Round[]>([raw, ...groups].map((row) => [row, []]));
  const play = async (row: Row): Promise<void> => {
    rounds.get(row)?.push(await playRound(row, command, seconds));
  };
  await play(raw);
  for (let count = 0; count < GROUP_ROUNDS; count++) {
    for (const row of groups) await play(row);
    await play(raw);
  }
  const medians = new Map([...rounds].map(([row, played]) => [row, medianRound(played)]));
  return rows.map((row) => ({ row, round: medians.get(row) as Round, raw: medians.get(raw) as Round }));
}

function medianRound(rounds: readonly Round[]): Round {
  return {
    messagesPerSecond: median(rounds.map((round) => round.messagesPerSecond)),
    cpuSecondsPerMillion: median(rounds.map((round) => round.cpuSecondsPerMillion)),
    p50Us: median(rounds.map((round) => round.p50Us)),
    p99Us: median(rounds.map((round) => round.p99Us)),
    rssMiB: median(rounds.map((round) => round.rssMiB)),
  };
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  console.error(error instanceof UsageError ? error.message : `Cannot measure: ${error}`);
  process.exit(error instanceof UsageError ? 2 : 1);
}

/**
 * `deno task soak`: many messages through a group of three processes over ZeroMQ, every one of them checked: all
 * delivered everywhere, in each sender's order, none twice; memory flat; next to no work when idle.
 */
import process from "node:process";
import { checkRuntime, parse, UsageError } from "./bench_options.ts";
import { commandFor } from "./child_process.ts";
import { checkRestarts } from "./restarts.ts";
import {
  MEMBERS,
  pause,
  type Report,
  report,
  reportsWhen,
  soakEndpoints,
  startMember,
} from "./soak_members.ts";

const HELP =
  `Soak: three processes over ZeroMQ, each sends numbered messages of 100 bytes, and every delivery is checked.

Usage: deno task soak [options]

Options:
  --runtime deno|node   runtime of the members (default deno); node means 22 or later
  --messages N          messages of each member, 100,000 to 100,000,000 (default 1,000,000)
  --restarts N          instead: kill one member with SIGKILL and start it again N times under load, 1 to 1,000
  --help                this text

Exit code 1 when a message was lost, doubled or out of order, when memory grew by more than 64 MiB after the first
100,000 messages, or when an idle member used 2 % of a core or more.
`;

const RSS_GROWTH_MIB_MAX = 64;
const IDLE_CPU_SHARE_MAX = 0.02;
const IDLE_SECONDS = 5;
/** After the last delivery, before idleness is measured, in milliseconds. */
const SETTLE_MS = 1500;
/** No progress for so long means that messages were lost, in milliseconds. */
const QUIET_MS = 20_000;

const OPTIONS = {
  runtime: { type: "string", default: "deno" },
  messages: { type: "string", default: "1000000" },
  restarts: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

async function main(args: readonly string[]): Promise<number> {
  const { help, runtime, messages, restarts } = parse(args, OPTIONS);
  if (help) {
    console.log(HELP);
    return 0;
  }
  const kind = checkRuntime(runtime);
  const count = whole("messages", messages, 100_000, 100_000_000);
  const kills = restarts === undefined ? 0 : whole("restarts", restarts, 1, 1000);
  const command = commandFor(kind);
  const wrong = kills > 0 ? await checkRestarts(command, kills) : await checkMillions(command, count);
  for (const line of wrong) console.log(`WRONG: ${line}`);
  console.log(
    wrong.length === 0 ? `soak on ${kind}: all well` : `soak on ${kind}: ${wrong.length} checks failed`,
  );
  return wrong.length === 0 ? 0 : 1;
}

function whole(name: string, given: string, least: number, most: number): number {
  const value = Number(given.replaceAll(/[_,]/g, ""));
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new UsageError(`Cannot take --${name} "${given}"; use a whole number from ${least} to ${most}`);
}

/** Runs it. @returns What is wrong; empty when all is well. */
async function checkMillions(command: readonly string[], count: number): Promise<string[]> {
  const endpoints = await soakEndpoints();
  const children = endpoints.map((_, rank) => startMember(command, endpoints, rank, 1));
  try {
    await Promise.all(children.map((child) => child.ask("ready")));
    const startedMs = performance.now();
    await Promise.all(children.map((child) => child.ask("send", { count })));
    const total = MEMBERS * count;
    const reports = await reportsWhen(
      children,
      (all) => all.every(({ delivered }) => delivered >= total),
      QUIET_MS,
    );
    const seconds = (performance.now() - startedMs) / 1000;
    await pause(SETTLE_MS);
    const before = await Promise.all(children.map(report));
    await pause(IDLE_SECONDS * 1000);
    const after = await Promise.all(children.map(report));
    console.log(`soak: ${MEMBERS} members x ${count} messages in ${seconds.toFixed(1)} s`);
    return reports.flatMap((one, rank) => judge(rank, one, before[rank], after[rank], count));
  } finally {
    await Promise.all(children.map((child) => child.end()));
  }
}

function judge(rank: number, done: Report, before: Report, after: Report, count: number): string[] {
  const growthMiB = done.rssMiB - done.rssEarlyMiB;
  const idleShare = (after.cpuSeconds - before.cpuSeconds) / ((after.atMs - before.atMs) / 1000);
  console.log(
    `P${rank}: delivered ${after.delivered}, faults ${after.faultCount}, sent again ${after.resent}; RSS ` +
      `${done.rssEarlyMiB.toFixed(0)} MiB after the first 100,000 of each member, ${
        done.rssMiB.toFixed(0)
      } MiB after the last; ` +
      `idle ${(idleShare * 100).toFixed(2)} % of a core`,
  );
  const wrong = after.faults.map((text) => `P${rank} delivered ${text}`);
  for (let sender = 0; sender < MEMBERS; sender++) {
    const last = after.last[`${sender}/1`] ?? 0;
    if (last !== count) wrong.push(`P${rank} delivered ${last} of the ${count} messages of P${sender}`);
  }
  if (after.delivered !== MEMBERS * count) wrong.push(`P${rank} delivered ${after.delivered} messages`);
  if (after.stable !== count) {
    wrong.push(`P${rank}: only ${after.stable} of its messages were confirmed by all`);
  }
  if (growthMiB > RSS_GROWTH_MIB_MAX) wrong.push(`P${rank} grew by ${growthMiB.toFixed(0)} MiB`);
  if (idleShare >= IDLE_CPU_SHARE_MAX) {
    wrong.push(`P${rank} uses ${(idleShare * 100).toFixed(1)} % when idle`);
  }
  return wrong;
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  console.error(error instanceof UsageError ? error.message : `Cannot soak: ${error}`);
  process.exit(error instanceof UsageError ? 2 : 1);
}

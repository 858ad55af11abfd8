/**
 * Chaos's command line: real processes over ZeroMQ that are killed, stopped and cut off under load.
 *
 * What they write down is checked for every promise. The exit code is 1 when one was broken or something hung, with the traces
 * kept, and 2 when the arguments make no sense.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { runCascade } from "./cascade.ts";
import { CHAOS_TIMING, type CrewSettings, DETECTION_MS, type Verdict } from "./crew.ts";
import { runNetns } from "./netns.ts";
import type { Promised } from "./seat.ts";
import { MISHAPS, type RoundsResult, runRounds } from "./rounds.ts";

const HELP = `Usage: deno task chaos [options]

Kills, stops and cuts off real processes that form a group over ZeroMQ, and checks every promise.

  --rounds N        how many rounds (default 50)
  --members N       how many members, 3 to 9 (default 5)
  --seed S          what happens to whom (default 1); when exactly it hits differs from run to run
  --only NAME       only this happens: ${Object.keys(MISHAPS).join(", ")}
  --order ORDER     fifo, causal or total (default causal)
  --engine ENGINE   of a total order: sequencer or lamport (default sequencer)
  --level LEVEL     of a total order: agreed, safe or durable, on disk (default safe)
  --rate N          messages a second of each member, 1 to 1000 (default 50)
  --scenario NAME   rounds:  members are killed, stopped, started again, never so many that the quorum is gone (default)
                    cascade: 3, 2, 1 members, failing one after the other
                    netns:   network namespaces on bridges, a port down, partitions; needs root and ip
                    all:     one after the other
  --netns           the scenario netns, too
  --help            this text

A round takes about 2 s. Members start from the sources as they are: do not edit them meanwhile.
Detection timeout: ${DETECTION_MS} ms (at the most ${CHAOS_TIMING.suspectMaxMs} ms).
`;

const SCENARIOS: readonly string[] = ["rounds", "cascade", "netns", "all"];

class UsageError extends Error {}

function whole(name: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < low || value > high) {
    throw new UsageError(`--${name} is '${text}'; use a whole number from ${low} to ${high}`);
  }
  return value;
}

function oneOf<T extends string>(name: string, text: string, names: readonly T[]): T {
  const found = names.find((candidate) => candidate === text);
  if (found === undefined) throw new UsageError(`--${name} is '${text}'; use ${names.join(", ")}`);
  return found;
}

function promisedOf(order: string, engine: string, level: string): Promised {
  const total = {
    engine: oneOf("engine", engine, ["sequencer", "lamport"]),
    level: oneOf("level", level, ["agreed", "safe", "durable"]),
  };
  const given = oneOf("order", order, ["fifo", "causal", "total"]);
  return given === "total" ? { order: given, ...total } : { order: given };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        rounds: { type: "string", default: "50" },
        members: { type: "string", default: "5" },
        seed: { type: "string", default: "1" },
        only: { type: "string" },
        rate: { type: "string", default: "50" },
        order: { type: "string", default: "causal" },
        engine: { type: "string", default: "sequencer" },
        level: { type: "string", default: "safe" },
        scenario: { type: "string", default: "rounds" },
        netns: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** Prints how a scenario ended. @returns Whether all is well. */
function report(name: string, { messages, deliveries, violations, equal }: Verdict): boolean {
  for (const { property, text, line } of violations.slice(0, 10)) {
    console.log(`  ${property}: ${text}${line === undefined ? "" : ` (line ${line} of the merged trace)`}`);
  }
  console.log(
    `${name}: ${messages} messages sent, ${deliveries} delivered, states ${equal ? "equal" : "DIFFER"}, ` +
      `${violations.length} violations`,
  );
  return equal && violations.length === 0;
}

function reportRounds(result: RoundsResult): boolean {
  const { crashes, rounds, seconds } = result;
  const sorted = [...crashes].sort((a, b) => a - b);
  if (sorted.length > 0) {
    const p50 = sorted[Math.floor((sorted.length - 1) / 2)];
    const max = sorted[sorted.length - 1];
    console.log(
      `crash to new view at the last survivor: p50 ${p50.toFixed(0)} ms, max ${max.toFixed(0)} ms of ` +
        `${sorted.length}; detection timeout ${DETECTION_MS} ms, so p50 is ${
          (p50 / DETECTION_MS).toFixed(2)
        } times it`,
    );
  }
  return report(`${rounds} rounds in ${seconds.toFixed(0)} s`, result);
}

async function main(args: readonly string[]): Promise<number> {
  const options = parse(args);
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  if (!SCENARIOS.includes(options.scenario)) {
    throw new UsageError(`--scenario is '${options.scenario}'; use ${SCENARIOS.join(", ")}`);
  }
  const names = Object.keys(MISHAPS).filter((name) => name === (options.only ?? name));
  if (names.length === 0) throw new UsageError(`--only is '${options.only}'; --help names what can happen`);
  const rounds = whole("rounds", options.rounds, 1, 100_000);
  const seed = whole("seed", options.seed, 0, Number.MAX_SAFE_INTEGER);
  const settings: CrewSettings = {
    members: whole("members", options.members, 3, 9),
    rate: whole("rate", options.rate, 1, 1000),
    promised: promisedOf(options.order, options.engine, options.level),
    print: (line) => console.log(line),
  };
  const wanted = (name: string): boolean => options.scenario === name || options.scenario === "all";
  let sound = true;
  if (wanted("rounds")) sound = reportRounds(await runRounds(settings, rounds, seed, names)) && sound;
  if (wanted("cascade")) {
    for (const verdict of await runCascade(settings)) sound = report("cascade", verdict) && sound;
  }
  if (wanted("netns") || options.netns) {
    const outcome = await runNetns(settings);
    if (typeof outcome === "string") console.log(`skipped: ${outcome}`);
    else for (const verdict of outcome) sound = report("netns", verdict) && sound;
  }
  return sound ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`chaos: ${(error as Error).message}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

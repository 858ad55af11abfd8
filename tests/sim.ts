/**
 * The simulator's command line: `deno task sim`.
 *
 * Runs scenarios from seeds, in virtual time, and checks every promise. The last line says how much was run; the exit
 * code is 1 when a promise was broken, or a planted bug was not found, and 2 when the arguments make no sense.
 */
import { writeFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { measureScale, MUTATIONS, type Scenario, type ScenarioResult, SCENARIOS } from "@tutti/tutti/testing";

const HELP = `Usage: deno task sim [options]

Runs groups in virtual time under drawn faults and checks every promise.

  --seeds N         how many seeds to run (default 200)
  --from S          first seed (default 1)
  --seed S          one seed, verbose: its shape, and every violation
  --trace FILE      with --seed: writes the node trace, one JSON object a line
  --scenario NAME   only this scenario (default: all)
  --mutation NAME   plants a bug and looks for a seed that notices
  --mutations       plants every bug in turn; each must be noticed within --seeds (default 500)
  --scale           prints what a view change costs with 3, 10, 50 and 100 members
  --list            names the scenarios and the bugs
  --help            this text
`;

/** How much of a violation's text a line shows. */
const TEXT_MAX = 160;

class UsageError extends Error {}

function whole(name: string, text: string, low: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < low) {
    throw new UsageError(`--${name} is '${text}'; use a whole number, ${low} or more`);
  }
  return value;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        seeds: { type: "string" },
        from: { type: "string" },
        seed: { type: "string" },
        trace: { type: "string" },
        scenario: { type: "string" },
        mutation: { type: "string" },
        mutations: { type: "boolean" },
        scale: { type: "boolean" },
        list: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function replay(scenario: Scenario, seed: number, mutation?: string): string {
  return `deno task sim --scenario ${scenario.name} --seed ${seed}${
    mutation === undefined ? "" : ` --mutation ${mutation}`
  }`;
}

function report(scenario: Scenario, result: ScenarioResult, mutation?: string): void {
  console.log(
    `${scenario.name} seed ${result.seed} (${result.summary}): ${result.violations.length} violations`,
  );
  for (const violation of result.violations.slice(0, 5)) {
    console.log(`  ${violation.property}: ${violation.text}`);
  }
  console.log(`  replay: ${replay(scenario, result.seed, mutation)}`);
}

/** Looks for a seed that notices a planted bug. */
function hunt(
  scenarios: readonly Scenario[],
  name: string,
  from: number,
  seeds: number,
  verbose: boolean,
): boolean {
  const mutation = MUTATIONS.find((candidate) => candidate.name === name);
  if (mutation === undefined) throw new UsageError(`--mutation is '${name}'; --list names them`);
  // The scenario that notices soonest is named first, and its is the seed.
  for (const scenario of mutation.scenarios.flatMap((at) => scenarios.filter((one) => one.name === at))) {
    for (let index = mutation.seed === undefined ? 0 : -1; index < seeds; index++) {
      const seed = index < 0 ? mutation.seed as number : from + index;
      const result = scenario.run(seed, mutation);
      if (result.violations.length === 0) continue;
      const [first] = result.violations;
      console.log(`found      ${name}: seed ${seed}, ${first.property}: ${first.text.slice(0, TEXT_MAX)}`);
      if (verbose) report(scenario, result, name);
      return true;
    }
  }
  console.log(`NOT FOUND  ${name} in ${seeds} seeds from ${from}`);
  return false;
}

/** What a view change costs, as the group grows. */
function printScale(): number {
  console.log("members  event                election  packets  per member  of elections  virtual ms");
  for (const size of [3, 10, 50, 100]) {
    for (const election of ["senior", "bully", "ring"] as const) {
      for (
        const { event, size: members, changePackets, electionPackets, ms } of measureScale(size, 1, election)
      ) {
        if (election !== "senior" && event !== "crash of the leader") continue; // the same with every election
        console.log(
          [
            String(members).padStart(7),
            ` ${event.padEnd(19)}`,
            election.padEnd(8),
            String(changePackets).padStart(8),
            (changePackets / members).toFixed(1).padStart(11),
            String(electionPackets).padStart(13),
            ms.toFixed(0).padStart(11),
          ].join(" "),
        );
      }
    }
  }
  return 0;
}

function runSeeds(scenarios: readonly Scenario[], from: number, seeds: number): boolean {
  const started = performance.now();
  let [virtualMs, messages, deliveries, violations, views] = [0, 0, 0, 0, 0];
  for (const scenario of scenarios) {
    for (let seed = from; seed < from + seeds; seed++) {
      const result = scenario.run(seed);
      virtualMs += result.virtualMs;
      messages += result.messages;
      deliveries += result.deliveries;
      views += result.views;
      violations += result.violations.length;
      if (result.violations.length > 0) report(scenario, result);
    }
  }
  const seconds = (performance.now() - started) / 1000;
  console.log(
    `${seeds * scenarios.length} seeds from ${from} in ${seconds.toFixed(1)} s: ${
      (virtualMs / 1000).toFixed(0)
    } virtual seconds, ` +
      `${messages} messages sent, ${deliveries} delivered, ${views} views, ${violations} violations`,
  );
  return violations === 0;
}

function runOne(
  scenarios: readonly Scenario[],
  seed: number,
  mutationName: string | undefined,
  file: string | undefined,
): boolean {
  const mutation = MUTATIONS.find((candidate) => candidate.name === mutationName);
  if (mutationName !== undefined && mutation === undefined) {
    throw new UsageError(`--mutation is '${mutationName}'; --list names them`);
  }
  let sound = true;
  for (const scenario of scenarios) {
    const result = scenario.run(seed, mutation);
    console.log(`scenario ${scenario.name}, seed ${seed}: ${result.summary}`);
    for (const { property, text, line } of result.violations) {
      console.log(`  ${property}: ${text}${line === undefined ? "" : ` (line ${line} of the trace)`}`);
    }
    if (file !== undefined) {
      try {
        writeFileSync(file, result.trace());
      } catch (error) {
        throw new UsageError(`--trace cannot be written: ${(error as Error).message}`);
      }
      console.log(`  trace: ${file}`);
    }
    console.log(
      `1 seed: ${(result.virtualMs / 1000).toFixed(1)} virtual seconds, ${result.messages} messages sent, ` +
        `${result.deliveries} delivered, ${result.violations.length} violations`,
    );
    sound &&= result.violations.length === 0;
  }
  return sound;
}

function main(args: readonly string[]): number {
  const options = parse(args);
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  if (options.scale) return printScale();
  if (options.list) {
    console.log("scenarios:");
    for (const scenario of SCENARIOS) console.log(`  ${scenario.name.padEnd(28)} ${scenario.about}`);
    console.log("bugs to plant:");
    for (const mutation of MUTATIONS) console.log(`  ${mutation.name.padEnd(28)} ${mutation.about}`);
    return 0;
  }
  const scenarios = SCENARIOS.filter((scenario) =>
    options.scenario === undefined || scenario.name === options.scenario
  );
  if (scenarios.length === 0) throw new UsageError(`--scenario is '${options.scenario}'; --list names them`);
  const hunting = options.mutation !== undefined || options.mutations === true;
  const seeds = whole("seeds", options.seeds ?? (hunting ? "500" : "200"), 1);
  const from = whole("from", options.from ?? "1", 0);
  if (options.trace !== undefined && options.seed === undefined) throw new UsageError("--trace needs --seed");
  if (!Number.isSafeInteger(from + seeds)) {
    throw new UsageError(`--from is '${options.from}'; use a smaller one`);
  }
  if (options.seed !== undefined && (options.seeds !== undefined || options.from !== undefined)) {
    throw new UsageError("--seed is one seed; leave out --seeds and --from");
  }
  if (options.mutations === true && (options.seed !== undefined || options.mutation !== undefined)) {
    throw new UsageError("--mutations plants every bug in turn; leave out --seed and --mutation");
  }
  if (options.mutations === true) {
    let found = 0;
    for (const { name } of MUTATIONS) if (hunt(scenarios, name, from, seeds, false)) found++;
    console.log(`${found} of ${MUTATIONS.length} found`);
    return found === MUTATIONS.length ? 0 : 1;
  }
  if (options.seed !== undefined) {
    return runOne(scenarios, whole("seed", options.seed, 0), options.mutation, options.trace) ? 0 : 1;
  }
  if (options.mutation !== undefined) return hunt(scenarios, options.mutation, from, seeds, true) ? 0 : 1;
  return runSeeds(scenarios, from, seeds) ? 0 : 1;
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`sim: ${error.message}`);
  process.exitCode = 2;
}

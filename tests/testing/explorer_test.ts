/** The explorer: small instances are clean, planted bugs are found, and what it leaves out does not matter. */
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  explore,
  EXPLORER_INSTANCES,
  EXPLORER_MUTATIONS,
  type ExplorerMutation,
  type ExplorerOptions,
} from "../../core/testing/explorer/mod.ts";

const test = suite("testing/explorer");
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const RUN_MS_MAX = 60_000;

function mutation(name: string): ExplorerMutation {
  const found = EXPLORER_MUTATIONS.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`no mutation ${name}`);
  return found;
}

/** Runs the command line as a user does. */
function run(...args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const command = ["run", "-A", "--config", join(root, "deno.json"), join(root, "tests", "explore.ts")];
  const child = spawn(process.execPath, [...command, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => stdout += chunk);
  child.stderr.on("data", (chunk) => stderr += chunk);
  const timer = setTimeout(() => child.kill("SIGKILL"), RUN_MS_MAX);
  return new Promise((resolve) => {
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
  });
}

const CLEAN: readonly ExplorerOptions[] = [
  { messages: 1 },
  { members: 2, ballots: 3, messages: 2 },
  { members: 2, joiner: true },
  { members: 2, joiner: true, leaver: true, messages: 1 },
  { changes: 2, ballots: 1, messages: 1 },
  { members: 2, restarts: 1, messages: 1 },
];

for (const options of CLEAN) {
  test(`no interleaving breaks a promise within ${JSON.stringify(options)}`, () => {
    const { exhaustive, violation, transcript, outcomes } = explore(options);
    assert.is(violation, undefined, transcript.join("\n"));
    assert.ok(exhaustive);
    assert.ok(outcomes.length > 1, "views are reached");
  });
}

for (const name of ["IGNORE_ACCEPTED", "CUT_PROPOSER_ONLY", "JOINER_COUNTED_EARLY"]) {
  test(`the explorer finds ${name}, and the shortest way there`, () => {
    const bug = mutation(name);
    const { violation, transcript } = explore({}, bug);
    assert.is(violation?.property, bug.breaks);
    assert.ok(transcript.length > 5 && transcript.length < 20);
    assert.match(transcript.at(-1) ?? "", /installs view 2$/);
  });
}

test("what is left out makes no difference to the views that are reached", () => {
  const instances: ExplorerOptions[] = [
    { ballots: 1, messages: 2 },
    { members: 2, joiner: true, ballots: 1, messages: 1 },
    { members: 2, changes: 2, ballots: 1, messages: 1 },
  ];
  for (const options of instances) {
    const [reduced, whole] = [explore(options), explore({ ...options, reduced: false })];
    assert.ok(reduced.exhaustive && whole.exhaustive);
    assert.ok(reduced.states < whole.states);
    assert.equal(reduced.outcomes, whole.outcomes);
    assert.is(whole.violation, undefined);
  }
});

test("what is left out makes no counterexample longer", () => {
  for (const name of ["IGNORE_ACCEPTED", "REPROPOSE_NEW_CUT", "NEXT_QUORUM_UNCHECKED"]) {
    const [reduced, whole] = [{}, { reduced: false }].map((options) => explore(options, mutation(name)));
    assert.is(reduced.transcript.length, whole.transcript.length, name);
  }
});

test("a search that is cut short says so", () => {
  const { exhaustive, states, violation } = explore({ statesMax: 100 });
  assert.not(exhaustive);
  assert.ok(states > 100 && states < 200);
  assert.is(violation, undefined);
});

test("every instance and every planted bug has a name of its own and says what it is about", () => {
  for (const named of [EXPLORER_INSTANCES, EXPLORER_MUTATIONS]) {
    assert.is(new Set(named.map(({ name }) => name)).size, named.length);
    for (const { about } of named) assert.ok(about.length > 10);
  }
});

test("the command line explores, finds, refuses and helps", async () => {
  const [clean, found, cut, wrong, unknown, help] = await Promise.all([
    run("--members", "2", "--ballots", "1"),
    run("--mutation", "BOTH_HALVES"),
    run("--states-max", "50", "--messages", "1"),
    run("--ballots", "many"),
    run("--mutation", "NOBODY"),
    run("--help"),
  ]);
  assert.is(clean.code, 0, clean.stderr);
  assert.match(clean.stdout, / states, exhaustive/);
  assert.is(found.code, 0, found.stderr);
  assert.match(found.stdout, /P1: A goes on to view 2 of A .*B to view 2 of B/);
  assert.is(cut.code, 1);
  assert.match(cut.stdout, /NOT FINISHED/);
  for (const { code, stderr } of [wrong, unknown]) {
    assert.is(code, 2);
    assert.match(stderr, /^explore: /);
  }
  assert.is(help.code, 0);
  assert.match(help.stdout, /^Explores every interleaving/);
});

test.run();

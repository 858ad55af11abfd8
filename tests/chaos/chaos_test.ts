/** Real processes over ZeroMQ that are killed, stopped and cut off under load; more of it with chaos.ts. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { runCascade } from "./cascade.ts";
import type { CrewSettings, Verdict } from "./crew.ts";
import { runNetns } from "./netns.ts";
import { runRounds } from "./rounds.ts";

const test = suite("chaos");
const ROUNDS = 6;
/** What happens to whom is another every day; it is printed, and `--seed` makes it happen again. */
const SEED = Math.floor(Date.now() / 86_400_000);
/** A moderate load: other tests run at the same time. */
const SETTINGS: CrewSettings = { members: 5, rate: 30, print: (line) => console.log(line) };

function sound({ violations, equal, deliveries }: Verdict): void {
  assert.equal(violations, []);
  assert.ok(equal, "members have different messages");
  assert.ok(deliveries > 0);
}

test("a group under load keeps every promise when members are killed, stopped and started again", async () => {
  console.log(`deno task chaos --rounds ${ROUNDS} --seed ${SEED} --rate ${SETTINGS.rate}`);
  const result = await runRounds(SETTINGS, ROUNDS, SEED);
  sound(result);
  assert.is(result.rounds, ROUNDS);
});

test("a durable group under load loses nothing when members, and all of them, are killed", async () => {
  const promised = { order: "total", engine: "sequencer", level: "durable" } as const;
  const result = await runRounds({ ...SETTINGS, members: 3, promised }, 4, SEED, [
    "kill",
    "killLeader",
    "restart",
    "killAll",
  ]);
  sound(result);
});

test("a group goes on when its members fail one after the other, and only with its senior side", async () => {
  for (const verdict of await runCascade(SETTINGS)) sound(verdict);
});

test("exactly one side of a partitioned network goes on, and all are one group after it", async () => {
  const outcome = await runNetns(SETTINGS);
  if (typeof outcome === "string") return console.log(`skipped: ${outcome}`);
  for (const verdict of outcome) sound(verdict);
});

test.run();

/**
 * Rounds of chaos: in each something happens to members of a group under load, and the group must come out of it whole. The
 * quorum of the view is never taken away. What happens to whom is drawn from a seed; when exactly it hits is not.
 */
import { Random } from "../../core/base/random.ts";
import { isChangeQuorum } from "../../core/membership/view.ts";
import { Crew, type CrewSettings, DETECTION_MS, type Verdict } from "./crew.ts";
import type { Seat } from "./seat.ts";

/** How much longer than the detection timeout a stopped member is stopped. */
const STOPPED_TIMEOUTS = 3;

/** What rounds have shown. */
export interface RoundsResult extends Verdict {
  readonly rounds: number;
  /** For each crash, the milliseconds from the kill to the first view without the member, at the last survivor. */
  readonly crashes: readonly number[];
  readonly seconds: number;
}

/** One round. */
interface Round {
  readonly crew: Crew;
  readonly random: Random;
  /** Members of the view, the most senior first. */
  readonly seniority: readonly Seat[];
  readonly leader: Seat;
  readonly crashes: number[];
}

/** What can happen. @returns What happened, for people; `undefined` when it would take the quorum away. */
type Mishap = (round: Round) => Promise<string | undefined>;

/** Whether a view survives the loss of some members. */
function survives({ seniority }: Round, lost: readonly Seat[]): boolean {
  const ranks = seniority.flatMap((seat, rank) => lost.includes(seat) ? [] : [rank]);
  return isChangeQuorum(seniority.length, ranks);
}

/** Draws a member that is not the leader. */
function follower({ seniority, leader, random }: Round, ...but: readonly Seat[]): Seat {
  return random.pick(seniority.filter((seat) => seat !== leader && !but.includes(seat)));
}

async function kill(round: Round, gone: readonly Seat[]): Promise<string | undefined> {
  const { crew, crashes } = round;
  if (!survives(round, gone)) return undefined;
  const others = crew.except(...gone);
  const ms = await crew.crash(gone, others);
  crashes.push(ms);
  await crew.converse(others); // without those that are away
  for (const seat of gone) await bringBack(seat);
  const leads = gone.includes(round.leader) ? ", the leader" : "";
  return `kill ${gone.map(({ name }) => name).join(" and ")}${leads}: new view after ${Math.round(ms)} ms`;
}

/** Starts a member again, and has it send as soon as it can. */
async function bringBack(seat: Seat): Promise<void> {
  seat.start(0);
  await seat.ask("go");
}

async function stop(round: Round, stopped: readonly Seat[]): Promise<string | undefined> {
  if (!survives(round, stopped)) return undefined;
  const { crew } = round;
  const evictions = stopped.map(({ counts }) => counts.evictions);
  for (const seat of stopped) seat.stop();
  await new Promise((resolve) => setTimeout(resolve, STOPPED_TIMEOUTS * DETECTION_MS)); // the fault itself
  for (const seat of stopped) seat.resume();
  await crew.converse(crew.seats);
  await crew.calm(crew.seats);
  const evicted = stopped.filter(({ counts }, index) => counts.evictions > evictions[index]);
  const leads = stopped.includes(round.leader) ? ", the leader," : "";
  return `stop ${stopped.map(({ name }) => name).join(" and ")}${leads} for ${
    STOPPED_TIMEOUTS * DETECTION_MS
  } ms: ` +
    `${evicted.length === 0 ? "nobody" : evicted.map(({ name }) => name).join(" and ")} ${
      evicted.length === 2 ? "were" : "was"
    } evicted`;
}

/** What can happen, by name. */
export const MISHAPS: Readonly<Record<string, Mishap>> = {
  kill: (round) => kill(round, [follower(round)]),
  killLeader: (round) => kill(round, [round.leader]),
  killTwo: (round) => {
    const first = round.random.pick(round.seniority);
    return kill(round, [first, round.random.pick(round.seniority.filter((seat) => seat !== first))]);
  },
  stop: (round) => stop(round, [follower(round)]),
  stopLeader: (round) => stop(round, [round.leader]),
  stopTwo: (round) => {
    const first = follower(round);
    return stop(round, [first, follower(round, first)]);
  },
  async killAndStop(round) {
    const { crew, crashes } = round;
    const [gone, stopped] = [follower(round), round.random.pick(round.seniority)];
    if (gone === stopped || !survives(round, [gone, stopped])) return undefined;
    stopped.stop();
    const ms = await crew.crash([gone], crew.except(gone, stopped));
    crashes.push(ms);
    stopped.resume();
    await bringBack(gone);
    return `kill ${gone.name} while ${stopped.name} is stopped: new view after ${Math.round(ms)} ms`;
  },
  async killStopped(round) {
    const { crew } = round;
    const gone = round.random.pick(round.seniority);
    if (!survives(round, [gone])) return undefined;
    const from = crew.now();
    gone.stop();
    await crew.without([gone], crew.except(gone), from);
    gone.kill();
    await crew.down([gone]);
    await bringBack(gone);
    return `stop ${gone.name} until it is evicted, then kill it`;
  },
  async restart(round) {
    const { crew } = round;
    const gone = round.random.pick(round.seniority);
    if (!survives(round, [gone])) return undefined;
    gone.kill();
    await crew.down([gone]);
    await bringBack(gone);
    return `kill ${gone.name} and start it again at once`;
  },
  async killAll(round) {
    const { crew } = round;
    if (crew.promised.level !== "durable") return undefined; // else the group is gone
    for (const seat of crew.seats) seat.kill();
    await crew.down(crew.seats);
    for (const seat of crew.seats) await bringBack(seat);
    return "kill all at once";
  },
  async killGiver(round) {
    const { crew, crashes, seniority } = round;
    const [gone, giver] = [follower(round), round.leader];
    if (
      !isChangeQuorum(
        seniority.length - 1,
        [...Array(seniority.length - 2).keys()].map((rank) => rank + 1),
      )
    ) {
      return undefined;
    }
    const first = await crew.crash([gone], crew.except(gone));
    await bringBack(gone); // it has started: it is about to join
    const ms = await crew.crash([giver], crew.except(gone, giver));
    crashes.push(first, ms);
    await bringBack(giver);
    return `kill ${gone.name}, and ${giver.name}, the leader, while that joins again: new views after ` +
      `${Math.round(first)} and ${Math.round(ms)} ms`;
  },
  async leave(round) {
    const { crew } = round;
    const gone = round.random.pick(round.seniority);
    const from = crew.now();
    await gone.quit();
    await crew.without([gone], crew.except(gone), from);
    await crew.down([gone]);
    await bringBack(gone);
    return `${gone.name} leaves in good order and comes back`;
  },
};

/** A seeded order in which everything happens as often as everything else. */
function* draws(random: Random, names: readonly string[]): Generator<string, never> {
  for (;;) {
    const bag = [...names];
    while (bag.length > 0) yield bag.splice(random.int(0, bag.length - 1), 1)[0];
  }
}

/**
 * Runs rounds.
 *
 * @param names What can happen.
 * @throws {Error} When something that must happen does not: a hang. The traces are kept.
 */
export async function runRounds(
  settings: CrewSettings,
  rounds: number,
  seed: number,
  names: readonly string[] = Object.keys(MISHAPS),
): Promise<RoundsResult> {
  const started = performance.now();
  const random = new Random(seed);
  const crew = await Crew.start(settings);
  const crashes: number[] = [];
  let sound = false;
  try {
    const drawn = draws(random, names);
    for (let number = 1; number <= rounds;) {
      const startedAt = performance.now();
      const name = drawn.next().value;
      const round = { crew, random, seniority: crew.seniority(), leader: crew.leader(), crashes };
      const what = await MISHAPS[name](round).catch((error: unknown) => {
        throw new Error(`round ${number}, ${name}: ${(error as Error).message}`, { cause: error });
      });
      if (what === undefined) continue; // it is another one's turn
      await whole(crew, `round ${number}, ${name}`);
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
      crew.print(`round ${String(number).padStart(2)}  ${seconds.padStart(5)} s  ${what}`);
      number++;
    }
    const verdict = await crew.judge(crew.seats);
    sound = verdict.equal && verdict.violations.length === 0;
    const seconds = (performance.now() - started) / 1000;
    return { ...verdict, rounds, crashes, seconds };
  } finally {
    await crew.end(sound);
  }
}

/** Waits until all are one group again in which everybody is heard by everybody. */
async function whole(crew: Crew, where: string): Promise<void> {
  try {
    await crew.calm(crew.seats);
    await crew.converse(crew.seats);
    await crew.calm(crew.seats);
  } catch (error) {
    throw new Error(`after ${where}: ${(error as Error).message}`, { cause: error });
  }
}

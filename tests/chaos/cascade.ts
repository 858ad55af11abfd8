/**
 * Members that fail one after the other, 3, 2, 1. Half of a view with its most senior member may go on, so the last one goes on
 * alone if it was the senior of the last two. The other half cannot tell a crash from a partition, and stops.
 */
import { Crew, type CrewSettings, type Verdict } from "./crew.ts";
import type { Seat } from "./seat.ts";

const MEMBERS = 3;
/** Messages that the survivor sends, each with its receipt. */
const SENT_ALONE = 20;
/** How long a member that must stop is given for a send, in milliseconds. */
const REFUSED_MS = 500;

/**
 * Runs both cases.
 *
 * @throws {Error} When a member does not go on, or does not stop. The traces are kept.
 */
export async function runCascade(settings: CrewSettings): Promise<Verdict[]> {
  return [await survives(settings), await stops(settings)];
}

/** The juniors fail: the most senior member goes on alone. */
function survives(settings: CrewSettings): Promise<Verdict> {
  return withThree(settings, async (crew) => {
    const [senior, junior, third] = crew.seniority();
    const first = await crew.crash([third], [senior, junior]);
    await crew.converse([senior, junior]);
    await crew.calm([senior, junior]);
    const second = await crew.crash([junior], [senior]);
    for (let sent = 0; sent < SENT_ALONE; sent++) await crew.converse([senior]);
    const { count } = await senior.state();
    await crew.until(
      "more messages of the survivor",
      () => senior.view?.members.length === 1 && !senior.blocked,
    );
    crew.print(
      `3 to 2 members after ${first.toFixed(0)} ms, 2 to 1 after ${
        second.toFixed(0)
      } ms: ${senior.name}, the ` +
        `senior, goes on alone, ${SENT_ALONE} receipts resolved; it has ${count} messages`,
    );
    return [senior];
  });
}

/** The senior of three fails, then the senior of the two that are left: the last one must not go on. */
function stops(settings: CrewSettings): Promise<Verdict> {
  return withThree(settings, async (crew) => {
    const [first, second, third] = crew.seniority();
    await crew.crash([first], [second, third]);
    await crew.converse([second, third]);
    await crew.calm([second, third]);
    const { length } = third.views;
    second.kill();
    await crew.until(`${third.name} blocked`, () => third.blocked);
    const answer = await third.ask("send", { deadlineMs: REFUSED_MS });
    if (answer.code !== "NotPrimary") {
      throw new Error(`a send of the junior of two ends with ${answer.code ?? "a receipt"}, not NotPrimary`);
    }
    if (third.views.length > length) throw new Error(`${third.name} has a view without a quorum`);
    crew.print(`the senior of two fails: ${third.name} is blocked, its send ends with NotPrimary`);
    await crew.down([second]);
    return [];
  });
}

/** @param play Plays the case, and says who is to be asked for everything at its end. */
async function withThree(
  settings: CrewSettings,
  play: (crew: Crew) => Promise<readonly Seat[]>,
): Promise<Verdict> {
  const crew = await Crew.start({ ...settings, members: MEMBERS });
  let sound = false;
  try {
    await crew.converse(crew.seats);
    await crew.calm(crew.seats);
    const verdict = await crew.judge(await play(crew));
    sound = verdict.equal && verdict.violations.length === 0;
    return verdict;
  } finally {
    await crew.end(sound);
  }
}

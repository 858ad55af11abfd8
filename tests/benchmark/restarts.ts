/**
 * Restarts under load: two members send flat out while the third is killed (SIGKILL) and started again at the same
 * endpoint, again and again. At the two that stay: their own messages all, exactly once, in order; of every life of the
 * third no duplicate and no gap; and both have delivered the same.
 */
import type { Child } from "./child_process.ts";
import { pause, type Report, report, reportsWhen, soakEndpoints, startMember } from "./soak_members.ts";

/** How long a life sends before it is killed, in milliseconds: at least, and at most so much more. */
const LIFE_MS = 200;
const LIFE_MORE_MS = 600;
/** The group gets so long to even out what the last life left, in milliseconds. */
const QUIET_MS = 20_000;
const KILLED = 2;

/** Runs it. @returns What is wrong; empty when all is well. */
export async function checkRestarts(command: readonly string[], restarts: number): Promise<string[]> {
  const endpoints = await soakEndpoints();
  const survivors = [startMember(command, endpoints, 0, 1), startMember(command, endpoints, 1, 1)];
  let third = startMember(command, endpoints, KILLED, 1);
  try {
    await Promise.all([...survivors, third].map((child) => child.ask("ready")));
    await Promise.all([...survivors, third].map((child) => child.ask("send")));
    for (let life = 1; life <= restarts; life++) {
      await pause(LIFE_MS + Math.random() * LIFE_MORE_MS);
      await third.end();
      third = startMember(command, endpoints, KILLED, life + 1);
      await third.ask("ready");
      await third.ask("send");
    }
    await pause(LIFE_MS);
    return await judge([...survivors, third], restarts);
  } finally {
    await Promise.all([...survivors, third].map((child) => child.end()));
  }
}

async function judge(children: readonly Child[], restarts: number): Promise<string[]> {
  await Promise.all(children.map((child) => child.ask("stop")));
  await pause(100);
  const sent = (await Promise.all(children.map(report))).map((one) => one.sent);
  const lastLife = `${KILLED}/${restarts + 1}`;
  const [first, second] = await reportsWhen(
    children.slice(0, KILLED),
    (reports) =>
      reports.every(({ last }) =>
        last["0/1"] === sent[0] && last["1/1"] === sent[1] && last[lastLife] === sent[KILLED]
      ) &&
      JSON.stringify(sorted(reports[0])) === JSON.stringify(sorted(reports[1])),
    QUIET_MS,
  );
  const wrong: string[] = [];
  for (const [rank, one] of [first, second].entries()) {
    for (const text of one.faults) wrong.push(`P${rank} delivered ${text}`);
    if (one.faultCount > one.faults.length) wrong.push(`P${rank}: ${one.faultCount} faults in all`);
    for (const [sender, key] of ["0/1", "1/1", lastLife].entries()) {
      if (one.last[key] !== sent[sender]) {
        wrong.push(`P${rank} delivered ${one.last[key] ?? 0} of the ${sent[sender]} messages of ${key}`);
      }
    }
  }
  const [ours, theirs] = [sorted(first), sorted(second)];
  if (JSON.stringify(ours) !== JSON.stringify(theirs)) {
    wrong.push(`the survivors differ: ${JSON.stringify(ours)} and ${JSON.stringify(theirs)}`);
  }
  const ofKilled = ours.filter(([key]) => key.startsWith(`${KILLED}/`));
  const count = ofKilled.reduce((sum, [, number]) => sum + number, 0);
  console.log(
    `restarts: ${restarts} kills; the survivors sent ${
      sent[0] + sent[1]
    } messages and delivered ${first.delivered} and ` +
      `${second.delivered}; of ${ofKilled.length} lives of the third ${count}; sent again ${
        first.resent + second.resent
      }`,
  );
  return wrong;
}

function sorted({ last }: Report): [string, number][] {
  return Object.entries(last).toSorted(([a], [b]) => a < b ? -1 : 1);
}

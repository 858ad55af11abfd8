/**
 * Recovery: a group under load loses its leader by kill -9.
 *
 * The clock runs from before the kill until each survivor has delivered a message that was sent after it: what was under way when
 * the leader died does not count. Then both survivors must have delivered the same, and in it everything that any member, the
 * leader included, had a receipt for.
 */
import { DEFAULT_TIMING } from "../../core/group/config.ts";
import type { Child } from "./child_process.ts";
import { askAll, pause, withGroup } from "./rounds.ts";
import type { Row } from "./rows.ts";

/** A silence below this is never taken for a crash, in milliseconds: nothing can be known of a leader's end before. */
export const DETECTION_MS: number = DEFAULT_TIMING.suspectMinMs;

/** How long members may take until they report what they should, in milliseconds. */
const PATIENCE_MS = 10_000;
const POLL_MS = 50;

/** What one kill gave. */
export interface Recovery {
  /** Until a message sent after the kill was delivered at the slowest survivor, in milliseconds. */
  readonly recoveryMs: number;
  /** Delivered in one second before the kill. */
  readonly messagesPerSecond: number;
  /** Messages of all members for which there was a receipt. */
  readonly acknowledged: number;
  /** Of these, messages that a survivor has not delivered. */
  readonly lost: number;
  /** Messages out of order, and survivors that differ. */
  readonly faults: number;
}

/** What a member reports. */
interface Report {
  readonly acknowledged: number;
  readonly position: number;
  readonly digest: number;
  readonly faults: number;
  readonly last: Readonly<Record<string, number>>;
}

/** Kills a leader once. */
export async function playRecovery(
  { promised, members, payloadBytes }: Row,
  command: readonly string[],
  seconds: number,
): Promise<Recovery> {
  if (promised === null) throw new Error("Cannot kill a leader: there is no group");
  return await withGroup(promised, members, command, "recovery_process.ts", async (children) => {
    const names = await Promise.all(children.map(async (child) => String((await child.ask("name")).name)));
    const [leader, ...survivors] = children;
    await askAll(children, "send", { payloadBytes });
    const before = await underLoad(leader, seconds);
    const killedMs = Date.now();
    leader.kill();
    const answers = await askAll(survivors, "recovered", { afterMs: killedMs });
    const recoveryMs = Math.max(...answers.map(({ atMs }) => Number(atMs))) - killedMs;
    await askAll(survivors, "settle");
    const after = await reportWhen(survivors, areAlike);
    const acknowledged = [before.acknowledged, ...after.map((report) => report.acknowledged)];
    const delivered = names.map((name) => Math.min(...after.map(({ last }) => last[name] ?? 0)));
    return {
      recoveryMs,
      messagesPerSecond: before.messagesPerSecond,
      acknowledged: acknowledged.reduce((sum, count) => sum + count),
      lost: acknowledged.reduce((sum, count, rank) => sum + Math.max(0, count - delivered[rank]), 0),
      faults: after.reduce((sum, { faults }) => sum + faults, 0) + (areAlike(after) ? 0 : 1),
    };
  });
}

/** Lets the load run. @returns What the leader had a receipt for when it was asked last: just now. */
async function underLoad(
  leader: Child,
  seconds: number,
): Promise<{ readonly acknowledged: number; readonly messagesPerSecond: number }> {
  const first = await reportWhen([leader], ([{ acknowledged }]) => acknowledged > 0);
  const startedMs = Date.now();
  // Not always at the same point of whatever goes round in the group.
  await pause(seconds * (500 + Math.random() * 500));
  const [{ acknowledged, position }] = await askAll([leader], "report") as unknown as Report[];
  const messagesPerSecond = (position - first[0].position) / (Date.now() - startedMs) * 1000;
  return { acknowledged, messagesPerSecond };
}

/** What members report once that satisfies a condition, or they have had the time to. */
async function reportWhen(
  children: readonly Child[],
  isDone: (reports: readonly Report[]) => boolean,
): Promise<Report[]> {
  const untilMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const reports = await askAll(children, "report") as unknown as Report[];
    if (isDone(reports) || performance.now() > untilMs) return reports;
    await pause(POLL_MS);
  }
}

function areAlike(reports: readonly Report[]): boolean {
  return reports.every(({ position, digest }) =>
    position === reports[0].position && digest === reports[0].digest
  );
}

/** Members of the soak, as the process that judges them sees them. */
import { freePort } from "../transports/free_endpoints.ts";
import { Child } from "./child_process.ts";

/** What a member has seen. */
export interface Report {
  readonly delivered: number;
  readonly sent: number;
  readonly sending: boolean;
  readonly stable: number;
  /** Last number delivered, by "rank/life" of the sender. */
  readonly last: Readonly<Record<string, number>>;
  readonly faults: readonly string[];
  readonly faultCount: number;
  readonly rssEarlyMiB: number;
  readonly rssMiB: number;
  readonly cpuSeconds: number;
  readonly atMs: number;
  readonly resent: number;
}

/** How many members there are. */
export const MEMBERS = 3;
const POLL_MS = 250;

/** Free endpoints for all members. */
export async function soakEndpoints(): Promise<string[]> {
  const endpoints: string[] = [];
  for (let rank = 0; rank < MEMBERS; rank++) endpoints.push(`tcp://127.0.0.1:${await freePort()}`);
  return endpoints;
}

/** Starts a member. */
export function startMember(
  command: readonly string[],
  endpoints: readonly string[],
  rank: number,
  life: number,
): Child {
  return new Child(command, "soak_process.ts", { rank, life, endpoints });
}

/** What a member has seen so far. */
export async function report(child: Child): Promise<Report> {
  return await child.ask("report") as unknown as Report;
}

/** Asks again and again until all reports satisfy a condition, or nothing has changed for `quietMs`. */
export async function reportsWhen(
  children: readonly Child[],
  isDone: (reports: readonly Report[]) => boolean,
  quietMs: number,
): Promise<Report[]> {
  let seen = "";
  let changedMs = performance.now();
  for (;;) {
    const reports = await Promise.all(children.map(report));
    if (isDone(reports)) return reports;
    const now = reports.map(({ delivered, sent, stable }) => `${delivered} ${sent} ${stable}`).join();
    if (now !== seen) {
      seen = now;
      changedMs = performance.now();
    } else if (performance.now() - changedMs > quietMs) {
      return reports;
    }
    await pause(POLL_MS);
  }
}

/** Waits. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

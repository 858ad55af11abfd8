/** Two changes of who is in the group, while everybody sends: one joins, and one is stopped for so long that it is evicted. */
import { DEADLINE_MS, type Player, type Players } from "./players.ts";
import type { Result } from "./trials.ts";

/** A process that was not there before joins, and gets what was sent before it came. @param ports Its own, and the way in. */
export async function newcomer(
  players: Players,
  ports: readonly number[],
  lines: readonly string[],
): Promise<Result> {
  const others = [...players.all];
  const before = others.reduce((sum, { typed }) => sum + typed.length, 0);
  const reading = others.map((player, index) =>
    players.read(player, lines.slice(4 * index, 4 * index + 4), player.typed.length)
  );
  const joiner = players.add(ports);
  await players.sees(joiner, others);
  await Promise.all(reading);
  players.send(joiner, `${joiner.name} has read what you said`);
  await players.confirmed();
  for (const other of others) {
    await players.receives(joiner, other, other.typed[0]);
    await players.receives(joiner, other, other.typed.at(-1) as string);
  }
  const past = joiner.terminal.screen.filter((line) => line.includes(", history)")).length;
  return {
    passed: past >= before,
    text: `${joiner.name} joined while the others were sending, with one of them as its way in, ` +
      `and got ${past} messages of the history`,
  };
}

/** A process is stopped until it was evicted; what was typed meanwhile it sends when it is back. */
export async function stopped(players: Players, victim: Player, lines: readonly string[]): Promise<Result> {
  const others = players.except(victim);
  const from = victim.terminal.screen.length;
  const marks = others.map(({ terminal }) => terminal.screen.length);
  const stoppedAt = performance.now();
  victim.terminal.stop();
  players.print(`     *** ${victim.name}, who leads, stopped with SIGSTOP ***`);
  // It reads this when it goes on, and may send it before it learns that it is no member any more.
  for (const line of lines.slice(0, 6)) players.send(victim, line);
  const reading = others.map((player) => players.read(player, lines.slice(6, 12), player.typed.length));
  for (const [index, { terminal }] of others.entries()) {
    await terminal.shows(new RegExp(`\\] ${victim.name} was evicted`), DEADLINE_MS, marks[index]);
  }
  const evictedMs = Math.round(performance.now() - stoppedAt);
  await Promise.all(reading);
  for (const other of others) await players.confirms(other);
  const resumedAt = performance.now();
  victim.terminal.resume();
  players.print(`     *** evicted by the others after ${evictedMs} ms; ${victim.name} goes on ***`);
  await victim.terminal.shows(/This process was evicted/, DEADLINE_MS, from);
  await players.confirmed();
  const backMs = Math.round(performance.now() - resumedAt);
  const [view] = await victim.terminal.shows(/View \d+: .*/, DEADLINE_MS, from);
  return {
    passed: true,
    text:
      `${victim.name} was stopped, evicted after ${evictedMs} ms, and back after ${backMs} ms (${view}), ` +
      "with everything confirmed by all",
  };
}

/** Types `members` everywhere: all must say the same. */
export async function members(players: Players): Promise<Result> {
  const lists: string[] = [];
  for (const { name, terminal } of players.all) {
    const from = terminal.screen.length;
    terminal.type("members");
    const last = new RegExp(`^  ${players.all.length}\\. P`);
    await terminal.shows(last, DEADLINE_MS, from);
    const rows = terminal.screen.slice(from).filter((line) => /^( {2}\d+\. |Members of view )/.test(line));
    if (rows.filter((row) => row.includes(`${name} at`) && row.includes("this process")).length !== 1) {
      return { passed: false, text: `${name} does not know which one it is` };
    }
    lists.push(
      rows.map((row) => row.replace(/, this process\)/, ")").replace(/ \(this process\)/, "")).join("\n"),
    );
  }
  const passed = new Set(lists).size === 1 && lists[0].includes("leads");
  return { passed, text: passed ? "all say the same" : lists.join(" | ") };
}

/** The four trials: what is typed in the terminals, and what must appear on their screens. */
import { readFileSync } from "node:fs";
import { readTraces, violations } from "../common/traces.ts";
import { pause } from "../common/terminal.ts";
import { DEADLINE_MS, type Player, type Players } from "./players.ts";

/** Which part of its lines the process that is killed has sent by then. */
const KILL_AT = 0.3;
/** How long the killed process stays away once the others have gone on, in milliseconds. */
const AWAY_MS = 500;
/** How soon the others must go on without a process that was killed, in milliseconds. */
const GO_ON_MS = 5000;
const BURST_COUNT = 200;
const CHAIN_ROUNDS = 5;

/** What a trial has shown. */
export interface Result {
  readonly passed: boolean;
  readonly text: string;
}

/** Waits until everybody is connected to everybody. */
export async function connected(players: Players): Promise<void> {
  for (const player of players.all) await players.sees(player, players.except(player));
}

/** Each sends, all deliver all. */
export async function basic(players: Players, lines: readonly string[]): Promise<Result> {
  players.all.forEach((player, index) => players.send(player, lines[index]));
  await players.confirmed();
  for (const player of players.all) {
    for (const other of players.except(player)) await players.receives(player, other, other.typed[0]);
  }
  return {
    passed: true,
    text: `each of ${players.all.length} sent a line, all delivered all, all confirmed`,
  };
}

/** Everybody sends at the same time, and replies to what it reads. */
export async function concurrency(players: Players, lines: readonly string[]): Promise<Result> {
  const [first, second, third] = players.all;
  for (const [index, line] of lines.entries()) players.send(players.all[index % players.all.length], line);
  for (let round = 1; round <= CHAIN_ROUNDS; round++) {
    players.send(first, `Question ${round}?`);
    await players.receives(second, first, `Question ${round}?`);
    players.send(second, `Answer ${round}.`);
    await players.receives(third, second, `Answer ${round}.`);
    players.send(third, `Thanks for answer ${round}.`);
  }
  await players.confirmed();
  const broken = violations(readTraces(players.all.map((player) => player.trace)), ["causal", "fifo"]);
  const clocks = clockSteps(players);
  const wrong = clocks.filter(([sent, received]) => received <= sent).length;
  if (broken.length > 0 || wrong > 0) {
    return {
      passed: false,
      text: `${wrong} clocks went wrong; ${broken.join("; ") || "causal order holds"}`,
    };
  }
  const times = (await players.statistics()).map((row) => row.get("lamport_time"));
  return {
    passed: true,
    text: `${lines.length} lines sent at once and ${CHAIN_ROUNDS} chains of replies: causal order holds, ` +
      `all ${clocks.length} receipts raised the clock, Lamport times now ${times.join(", ")}`,
  };
}

/** A process is killed in the middle; the others go on without it; it comes back and has everything. */
export async function recovery(players: Players, victim: Player, lines: readonly string[]): Promise<Result> {
  const share = Math.ceil(lines.length / players.all.length);
  const others = players.except(victim);
  const shares = new Map(
    players.all.map((player, index) => [player, lines.slice(index * share, (index + 1) * share)]),
  );
  const sharesOf = (player: Player): readonly string[] => shares.get(player) ?? [];
  const before = new Map(players.all.map((player) => [player, player.typed.length]));
  const read = (player: Player): Promise<void> =>
    players.read(player, sharesOf(player), before.get(player) ?? 0);
  const reading = new Map(players.all.map((player) => [player, read(player)]));
  void Promise.allSettled(reading.values());

  await players.sends(victim, sharesOf(victim)[Math.floor(share * KILL_AT)], victim.terminal.screen.length);
  const [witness] = others;
  const from = witness.terminal.screen.length;
  const killedAt = performance.now();
  victim.terminal.kill();
  await victim.terminal.ended;
  players.print(`     *** ${victim.name} killed with SIGKILL ***`);
  await reading.get(victim);
  players.markCrash(victim);

  await witness.terminal.shows(new RegExp(`\\] ${victim.name} was evicted`), DEADLINE_MS, from);
  const evictedMs = Math.round(performance.now() - killedAt);
  players.send(witness, `We go on without ${victim.name}`);
  await players.confirms(witness);
  const goOnMs = Math.round(performance.now() - killedAt);
  players.print(
    `     *** view without ${victim.name} after ${evictedMs} ms, ${witness.name}'s next line confirmed by all ` +
      `after ${goOnMs} ms ***`,
  );
  await pause(AWAY_MS);
  const missed = others.reduce((sum, other) => sum + other.typed.length, 0);

  players.restart(victim);
  // What the killed process had not accepted is typed again, as a person would who reads where it stopped.
  const pattern = new RegExp(`last own message ${victim.name}_(\\d+), (.*)`);
  const [, accepted, fate] = await victim.terminal.shows(pattern, DEADLINE_MS);
  victim.typed.length = Number(accepted);
  await players.sees(victim, others);
  await Promise.all([...others.map((other) => reading.get(other)), read(victim)]);
  await players.confirmed();
  return {
    passed: goOnMs <= GO_ON_MS,
    text: `${victim.name} killed after ${accepted} of its messages (${fate}); the others went on after ` +
      `${goOnMs} ms and had sent ${missed} when it came back; everything confirmed by all`,
  };
}

/** A burst from everybody. */
export async function load(players: Players, lines: readonly string[]): Promise<Result> {
  const started = performance.now();
  await players.quietly(async () => {
    for (let index = 0; index < BURST_COUNT; index++) {
      for (const player of players.all) players.send(player, lines[index % lines.length]);
    }
    await players.confirmed();
  });
  const count = players.all.length * BURST_COUNT;
  return {
    passed: true,
    text: `${BURST_COUNT} lines from each process at once: all ${count} confirmed in ${
      Math.round(performance.now() - started)
    } ms`,
  };
}

/** For every message on every screen: Lamport time when sent, and after it was received. */
function clockSteps(players: Players): (readonly [number, number])[] {
  return players.all.flatMap(({ terminal }) =>
    terminal.screen.flatMap((line) => {
      const match = /\[RECEIVE {5}\].*\(Lamport: (\d+) -> (\d+)\)$/.exec(line);
      return match === null ? [] : [[Number(match[1]), Number(match[2])] as const];
    })
  );
}

/** The lines of the text that is read out. */
export function poem(): string[] {
  const text = readFileSync(new URL("./sonnets.txt", import.meta.url), "utf8");
  return text.split("\n").filter((line) => line.trim() !== "");
}

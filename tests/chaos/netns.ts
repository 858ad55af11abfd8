/**
 * Members in networks of their own, under load: the port of one is down for a while; the group falls into two halves, of which
 * exactly one goes on; and when all are connected again, all become one group with the same messages.
 */
import { isChangeQuorum } from "../../core/membership/view.ts";
import { Crew, type CrewSettings, type Verdict } from "./crew.ts";
import { Network } from "./network.ts";
import type { Seat } from "./seat.ts";

/** How long the port is down, in milliseconds. */
const DOWN_MS = 4000;
/** Messages that a half that goes on sends, each with its receipt. */
const SENT_APART = 10;
/** How long a member of the other half is given for a send, in milliseconds. */
const REFUSED_MS = 500;

type Play = (crew: Crew, network: Network) => Promise<void>;

/**
 * Runs all cases.
 *
 * @returns Why it is not possible here, if it is not.
 * @throws {Error} When something that must happen does not. The traces are kept.
 */
export async function runNetns(settings: CrewSettings): Promise<Verdict[] | string> {
  const first = await connected(settings, 5, async (crew, network) => {
    await portDown(crew, network);
    await split(crew, network, [0, 1]);
    await split(crew, network, [0, 2, 4]);
  });
  if (typeof first === "string") return first;
  const second = await connected(settings, 4, async (crew, network) => {
    await split(crew, network, [0, 1]);
    await split(crew, network, [1, 2]);
  });
  return typeof second === "string" ? second : [first, second];
}

/** Lets a crew in a network play a case, and judges it. */
async function connected(settings: CrewSettings, members: number, play: Play): Promise<Verdict | string> {
  const network = Network.make(members, settings.print);
  if (typeof network === "string") return network;
  try {
    const crew = await Crew.start({ ...settings, members, places: network.places });
    let sound = false;
    try {
      await play(crew, network);
      const verdict = await crew.judge(crew.seats);
      sound = verdict.equal && verdict.violations.length === 0;
      return verdict;
    } finally {
      await crew.end(sound);
    }
  } finally {
    network.remove();
  }
}

/** All are one group again, and everybody's messages reach everybody. */
async function whole(crew: Crew): Promise<number> {
  const startedAt = performance.now();
  await crew.calm(crew.seats);
  await crew.converse(crew.seats);
  await crew.calm(crew.seats);
  return performance.now() - startedAt;
}

/** A member that cannot be reached for a while, the leader at that, and comes back by itself. */
async function portDown(crew: Crew, network: Network): Promise<void> {
  await whole(crew);
  const away = crew.leader();
  const others = crew.except(away);
  const from = crew.now();
  const port = crew.seats.indexOf(away);
  network.port(port, false);
  const up = new Promise((resolve) => setTimeout(resolve, DOWN_MS)).then(() => network.port(port, true)); // the fault itself
  up.catch(() => {}); // whoever waits for it below is told
  const times = await crew.without([away], others, from);
  const evictedMs = (Math.max(...times) - from) / 1e6;
  await crew.until(`${away.name} blocked`, () => away.blocked);
  await crew.converse(others);
  await up;
  const ms = await whole(crew);
  crew.print(
    `port of ${away.name}, the leader, down for ${DOWN_MS} ms: new view after ${
      evictedMs.toFixed(0)
    } ms, it was ` +
      `blocked, all are one group ${ms.toFixed(0)} ms after the port is up`,
  );
}

/**
 * Two halves: the one with a quorum goes on, and the other stops until they are one network again.
 *
 * @param ranks Who is on one of the sides, by seniority.
 */
async function split(crew: Crew, network: Network, ranks: readonly number[]): Promise<void> {
  await whole(crew);
  const seniority = crew.seniority();
  const [senior] = seniority;
  const rightHalf = ranks.map((rank) => seniority[rank]);
  const leftHalf = crew.except(...rightHalf);
  const [goesOn, stops] = isChangeQuorum(seniority.length, ranks)
    ? [rightHalf, leftHalf]
    : [leftHalf, rightHalf];
  const before = new Map(stops.map((seat) => [seat, seat.views.length]));
  const from = crew.now();
  network.split(rightHalf.map((seat) => crew.seats.indexOf(seat)));
  const times = await crew.without(stops, goesOn, from);
  await crew.until(`${names(stops)} blocked`, () => stops.every(({ blocked }) => blocked));
  for (let sent = 0; sent < SENT_APART; sent++) await crew.converse(goesOn);
  for (const seat of stops) {
    const { code } = await seat.ask("send", { deadlineMs: REFUSED_MS });
    if (code !== "NotPrimary") {
      throw new Error(
        `a send of ${seat.name}, without a quorum, ends with ${code ?? "a receipt"}, not NotPrimary`,
      );
    }
    if (seat.views.length > (before.get(seat) ?? 0)) {
      throw new Error(`${seat.name} has a view without a quorum`);
    }
  }
  network.heal();
  const ms = await whole(crew);
  crew.print(
    `${goesOn.length}-${stops.length} split: ${names(goesOn)} go on after ` +
      `${((Math.max(...times) - from) / 1e6).toFixed(0)} ms (the senior is ${senior.name}), ${
        names(stops)
      } are ` +
      `blocked with NotPrimary, all are one group ${ms.toFixed(0)} ms after the heal`,
  );
}

function names(seats: readonly Seat[]): string {
  return seats.map(({ name }) => name).join(" ");
}

/**
 * Properties of total order as they are defined, word for word, for histories in global order with views and joins. The checkers,
 * which are faster, must find a violation exactly when these do.
 */
import type { TraceLine } from "../../core/runtime/trace.ts";

/** What a node does from one `join` to the next. */
interface Membership {
  readonly node: string;
  readonly joined: boolean;
  /** The last one of its node, which is correct. */
  correct: boolean;
  readonly views: number[];
  /** From one crash to the next. */
  readonly lives: Delivery[][];
}

interface Delivery {
  readonly m: string;
  /** The last view installed before. */
  readonly view: number;
  /** It tells of the past, not of that view. */
  readonly past: boolean;
}

function membershipsOf(lines: readonly TraceLine[]): Membership[] {
  const all: Membership[] = [];
  const present = new Map<string, Membership>();
  /** Nodes that are in the view that they installed last. */
  const inView = new Set<string>();
  const begin = (node: string, joined: boolean): Membership => {
    const membership = { node, joined, correct: false, views: [], lives: [[]] };
    present.set(node, membership);
    all.push(membership);
    return membership;
  };
  for (const line of lines) {
    if (line.e === "end") {
      for (const node of line.correct) present.get(node)!.correct = true;
      continue;
    }
    if (line.e === "join") begin(line.n, true);
    const membership = present.get(line.n) ?? begin(line.n, false);
    if (line.e === "view") membership.views.push(line.v);
    if (line.e === "view") inView.add(line.n);
    if (line.e === "crash" || line.e === "join" || line.e === "evicted") inView.delete(line.n);
    if (line.e === "crash") membership.lives.push([]);
    if (line.e !== "deliver") continue;
    const past = line.replay === true || !inView.has(line.n);
    membership.lives.at(-1)!.push({ m: line.m, view: membership.views.at(-1) ?? -Infinity, past });
  }
  return all;
}

/** Messages that a node has delivered in a life, as far as it went on from there. */
function standing(membership: Membership): string[][] {
  const { correct, views, lives } = membership;
  return lives.map((life) =>
    life.filter(({ view }) => correct || view < (views.at(-1) ?? -Infinity)).map(({ m }) => m)
  );
}

/** There is an order in which every node delivers what stands. */
export function breaksTotalOrder(lines: readonly TraceLine[]): boolean {
  const before = new Map<string, Set<string>>();
  for (const membership of membershipsOf(lines)) {
    const lives = standing(membership);
    // Of all lives together the first delivery counts.
    for (const sequence of [...lives, [...new Set(lives.flat())]]) {
      sequence.forEach((m, place) => {
        before.set(m, new Set([...before.get(m) ?? [], ...sequence.slice(0, place)]));
      });
    }
  }
  return hasCircle(before);
}

/** There is a sequence of which the deliveries that stand are pieces, and beginnings where nobody joined. */
export function breaksPrefix(lines: readonly TraceLine[]): boolean {
  const before = new Map<string, Set<string>>();
  const after = new Map<string, Set<string>>();
  const link = (first: string, second: string): void => {
    before.set(second, (before.get(second) ?? new Set()).add(first));
    after.set(first, (after.get(first) ?? new Set()).add(second));
  };
  for (const membership of membershipsOf(lines)) {
    let had: string[] = membership.joined ? [] : ["the beginning"];
    for (const life of standing(membership)) {
      if (life.length > 0 && had.length > 0 && !had.includes(life[0])) link(had.at(-1)!, life[0]);
      life.slice(1).forEach((m, place) => link(life[place], m));
      if (life.length > 0) had = [...had, ...life];
    }
  }
  return [...before.values(), ...after.values()].some(({ size }) => size > 1) || hasCircle(before);
}

function hasCircle(before: ReadonlyMap<string, ReadonlySet<string>>): boolean {
  return [...before.keys()].some((start) => {
    const reached = new Set<string>();
    const open = [start];
    for (let m = open.pop(); m !== undefined; m = open.pop()) {
      for (const other of before.get(m) ?? []) {
        if (other === start) return true;
        if (!reached.has(other)) open.push(other);
        reached.add(other);
      }
    }
    return false;
  });
}

/**
 * What anybody delivers, those deliver who are correct or go on to a further view: if they did not join, everything; if they did,
 * what was delivered - or, when that is not known, sent - in their first view or later, and what is behind their first message.
 */
export function breaksUniformAgreement(lines: readonly TraceLine[]): boolean {
  const memberships = membershipsOf(lines);
  const lives = memberships.flatMap((membership) => membership.lives);
  const messages = [...new Set(lives.flat().map(({ m }) => m))].map((m) => {
    const delivered = lives.flat().filter((delivery) => delivery.m === m && !delivery.past);
    const view = Math.min(...delivered.map(({ view }) => view));
    return { m, view, since: view === Infinity ? sentIn(lines, m) : view };
  });
  return memberships.some(({ joined, correct, views, lives: own }) => {
    const had = own.flat().map(({ m }) => m);
    return messages.some(({ m, view, since }) => {
      if (had.includes(m)) return false;
      const limit = correct ? Infinity : views.at(-1) ?? -Infinity;
      if (view >= limit && !correct) return false;
      const isBehind = joined && since < (views[0] ?? Infinity) &&
        lives.some((life) => {
          const place = life.findIndex((other) => other.m === had[0]);
          return place >= 0 && life.findIndex((other) => other.m === m) > place;
        });
      return isBehind || !joined || since >= (views[0] ?? Infinity);
    });
  });
}

/** The view of a message's sender when it was sent. */
function sentIn(lines: readonly TraceLine[], m: string): number {
  const index = lines.findIndex((line) => line.e === "send" && line.m === m);
  const sender = lines[index];
  const turn = lines.slice(0, index).findLast((line) =>
    line.e !== "end" && sender.e === "send" && line.n === sender.n &&
    ["view", "join", "crash", "evicted"].includes(line.e)
  );
  return turn?.e === "view" ? turn.v : -Infinity;
}

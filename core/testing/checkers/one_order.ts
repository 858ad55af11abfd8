/**
 * Whether sequences of messages fit into one order, and whether they are pieces of one sequence. Both take time in proportion
 * to the deliveries; only where something is wrong, pairs of runs are compared to say what.
 */
import { messageOf, type Run } from "./delivery_runs.ts";
import type { Delivery, Message } from "./history.ts";
import type { Findings } from "./violation.ts";

/** The first deliveries of a run that are looked at. */
export interface Sequence {
  readonly run: Run;
  readonly count: number;
}

/**
 * Checks that one order has all messages as every sequence has them: that "delivered directly before", taken over all
 * sequences, has no cycle (Kahn 1962, "Topological sorting of large networks").
 *
 * @param sequences What was delivered.
 * @param messages All messages of the group, by number.
 * @param findings Gets what contradicts that: pairs where there are such, else a cycle.
 */
export function checkOneOrder(
  sequences: readonly Sequence[],
  messages: readonly Message[],
  findings: Findings,
): void {
  const tangled = tangledIn(sequences, messages.length);
  if (tangled === undefined) return;
  let found = false;
  const places = new Int32Array(messages.length);
  for (const [number, one] of sequences.entries()) {
    places.fill(-1);
    for (let place = 0; place < one.count; place++) {
      places[messageOf(one.run.deliveries[place]).number] = place;
    }
    for (let other = number + 1; other < sequences.length && !findings.full; other++) {
      found = checkPair(one, sequences[other], places, tangled, findings) || found;
    }
  }
  if (!found) reportCycle(sequences, messages, tangled, findings);
}

/** Which messages lie on a cycle or behind one; `undefined` when there is none. */
function tangledIn(sequences: readonly Sequence[], messageCount: number): Uint8Array | undefined {
  const starts = new Int32Array(messageCount + 1);
  const causes = new Int32Array(messageCount);
  for (const { run: { deliveries }, count } of sequences) {
    for (let place = 1; place < count; place++) {
      starts[messageOf(deliveries[place - 1]).number + 1]++;
      causes[messageOf(deliveries[place]).number]++;
    }
  }
  for (let number = 0; number < messageCount; number++) starts[number + 1] += starts[number];
  const ends = starts.slice();
  const followers = new Int32Array(starts[messageCount]);
  for (const { run: { deliveries }, count } of sequences) {
    for (let place = 1; place < count; place++) {
      followers[ends[messageOf(deliveries[place - 1]).number]++] = messageOf(deliveries[place]).number;
    }
  }
  const ready: number[] = [];
  for (let number = 0; number < messageCount; number++) if (causes[number] === 0) ready.push(number);
  let doneCount = 0;
  while (ready.length > 0) {
    const number = ready.pop()!;
    doneCount++;
    for (let place = starts[number]; place < starts[number + 1]; place++) {
      if (--causes[followers[place]] === 0) ready.push(followers[place]);
    }
  }
  return doneCount === messageCount ? undefined : Uint8Array.from(causes, (count) => count > 0 ? 1 : 0);
}

/** Finds the first message that another run has in the wrong place; returns whether there is one. */
function checkPair(
  one: Sequence,
  other: Sequence,
  places: Int32Array,
  tangled: Uint8Array,
  findings: Findings,
): boolean {
  let latest: Delivery | undefined;
  let latestPlace = -1;
  for (let index = 0; index < other.count; index++) {
    const delivery = other.run.deliveries[index];
    const { m, number } = messageOf(delivery);
    if (tangled[number] === 0 || places[number] < 0) continue;
    if (places[number] < latestPlace) {
      const { m: early } = messageOf(latest!);
      findings.add(
        `${other.run.node} delivers ${early} before ${m}, ${one.run.node} delivers ${m} before ${early}`,
        delivery.index,
      );
      return true;
    }
    latest = delivery;
    latestPlace = places[number];
  }
  return false;
}

/** No two runs contradict each other, but several of them together do. */
function reportCycle(
  sequences: readonly Sequence[],
  messages: readonly Message[],
  tangled: Uint8Array,
  findings: Findings,
): void {
  const before: { readonly delivery: Delivery; readonly run: Run }[] = new Array(messages.length);
  let start = -1;
  for (const { run, count } of sequences) {
    for (let place = 1; place < count; place++) {
      const delivery = run.deliveries[place - 1];
      const { number } = messageOf(run.deliveries[place]);
      if (tangled[number] === 0 || tangled[messageOf(delivery).number] === 0) continue;
      before[number] = { delivery, run };
      start = number;
    }
  }
  // Each of these has another one before it, so whoever walks back comes round; from there once more, to see the way.
  const seen = new Set<number>();
  for (; !seen.has(start); start = messageOf(before[start].delivery).number) seen.add(start);
  const steps: { readonly run: Run; from: Delivery; readonly to: string }[] = [];
  let number = start;
  do {
    const { delivery, run } = before[number];
    const step = steps.at(-1);
    if (step?.run === run) step.from = delivery;
    else steps.push({ run, from: delivery, to: messages[number].m });
    number = messageOf(delivery).number;
  } while (number !== start);
  const way = steps.toReversed().map(({ run, from, to }) =>
    `${run.node} delivers ${messageOf(from).m} before ${to}`
  );
  findings.add(`no order has all: ${way.join(", ")}`, steps[0].from.index);
}

/**
 * Checks that all sequences are pieces of one, without gaps: a message is directly behind the same one everywhere, those that
 * start at the beginning start with the same one, and who comes back after a crash starts in what it had, or directly behind.
 *
 * @param sequences What was delivered.
 * @param messages All messages of the group, by number.
 * @param findings Gets the first place of each sequence that does not fit.
 */
export function checkOneSequence(
  sequences: readonly Sequence[],
  messages: readonly Message[],
  findings: Findings,
): void {
  const links = new Links(messages);
  let fits = true;
  for (const { run, count } of sequences) {
    for (let place = 0; place < count; place++) {
      const delivery = run.deliveries[place];
      const before = place > 0 ? messageOf(run.deliveries[place - 1]).number : firstLink(run, delivery);
      const rival = before === undefined ? undefined : links.add(before, delivery);
      if (rival === undefined) continue;
      findings.add(rival, delivery.index);
      fits = false;
      break;
    }
  }
  const circle = fits ? links.findCircle() : undefined;
  if (circle === undefined) return;
  findings.add(
    `no sequence has all: from ${circle.line.m} on they lead back to ${circle.line.m}`,
    circle.index,
  );
}

/** What a run's first message is directly behind; -1 for the beginning, `undefined` for anything. */
function firstLink(run: Run, { message }: Delivery): number | undefined {
  if (run.start === "beginning") return -1;
  if (run.start === "join") return undefined;
  const known = run.membership.delivered.get(message!);
  if (known !== undefined && known.life !== run.deliveries[0].life) return undefined;
  let former = run.former;
  // A restart may have been too short to deliver anything known.
  while (former !== undefined && former.deliveries.length === 0) former = former.former;
  const last = former?.deliveries.at(-1);
  if (last !== undefined) return messageOf(last).number;
  return run.membership.joined ? undefined : -1;
}

/** Which message is directly behind which. */
class Links {
  readonly #messages: readonly Message[];
  /** The delivery behind each message; the one behind the beginning comes last. */
  readonly #next: (Delivery | undefined)[];
  /** The delivery of each message for which it is known what comes before. */
  readonly #deliveries: (Delivery | undefined)[];
  /** The number of the message before each such; -1 for the beginning. */
  readonly #before: Int32Array;

  constructor(messages: readonly Message[]) {
    this.#messages = messages;
    this.#next = new Array(messages.length + 1);
    this.#deliveries = new Array(messages.length);
    this.#before = new Int32Array(messages.length);
  }

  /** Notes that a message is directly behind another; returns what contradicts it. */
  add(before: number, delivery: Delivery): string | undefined {
    const { line: { n }, message } = delivery;
    const { m, number } = message!;
    const slot = before < 0 ? this.#messages.length : before;
    const next = this.#next[slot];
    if (next !== undefined && next.message !== message) {
      return `${n} delivers ${m} ${this.#where(before)}, ${next.line.n} delivers ${next.line.m} there`;
    }
    const known = this.#deliveries[number];
    if (known !== undefined && this.#before[number] !== before) {
      const there = this.#where(this.#before[number]);
      return `${n} delivers ${m} ${this.#where(before)}, ${known.line.n} delivers it ${there}`;
    }
    this.#next[slot] = this.#deliveries[number] = delivery;
    this.#before[number] = before;
    return undefined;
  }

  /** A delivery whose message is behind itself. */
  findCircle(): Delivery | undefined {
    // At most one message is directly before each, so a walk back ends, or comes round.
    const walks = new Int32Array(this.#messages.length).fill(-1);
    for (let start = 0; start < walks.length; start++) {
      let number = start;
      while (number >= 0 && walks[number] < 0 && this.#deliveries[number] !== undefined) {
        walks[number] = start;
        number = this.#before[number];
      }
      if (number >= 0 && walks[number] === start) return this.#deliveries[number];
    }
    return undefined;
  }

  #where(before: number): string {
    return before < 0 ? "first" : `directly after ${this.#messages[before].m}`;
  }
}

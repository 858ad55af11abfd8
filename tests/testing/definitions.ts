/**
 * Properties as they are defined, word for word and pair by pair, for histories in global order with views and joins. The
 * checkers, which are faster, must find a violation exactly when these do.
 */
import type { DeliverLine, NodeLine, SendLine, TraceLine } from "../../core/runtime/trace.ts";

/** A line with what its node was when it happened. */
interface Event<Line extends NodeLine = NodeLine> {
  readonly line: Line;
  /** Which of the node's memberships, from 0. */
  readonly membership: number;
  /** Which of its lives. */
  readonly life: number;
  readonly view: number | undefined;
}

class Reading {
  readonly events: Event[] = [];
  readonly correct: readonly string[];
  readonly #joined: Set<string> = new Set();
  readonly #present: Map<string, { membership: number; life: number }> = new Map();

  constructor(lines: readonly TraceLine[]) {
    const states = new Map<string, { membership: number; life: number; view: number | undefined }>();
    let correct: readonly string[] = [];
    for (const line of lines) {
      if (line.e === "end") {
        correct = line.correct;
        continue;
      }
      const state = states.get(line.n) ?? { membership: 0, life: 0, view: undefined };
      states.set(line.n, state);
      this.#present.set(line.n, state);
      if (line.e === "join") {
        state.membership++;
        this.#joined.add(`${line.n} ${state.membership}`);
      }
      if (line.e === "join" || line.e === "crash" || line.e === "evicted" || line.e === "leave") {
        state.life++;
        state.view = undefined;
      }
      if (line.e === "view") state.view = line.v;
      this.events.push({ line, ...state });
    }
    this.correct = correct;
  }

  of<E extends NodeLine["e"]>(e: E): Event<Extract<NodeLine, { readonly e: E }>>[] {
    return this.events.filter(({ line }) => line.e === e) as Event<Extract<NodeLine, { readonly e: E }>>[];
  }

  isPresent({ line, membership }: Event): boolean {
    return this.#present.get(line.n)?.membership === membership;
  }

  isPresentLife({ line, life }: Event): boolean {
    return this.#present.get(line.n)?.life === life;
  }

  isJoined({ line, membership }: Event): boolean {
    return this.#joined.has(`${line.n} ${membership}`);
  }

  /** Whether a node's present membership began with a join. */
  hasJoined(node: string): boolean {
    return this.#joined.has(`${node} ${this.#present.get(node)?.membership}`);
  }

  /** The first view of a node's membership. */
  firstView(node: string, membership: number): number {
    const first = this.of("view").find((event) => event.line.n === node && event.membership === membership);
    return first?.line.v ?? Infinity;
  }

  /** The first view of a node's present membership. */
  presentFirstView(node: string): number {
    return this.firstView(node, this.#present.get(node)?.membership ?? 0);
  }

  hasInPresent(node: string, m: string): boolean {
    return this.of("deliver").some((event) => {
      return event.line.n === node && event.line.m === m && this.isPresent(event);
    });
  }
}

/** What a correct node delivers in a view, every correct node delivers that is a member since that view or longer. */
export function breaksAgreement(lines: readonly TraceLine[]): boolean {
  const reading = new Reading(lines);
  return reading.of("deliver").some((event) => {
    const { line, view } = event;
    if (!reading.correct.includes(line.n) || !reading.isPresent(event) || view === undefined) return false;
    return reading.correct.some((node) =>
      reading.presentFirstView(node) <= view && !reading.hasInPresent(node, line.m)
    );
  });
}

/**
 * What a correct node sends in a view, it and every correct node deliver that is a member since that view or longer; what it sends
 * before its first view, those deliver that never joined.
 */
export function breaksValidity(lines: readonly TraceLine[]): boolean {
  const reading = new Reading(lines);
  return reading.of("send").some((event) => {
    const { line: { n, m, failed }, view } = event;
    if (failed || !reading.correct.includes(n) || !reading.isPresentLife(event)) return false;
    const asks = (node: string): boolean =>
      view === undefined ? !reading.hasJoined(node) : reading.presentFirstView(node) <= view;
    return reading.correct.some((node) => (node === n || asks(node)) && !reading.hasInPresent(node, m));
  });
}

/**
 * Who goes from v to v+1 with another has delivered the same in v; no message is delivered in two views; and a newcomer of v+1
 * delivers nothing before it that somebody who comes from v has not delivered before it, except what his own snapshot may cover.
 */
export function breaksViewSynchrony(lines: readonly TraceLine[]): boolean {
  const reading = new Reading(lines);
  const all = reading.of("deliver");
  const deliveries = all.filter(({ view }) => view !== undefined);
  for (const a of deliveries) {
    if (deliveries.some((b) => a.line.m === b.line.m && a.view !== b.view)) return true;
  }
  const moves = reading.of("view").filter(({ line, life }) =>
    reading.of("view").some((next) =>
      next.line.n === line.n && next.life === life && next.line.v === line.v + 1
    )
  );
  const within = ({ line, life }: Event, v: number): string =>
    deliveries.filter((event) => event.line.n === line.n && event.life === life && event.view === v)
      .map((event) => event.line.m).sort().join();
  if (
    moves.some((a) => moves.some((b) => a.line.v === b.line.v && within(a, a.line.v) !== within(b, b.line.v)))
  ) return true;
  const sends = new Map(reading.of("send").map((event) => [event.line.m, event]));
  return all.some((event) => {
    const { line: { n, m }, membership, view } = event;
    if (view !== undefined || !reading.isJoined(event)) return false;
    const first = reading.firstView(n, membership);
    return moves.some((move) => {
      if (move.line.v + 1 !== first) return false;
      const own = all.find((other) =>
        other.line.n === move.line.n && other.membership === move.membership && other.line.m === m
      );
      if (own !== undefined) return (own.view ?? -1) > move.line.v;
      return !reading.isJoined(move) ||
        viewOf(sends.get(m)!, deliveries) >= reading.firstView(move.line.n, move.membership);
    });
  });
}

/** Nobody delivers before, or without, what could have influenced it, except what its snapshot may cover. */
export function breaksCausalOrder(lines: readonly TraceLine[]): boolean {
  const reading = new Reading(lines);
  const sends = new Map(reading.of("send").map((event) => [event.line.m, event]));
  const pasts = new Map<string, Set<string>>();
  const known = new Map<string, Set<string>>();
  for (const { line, membership } of reading.events) {
    if (line.e !== "send" && line.e !== "deliver") continue;
    const key = `${line.n} ${membership}`;
    const own = known.get(key) ?? new Set();
    known.set(key, own);
    if (line.e === "send") pasts.set(line.m, new Set(own));
    else for (const before of pasts.get(line.m)!) own.add(before);
    own.add(line.m);
  }
  const deliveries = reading.of("deliver");
  return deliveries.some((event) => {
    const { line: { n, m }, membership } = event;
    const own = deliveries.filter((other) => other.line.n === n && other.membership === membership);
    return [...pasts.get(m)!].some((before) => {
      const place = own.findIndex((other) => other.line.m === before);
      if (place >= 0) return place > own.indexOf(event);
      const cause = sends.get(before)!;
      if (cause.line.failed) return false;
      return !reading.isJoined(event) || viewOf(cause, deliveries) >= reading.firstView(n, membership);
    });
  });
}

/** The view in which a message is delivered, or was sent. */
function viewOf({ line, view = -1 }: Event<SendLine>, deliveries: readonly Event<DeliverLine>[]): number {
  const views = deliveries.flatMap((event) => event.line.m === line.m ? event.view ?? [] : []);
  return views.length > 0 ? Math.min(...views) : view;
}

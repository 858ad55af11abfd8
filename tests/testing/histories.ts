/** Histories for the tests of the checkers: written by hand in a short form, and generated correct ones. */
import fc from "fast-check";
import type { DepartureReason, NodeLine, TraceLine } from "../../core/runtime/trace.ts";
import { checkTrace, TRACE_PROPERTIES, type TraceProperty } from "../../core/testing/checkers/mod.ts";

/** The properties that a trace breaks, of those asked for. */
export function broken(
  lines: readonly TraceLine[],
  properties: readonly TraceProperty[] = TRACE_PROPERTIES,
): string[] {
  const violations = checkTrace(lines, { properties });
  return [...new Set(violations.map(({ property }) => property))];
}

/**
 * Reads the short form, one event for each line: `a send m1`, `a fail m1`, `b deliver m1 a`, `b replay m1 a`, `a acked m1`,
 * `b crash`, `b join`, `b leave`, `b evicted 2`, `a view 2 a,b`, `a view 2 a,b c:left,d:slow`, `a epoch 2`, `a epoch 2 b`,
 * `a leader 2`, `end a,b`. A group follows the node: `a@g send m1`. A delivery may end in its position: `b deliver m1 a 3`.
 */
export function history(text: string): TraceLine[] {
  return text.split("\n").map((row) => row.trim()).filter((row) => row !== "").map(toLine);
}

function toLine(row: string): TraceLine {
  const [who, e, first, second, third] = row.split(" ");
  if (who === "end") return { e: "end", correct: e.split(",") };
  const [n, g] = who.split("@");
  const origin = g === undefined ? { n } : { n, g };
  const position = third === undefined ? {} : { i: Number(third) };
  switch (e) {
    case "send":
      return { ...origin, e, m: first };
    case "fail":
      return { ...origin, e: "send", m: first, failed: true };
    case "deliver":
      return { ...origin, e, m: first, from: second, ...position };
    case "replay":
      return { ...origin, e: "deliver", m: first, from: second, ...position, replay: true };
    case "acked":
      return { ...origin, e, m: first };
    case "crash":
    case "join":
    case "leave":
      return { ...origin, e };
    case "evicted":
      return { ...origin, e, v: Number(first) };
    case "view": {
      const line = { ...origin, e, v: Number(first), members: second.split(",") } as const;
      if (third === undefined) return line;
      const departed = third.split(",").map((item) => item.split(":") as [string, DepartureReason]);
      return { ...line, departed: Object.fromEntries(departed) };
    }
    case "epoch":
      return second === undefined
        ? { ...origin, e, epoch: Number(first) }
        : { ...origin, e, epoch: Number(first), leader: second };
    case "leader":
      return { ...origin, e, epoch: Number(first) };
    default:
      throw new Error(`no such event: ${row}`);
  }
}

/** Two members that have moved to view 2 together, in the short form. */
export const PAIR = "a view 1 a\n b join\n a view 2 a,b\n b view 2 a,b\n";
/** Three members that have. */
export const TRIO = "a view 1 a\n b join\n c join\n a view 2 a,b,c\n b view 2 a,b,c\n c view 2 a,b,c\n";

/** A step of a generated history; numbers choose among what is possible. */
interface Step {
  readonly act: "send" | "deliver" | "crash" | "restart";
  readonly node: number;
  readonly choice: number;
}

interface Sent {
  readonly m: string;
  readonly sender: string;
  /** Everything that could have influenced it. */
  readonly past: ReadonlySet<Sent>;
}

interface Member {
  readonly name: string;
  up: boolean;
  /** Delivered, or part of the state that it joined with. */
  has: Set<Sent>;
}

/** Histories of a correct causal broadcast with crashes and restarts by state transfer, in global order. */
export const correctHistories: fc.Arbitrary<TraceLine[]> = fc.record({
  size: fc.integer({ min: 1, max: 5 }),
  steps: fc.array(
    fc.record<Step>({
      act: fc.constantFrom(
        "send",
        "send",
        "send",
        "deliver",
        "deliver",
        "deliver",
        "deliver",
        "crash",
        "restart",
      ),
      node: fc.nat(4),
      choice: fc.nat(100),
    }),
    { maxLength: 60 },
  ),
}).map(({ size, steps }) => {
  const run = new CorrectRun(size);
  for (const step of steps) run.take(step);
  return run.finish();
});

class CorrectRun {
  readonly #lines: TraceLine[] = [];
  readonly #members: Member[];
  readonly #sent: Sent[] = [];
  readonly #acked: Set<Sent> = new Set();

  constructor(size: number) {
    this.#members = Array.from(
      { length: size },
      (_, index) => ({ name: `n${index}`, up: true, has: new Set() }),
    );
  }

  take({ act, node, choice }: Step): void {
    const member = this.#members[node % this.#members.length];
    const { name } = member;
    const up = this.#members.filter((other) => other.up);
    if (act === "restart") {
      if (member.up) return;
      member.up = true;
      member.has = new Set(up[choice % up.length].has);
      this.#lines.push({ n: name, e: "join" });
    } else if (!member.up) return;
    else if (act === "crash") {
      if (up.length === 1) return;
      member.up = false;
      this.#lines.push({ n: name, e: "crash" });
    } else if (act === "send") {
      const message: Sent = { m: `m${this.#sent.length}`, sender: name, past: new Set(member.has) };
      this.#sent.push(message);
      this.#lines.push({ n: name, e: "send", m: message.m });
      this.#deliver(member, message);
    } else {
      const ready = this.#ready(member);
      if (ready.length > 0) this.#deliver(member, ready[choice % ready.length]);
    }
  }

  finish(): TraceLine[] {
    const up = this.#members.filter((member) => member.up);
    for (const member of up) {
      for (let ready = this.#ready(member); ready.length > 0; ready = this.#ready(member)) {
        this.#deliver(member, ready[0]);
      }
    }
    this.#lines.push({ e: "end", correct: up.map(({ name }) => name) });
    return this.#lines;
  }

  #ready(member: Member): Sent[] {
    return this.#sent.filter((message) =>
      !member.has.has(message) && [...message.past].every((before) => member.has.has(before))
    );
  }

  #deliver(member: Member, message: Sent): void {
    member.has.add(message);
    this.#lines.push({ n: member.name, e: "deliver", m: message.m, from: message.sender });
    const stable = this.#members.every((other) => !other.up || other.has.has(message));
    if (!stable || this.#acked.has(message)) return;
    this.#acked.add(message);
    this.#lines.push({ n: message.sender, e: "acked", m: message.m });
  }
}

/** Histories in which nodes deliver what was sent in any order at all; nobody crashes. */
export const lawlessHistories: fc.Arbitrary<NodeLine[]> = fc.array(
  fc.record({ node: fc.nat(2), sends: fc.boolean(), choice: fc.nat(100) }),
  { maxLength: 25 },
).map((steps) => {
  const lines: NodeLine[] = [];
  const sent: { m: string; from: string }[] = [];
  const delivered = new Set<string>();
  for (const { node, sends, choice } of steps) {
    const n = `n${node}`;
    if (sends) {
      const m = `m${sent.length}`;
      sent.push({ m, from: n });
      lines.push({ n, e: "send", m });
    } else {
      const open = sent.filter(({ m }) => !delivered.has(`${n} ${m}`));
      if (open.length === 0) continue;
      const { m, from } = open[choice % open.length];
      delivered.add(`${n} ${m}`);
      lines.push({ n, e: "deliver", m, from });
    }
  }
  return lines;
});

/** The same lines merged otherwise: each node's order is kept, nothing else. */
export function interleave(lines: readonly TraceLine[], choices: readonly number[]): TraceLine[] {
  const queues = new Map<string, TraceLine[]>();
  for (const line of lines) {
    const node = line.e === "end" ? "" : line.n;
    queues.set(node, [...queues.get(node) ?? [], line]);
  }
  const merged: TraceLine[] = [];
  for (let step = 0; queues.size > 0; step++) {
    const nodes = [...queues.keys()];
    const node = nodes[(choices[step % choices.length] ?? 0) % nodes.length];
    const queue = queues.get(node)!;
    merged.push(queue.shift()!);
    if (queue.length === 0) queues.delete(node);
  }
  return merged;
}

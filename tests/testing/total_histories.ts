/**
 * Generated correct histories of a totally ordered group, seen from above: there is one sequence, each member is somewhere in it, and
 * a view change says how far everybody must get in the view before. Members crash and come back, with their memory or by
 * state transfer; all may be down at once. At level `agreed` those that are cut off deliver things of their own.
 */
import fc from "fast-check";
import type { TraceLine } from "../../core/runtime/trace.ts";

/** A step of a history; numbers choose among what is possible. */
interface Step {
  readonly act: "send" | "order" | "deliver" | "ack" | "crash" | "restart" | "change" | "stray" | "learn";
  readonly node: number;
  readonly choice: number;
}

interface Sent {
  readonly m: string;
  readonly from: string;
}

interface Node {
  readonly name: string;
  /** `cut off`: alive, and no member without knowing it. `out`: it can join. */
  state: "in" | "cut off" | "out" | "down";
  view: number;
  /** How many messages it has delivered, or has in its state. */
  position: number;
  /** The position that it had after its last join. */
  start: number;
  /** What it delivered when it was cut off. */
  readonly strays: Set<Sent>;
}

const ACTS: readonly Step["act"][] = [
  ...["send", "send", "send", "order", "order", "order", "deliver", "deliver", "deliver", "deliver"] as const,
  ...["deliver", "deliver", "ack", "ack", "crash", "restart", "restart", "change", "stray", "learn"] as const,
];

/**
 * Histories with an `end` line, in global order.
 *
 * @param strays Whether a member that is cut off may deliver in an order of its own.
 */
export function totalHistories(strays: boolean): fc.Arbitrary<TraceLine[]> {
  return fc.record({
    size: fc.integer({ min: 2, max: 5 }),
    steps: fc.array(
      fc.record<Step>({ act: fc.constantFrom(...ACTS), node: fc.nat(4), choice: fc.nat(100_000) }),
      { minLength: 30, maxLength: 150, size: "max" },
    ),
  }).map(({ size, steps }) => {
    const run = new TotalRun(size, strays);
    for (const step of steps) run.take(step);
    return run.finish();
  });
}

class TotalRun {
  readonly #lines: TraceLine[] = [];
  readonly #nodes: Node[];
  readonly #strays: boolean;
  #sent: Sent[] = [];
  /** The one sequence. */
  readonly #order: Sent[] = [];
  #acknowledged = 0;
  #count = 0;
  #view = 1;
  #members: Node[];
  /** How many messages the views before the present one have in all. */
  readonly #ends: Map<number, number> = new Map();

  constructor(size: number, strays: boolean) {
    this.#strays = strays;
    this.#nodes = Array.from({ length: size }, (_, index) => ({
      name: `n${index}`,
      state: "out",
      view: 0,
      position: 0,
      start: 0,
      strays: new Set(),
    }));
    const [first] = this.#nodes;
    this.#members = [first];
    first.state = "in";
    this.#install(first);
    this.take({ act: "change", node: 0, choice: 0 });
  }

  take({ act, node: place, choice }: Step): void {
    const node = this.#nodes[place % this.#nodes.length];
    const { name, state } = node;
    switch (act) {
      case "send":
        if (state !== "in" && state !== "cut off") return;
        this.#sent.push({ m: `m${this.#count}`, from: name });
        this.#lines.push({ n: name, e: "send", m: `m${this.#count++}` });
        return;
      case "order":
        if (this.#sent.length > 0) this.#order.push(...this.#sent.splice(choice % this.#sent.length, 1));
        return;
      case "deliver":
        if (state === "in" || state === "cut off") this.#deliverNext(node);
        return;
      case "ack":
        return this.#acknowledge();
      case "crash":
        if (state === "down" || node.view === 0) return;
        node.state = "down";
        this.#lines.push({ n: name, e: "crash" });
        return;
      case "restart":
        return this.#restart(node, choice);
      case "change":
        return this.#change(choice);
      case "stray":
        return this.#stray(node, choice);
      case "learn":
        if (state !== "cut off") return;
        node.state = "out";
        this.#lines.push({ n: name, e: "evicted", v: node.view });
        return;
    }
  }

  finish(): TraceLine[] {
    const correct = this.#members.filter(({ state }) => state === "in");
    for (const node of correct) {
      this.#reach(node);
      while (this.#deliverNext(node));
    }
    this.#lines.push({ e: "end", correct: correct.map(({ name }) => name) });
    return this.#lines;
  }

  #deliverNext(node: Node, replay = false): boolean {
    const { name, position, view } = node;
    if (position >= (this.#ends.get(view) ?? this.#order.length) || node.strays.size > 0) return false;
    const { m, from } = this.#order[position];
    node.position++;
    this.#lines.push({
      n: name,
      e: "deliver",
      m,
      from,
      i: node.position,
      ...(replay ? { replay } : {}),
    });
    return true;
  }

  /** Whoever is cut off may go on for a while with what it has, as if it were ordered. */
  #stray(node: Node, choice: number): void {
    if (!this.#strays || node.state !== "cut off") return;
    const known = [...this.#sent, ...this.#order.slice(node.position)].filter((sent) =>
      !node.strays.has(sent)
    );
    if (known.length === 0) return;
    const sent = known[choice % known.length];
    node.strays.add(sent);
    const i = node.position + node.strays.size;
    this.#lines.push({ n: node.name, e: "deliver", m: sent.m, from: sent.from, i });
  }

  #acknowledge(): void {
    if (this.#acknowledged >= this.#order.length) return;
    const { m, from } = this.#order[this.#acknowledged++];
    this.#lines.push({ n: from, e: "acked", m });
  }

  /** A member comes back with its memory, a former one can join again. */
  #restart(node: Node, choice: number): void {
    if (node.state !== "down") return;
    if (!this.#members.includes(node) || node.strays.size > 0) {
      node.state = "out";
      return;
    }
    node.state = "in";
    const had = node.position;
    node.position = Math.max(node.position - choice % 4, node.start);
    if (node.position === had) this.#lines.push({ n: node.name, e: "epoch", epoch: node.view });
    while (node.position < had) this.#deliverNext(node, true);
  }

  #change(choice: number): void {
    for (const node of this.#members) if (node.state === "in") this.#reach(node);
    const up = this.#members.filter(({ state }) => state === "in");
    const staying = up.filter((_, place) => place === 0 || (choice >> place) % 8 !== 7);
    if (staying.length === 0) return;
    const joiners = this.#nodes.filter((node, place) => node.state === "out" && (choice >> place) % 4 !== 3);
    const end = this.#order.length;
    for (const node of joiners) this.#join(node, staying[choice % staying.length], choice);
    this.#ends.set(this.#view, end);
    this.#view++;
    for (const node of up) if (!staying.includes(node)) node.state = "cut off";
    this.#members = [...staying, ...joiners];
    for (const node of joiners) {
      while (this.#deliverNext(node));
      this.#install(node);
    }
  }

  #join(node: Node, giver: Node, choice: number): void {
    node.strays.clear();
    node.state = "in";
    node.view = this.#view;
    node.position = node.start = Math.max(0, giver.position - choice % 3);
    this.#lines.push({ n: node.name, e: "join" });
  }

  /** A node that is on the way to the present view gets there. */
  #reach(node: Node): void {
    if (node.view === this.#view) return;
    while (this.#deliverNext(node));
    this.#install(node);
  }

  #install(node: Node): void {
    node.view = this.#view;
    this.#lines.push({
      n: node.name,
      e: "view",
      v: node.view,
      members: this.#members.map(({ name }) => name),
    });
  }
}

/**
 * Generated correct histories of a group whose membership changes: an ideal causal broadcast with view changes, seen from above.
 * Members crash, leave, are evicted while alive, come back by state transfer; each installs the next view when it gets there.
 */
import fc from "fast-check";
import type { DepartureReason, NodeLine, TraceLine } from "../../core/runtime/trace.ts";

/** A step of a history; numbers choose among what is possible. */
interface Step {
  readonly act: "send" | "fail" | "deliver" | "ack" | "crash" | "restart" | "change" | "install" | "learn";
  readonly node: number;
  readonly choice: number;
}

interface Sent {
  readonly m: string;
  readonly sender: string;
  /** The view that it belongs to. */
  readonly view: number;
  /** The place of its line. */
  readonly index: number;
  /** Everything that could have influenced it. */
  readonly past: ReadonlySet<Sent>;
}

interface Node {
  readonly name: string;
  /** `cut off`: alive and evicted without knowing it. */
  state: "in" | "cut off" | "out" | "down";
  view: number;
  /** Delivered, or part of the state that it joined with. */
  has: Set<Sent>;
  /** Sent, delivered or not. */
  own: Set<Sent>;
  /** What it must deliver before it installs the next view. */
  cut: ReadonlySet<Sent> | undefined;
  joinedIndex: number;
  /** It has the snapshot and has written no line since. */
  silent: boolean;
  /** The receipts that it still waits for. */
  waiting: Set<Sent>;
}

const ACTS: readonly Step["act"][] = [
  ...[
    "send",
    "send",
    "send",
    "send",
    "deliver",
    "deliver",
    "deliver",
    "deliver",
    "deliver",
    "deliver",
  ] as const,
  ...["deliver", "deliver", "deliver", "deliver", "deliver", "deliver", "ack", "ack", "ack", "ack"] as const,
  ...["install", "install", "change", "fail", "crash", "restart", "learn"] as const,
];

/** Histories in global order, with an `end` line. */
export const groupHistories: fc.Arbitrary<TraceLine[]> = fc.record({
  size: fc.integer({ min: 2, max: 5 }),
  steps: fc.array(
    fc.record<Step>({ act: fc.constantFrom(...ACTS), node: fc.nat(4), choice: fc.nat(100_000) }),
    { minLength: 30, maxLength: 200, size: "max" },
  ),
}).map(({ size, steps }) => {
  const run = new GroupRun(size);
  for (const step of steps) run.take(step);
  return run.finish();
});

class GroupRun {
  readonly #lines: TraceLine[] = [];
  readonly #nodes: Node[];
  /** The latest view. */
  #view = 1;
  #members: string[] = ["n0"];
  #departed: Record<string, DepartureReason> = {};
  /** What was sent in a view and is not lost. */
  #sent: Sent[] = [];
  #count = 0;

  constructor(size: number) {
    this.#nodes = Array.from({ length: size }, (_, index) => ({
      name: `n${index}`,
      state: "out",
      view: 0,
      has: new Set(),
      own: new Set(),
      cut: undefined,
      joinedIndex: -1,
      silent: false,
      waiting: new Set(),
    }));
    this.#nodes[0].state = "in";
    this.#install(this.#nodes[0], 1);
    this.take({ act: "change", node: 0, choice: 999 });
  }

  take({ act, node: place, choice }: Step): void {
    const node = this.#nodes[place % this.#nodes.length];
    switch (act) {
      case "send":
        return this.#send(node);
      case "fail":
        if (node.state !== "down" && node.view > 0) {
          this.#write({ n: node.name, e: "send", m: `m${this.#count++}`, failed: true });
        }
        return;
      case "deliver":
        return this.#deliverOne(node, choice);
      case "ack":
        return this.#acknowledgeAll();
      case "crash":
        if (node.state === "down" || node.view === 0) return;
        node.state = "down";
        return this.#write({ n: node.name, e: "crash" });
      case "restart":
        if (node.state === "down") node.state = "out";
        return;
      case "install":
        return this.#reach(node);
      case "learn":
        if (node.state === "cut off") this.#learn(node);
        return;
      case "change":
        return this.#change(choice);
    }
  }

  finish(): TraceLine[] {
    const living = this.#nodes.filter(({ state }) => state === "in");
    for (const node of living) {
      this.#reach(node);
      while (this.#ready(node).length > 0) this.#deliver(node, this.#ready(node)[0]);
    }
    for (const node of this.#nodes) if (node.state === "cut off") this.#learn(node);
    this.#lines.push({ e: "end", correct: living.map(({ name }) => name) });
    return this.#lines;
  }

  #send(node: Node): void {
    const { name, state, view, cut } = node;
    if (state !== "in" && state !== "cut off") return;
    this.#speak(node);
    const past = new Set([...node.has, ...node.own]);
    // Who is wedged hands over for the next view; who is cut off, for nobody.
    const belongs = state === "in" ? view + (cut === undefined ? 0 : 1) : -1;
    const message: Sent = {
      m: `m${this.#count++}`,
      sender: name,
      view: belongs,
      index: this.#lines.length,
      past,
    };
    this.#write({ n: name, e: "send", m: message.m });
    if (state === "cut off") return;
    this.#sent.push(message);
    node.own.add(message);
    node.waiting.add(message);
  }

  #deliverOne(node: Node, choice: number): void {
    if (node.state !== "in" && node.state !== "cut off") return;
    const ready = this.#ready(node);
    if (ready.length > 0) this.#deliver(node, ready[choice % ready.length]);
  }

  /** What a node may deliver next: in its view, or of the cut of it. */
  #ready({ view, has, cut }: Node): Sent[] {
    const open = cut === undefined ? this.#sent.filter((message) => message.view === view) : [...cut];
    return open.filter((message) =>
      !has.has(message) && [...message.past].every((before) => has.has(before))
    );
  }

  #deliver(node: Node, message: Sent): void {
    node.has.add(message);
    this.#speak(node);
    this.#write({ n: node.name, e: "deliver", m: message.m, from: message.sender });
  }

  /** A receipt says that all members of the view have it, or will before they install it. */
  #mayAcknowledge(node: Node, message: Sent): boolean {
    if (node.state !== "in" || node.view < message.view) return false;
    const members = this.#nodes.filter(({ name }) => this.#membersOf(node).includes(name));
    return members.every((member) =>
      (member.state !== "in" && member.state !== "cut off") || member.has.has(message) ||
      (member.joinedIndex > message.index && !(member.silent && message.view === node.view)) ||
      (member.view < node.view && member.cut?.has(message) === true)
    );
  }

  #membersOf({ view, name }: Node): readonly string[] {
    const line = this.#lines.findLast((line) => line.e === "view" && line.n === name && line.v === view);
    return line?.e === "view" ? line.members : [];
  }

  #acknowledgeAll(): void {
    for (const node of this.#nodes) {
      for (const message of node.waiting) {
        if (!this.#mayAcknowledge(node, message)) continue;
        node.waiting.delete(message);
        this.#write({ n: node.name, e: "acked", m: message.m });
      }
    }
  }

  #learn(node: Node): void {
    node.state = "out";
    this.#write({ n: node.name, e: "evicted", v: node.view });
  }

  /** A node that is on the way to the latest view gets there. */
  #reach(node: Node): void {
    if (node.state !== "in" || node.cut === undefined) return;
    while (this.#ready(node).length > 0) this.#deliver(node, this.#ready(node)[0]);
    this.#install(node, this.#view);
  }

  #install(node: Node, v: number): void {
    const { name } = node;
    this.#speak(node);
    node.view = v;
    node.cut = undefined;
    const departed = Object.keys(this.#departed).length > 0 ? { departed: { ...this.#departed } } : {};
    this.#write({ n: name, e: "view", v, members: [...this.#members], ...departed });
    const leader = this.#members[v % this.#members.length];
    this.#write(v % 3 === 0 ? { n: name, e: "epoch", epoch: v } : { n: name, e: "epoch", epoch: v, leader });
    if (leader === name) this.#write({ n: name, e: "leader", epoch: v });
  }

  /** The next view: the dead go, the choice says who leaves, is evicted and joins. */
  #change(choice: number): void {
    const all = this.#members.map((member) => this.#nodes.find(({ name }) => name === member)!);
    for (const node of all) this.#reach(node);
    const departed: Record<string, DepartureReason> = {};
    const staying: Node[] = [];
    for (const [place, node] of all.entries()) {
      const fate = (choice >> place) % 20;
      if (node.state === "down") departed[node.name] = "crashed";
      else if (node.state !== "in") departed[node.name] = "restarted";
      else if (fate === 3) departed[node.name] = "left";
      else if (fate === 5) departed[node.name] = "slow";
      else if (fate === 9 && place > 0) departed[node.name] = "crashed"; // a false suspicion
      else staying.push(node);
    }
    const answered = all.filter(({ name }) => departed[name] !== "crashed");
    const half = 2 * answered.length - all.length;
    if (staying.length === 0 || half < 0 || (half === 0 && answered[0] !== all[0])) return;
    const joiners = this.#nodes.filter((node, place) =>
      node.state === "out" && (departed[node.name] ?? "restarted") === "restarted" &&
      (choice >> place) % 4 !== 0
    );
    const cut = this.#cut([...staying, ...all.filter(({ name }) => departed[name] === "left")], choice);
    for (const node of joiners) this.#transfer(node, staying[choice % staying.length], choice);
    for (const node of [...staying, ...joiners]) node.cut = cut;
    for (const node of all) {
      if (departed[node.name] === "left") this.#leave(node, cut);
      else if (node.state === "in" && departed[node.name] !== undefined) node.state = "cut off";
    }
    this.#sent = this.#sent.filter((message) =>
      cut.has(message) || message.view > this.#view || message.view < 0
    );
    this.#members = [...staying, ...joiners].map(({ name }) => name);
    this.#departed = choice % 5 === 0 && Object.keys(departed).length === 0 ? {} : departed;
    this.#view++;
  }

  /** What is delivered before the next view: all that those who answer have or sent, and some of what the others sent. */
  #cut(answering: readonly Node[], choice: number): Set<Sent> {
    const cut = new Set<Sent>();
    const add = (message: Sent): void => {
      for (const before of message.past) cut.add(before);
      cut.add(message);
    };
    for (const { has, own } of answering) {
      for (const message of has) add(message);
      for (const message of own) if (message.view <= this.#view) add(message);
    }
    for (const [place, message] of this.#sent.entries()) {
      if (message.view === this.#view && (choice >> (place % 10)) % 2 === 1) add(message);
    }
    return cut;
  }

  /** A joiner takes over what another had at some time, and some of what came after. */
  #transfer(node: Node, giver: Node, choice: number): void {
    const known = [...giver.has];
    const snapshot = known.slice(0, choice % (known.length + 1));
    node.joinedIndex = Infinity;
    node.silent = true;
    node.state = "in";
    node.view = this.#view;
    node.has = new Set(snapshot);
    node.own = new Set();
    node.waiting = new Set();
    if (choice % 2 === 0) this.#speak(node);
  }

  /** A joiner writes its first line now or with the next thing that it does. */
  #speak(node: Node): void {
    if (!node.silent) return;
    node.silent = false;
    node.joinedIndex = this.#lines.length;
    this.#write({ n: node.name, e: "join" });
  }

  #leave(node: Node, cut: ReadonlySet<Sent>): void {
    node.cut = cut;
    while (this.#ready(node).length > 0) this.#deliver(node, this.#ready(node)[0]);
    node.cut = undefined;
    node.state = "out";
    this.#write({ n: node.name, e: "leave" });
  }

  #write(line: NodeLine): void {
    this.#lines.push(line);
  }
}

/**
 * Strikes: faults that come when they hurt most. Other faults come at any time; these come just when a few members know what the
 * rest does not: they have delivered, others have promised.
 *
 * In each strike a few members, less than a quorum, often with the leader among them, are heard by some of the rest only, or late;
 * there is something to be said; and at the first sign of what was waited for they crash, together or one of them, are cut off, or
 * are heard again, all at once. What is real of it: a process that is killed right after it has acted; a full queue on one way;
 * a machine that starts again at once.
 *
 * Each run has some kinds of this only: so none hides another. (Swarm testing: A. Groce et al., ISSTA 2012.)
 */
import { Random } from "../../base/random.ts";
import type { Timing } from "../../group/config.ts";
import { Kind } from "../../wire/message.ts";
import type { Cluster } from "./cluster.ts";
import type { SimulatedNode } from "./node.ts";

/** What a strike waits for. */
type Sign = "delivered-by-few" | "delivered" | "promise" | "accepted" | "nothing";
/** What it does then. */
type Blow =
  | "crash"
  | "crash-one"
  | "crash-another"
  | "crash-who-acts"
  | "crash-bridge"
  | "cut-off"
  | "let-go"
  | "black-out";
/** What becomes of what the few say, and, when they are apart, of what they are told; over a bridge, one of the rest hears all. */
type Way = "lost" | "late" | "apart" | "bridge";
/** How many of the rest do not hear one of the few. */
type Rates = readonly number[];
/** A direction between two nodes. */
type Link = readonly [from: string, to: string];

const SIGNS: readonly Sign[] = ["delivered-by-few", "delivered", "promise", "accepted", "nothing"];
/** Times with which a group gets over more in less time. */
export const HASTY: Partial<Timing> = {
  heartbeatMs: 100,
  suspectMinMs: 400,
  suspectMaxMs: 1200,
  confirmMs: 2000,
  collectMs: 200,
  changeMs: 700,
};

const BLOWS: readonly Blow[] = [
  "crash",
  "crash",
  "crash-one",
  "crash-another",
  "crash-who-acts",
  "cut-off",
  "let-go",
];
const WAYS: readonly Way[] = ["lost", "late", "apart", "bridge"];
/** Of the leader, and of others among the few. */
const RATES: readonly (readonly [leader: Rates, others: Rates])[] = [
  [[0, 0.5, 1], [0, 0.5, 1]],
  [[0, 0.5], [1]],
  [[1], [0, 0.5]],
  [[1], [1]],
];

/** How a run strikes. */
export interface Manner {
  /** How large the group is to be; any if left out. */
  readonly size?: number;
  readonly signs: readonly Sign[];
  readonly blows: readonly Blow[];
  readonly ways: readonly Way[];
  readonly rates: typeof RATES;
  /** Whether the leader is always among those that are struck. */
  readonly leader?: boolean;
  /** Whether as many are struck as may be. */
  readonly most?: boolean;
  /** Whether those that are struck may be too many to go on without. */
  readonly many?: boolean;
  /** Whether everybody talks all the time: so those that come back do so in the middle of it. */
  readonly busy?: boolean;
  /** How long a sign is waited for. */
  readonly waitsMs?: readonly number[];
}

/** What has a story, and so is worth more than chance. */
const MANNERS: readonly Manner[] = [
  // The leader and a sender die together: what comes next is known, and not what it is.
  {
    size: 5,
    leader: true,
    signs: ["delivered-by-few"],
    blows: ["crash"],
    ways: ["lost"],
    rates: [[[0], [1]], [[0.5], [1]]],
    most: true,
  },
  // One member is all that two sides have in common, and starts again at once: after a while, or when it has voted.
  {
    size: 3,
    leader: true,
    signs: ["nothing"],
    blows: ["crash-bridge"],
    ways: ["bridge"],
    rates: [[[1], [1]]],
    waitsMs: [500, 600, 700, 900],
  },
  {
    size: 3,
    leader: true,
    signs: ["promise", "accepted"],
    blows: ["crash-bridge", "crash-who-acts"],
    ways: ["bridge"],
    rates: [[[1], [1]]],
  },
  // What was said before a promise comes after it.
  {
    size: 3,
    leader: true,
    signs: ["promise", "accepted"],
    blows: ["let-go", "crash-who-acts"],
    ways: ["late"],
    waitsMs: [2500],
    rates: [[[0.5], [0.5]], [[1], [1]]],
  },
  // A majority has it, and dies.
  {
    size: 3,
    leader: true,
    signs: ["delivered-by-few", "delivered"],
    blows: ["crash", "crash-one"],
    ways: ["lost"],
    rates: [[[1], [1]]],
    most: true,
    many: true,
  },
  // Somebody joins in the middle of it.
  {
    signs: ["delivered", "nothing"],
    blows: ["crash", "crash-one"],
    ways: ["lost"],
    rates: [[[0], [0]], [[0, 0.5], [0, 0.5]]],
    busy: true,
  },
];

/** Draws how a run strikes. @param durable Whether all may stop at once. */
export function drawManner(random: Random, durable: boolean): Manner {
  const some = <T>(items: readonly T[]): readonly T[] =>
    random.shuffled(items).slice(0, random.int(1, items.length));
  if (random.chance(0.7)) return random.pick(MANNERS);
  return {
    signs: some(SIGNS),
    blows: some(durable ? [...BLOWS, "black-out", "black-out"] : BLOWS),
    ways: some(WAYS),
    rates: some(RATES),
    many: random.chance(durable ? 0.6 : 0.3),
    busy: random.chance(0.3),
  };
}

/** A strike that is prepared. */
interface Strike {
  readonly sign: Sign;
  readonly blow: Blow;
  /** Those who know what others do not. */
  readonly few: readonly SimulatedNode[];
  readonly rest: readonly SimulatedNode[];
  /** Where they are not heard, or late. */
  readonly links: readonly Link[];
}

/** What strikes need of the run. */
export interface StrikesHost {
  readonly cluster: Cluster;
  /** Whether members promise on disk, and so more than a few may be gone for a while. */
  readonly disks: boolean;
  /** How long messages are at most. */
  readonly bytesMax: number;
  /** Ends a node's life, unless the group would be lost with it. */
  crash(node: SimulatedNode): void;
  /** Starts a node, if it does not run. */
  revive(node: SimulatedNode): void;
  /** Does something at a time, unless the calm phase has begun by then. */
  later(time: number, callback: () => void): void;
}

/** Strikes a group, again and again. */
export class Strikes {
  readonly #host: StrikesHost;
  readonly #random: Random;
  readonly #manner: Manner;
  #armed: Strike | undefined;

  constructor(host: StrikesHost, manner: Manner, seed: number) {
    this.#host = host;
    this.#manner = manner;
    this.#random = new Random(seed);
  }

  /** Begins, and goes on until the calm phase. */
  begin(): void {
    if (this.#manner.busy === true) this.#chatter();
    this.#again(this.#random.between(200, 1500));
  }

  /** A message was delivered to the application of a node. */
  delivered(node: SimulatedNode): void {
    const { sign, few } = this.#armed ?? {};
    if (sign === "delivered" || (sign === "delivered-by-few" && few?.includes(node))) this.#fire(node);
  }

  /** A node sends a packet that begins with a message of some kind. */
  sends(node: SimulatedNode, kind: number): void {
    const { sign } = this.#armed ?? {};
    if ((sign === "promise" && kind === Kind.promise) || (sign === "accepted" && kind === Kind.accepted)) {
      this.#fire(node);
    }
  }

  #again(ms: number, patience: number = this.#random.pick([0, 20, 40, 40])): void {
    this.#host.later(this.#host.cluster.now + ms, () => {
      if (patience > 0 && !this.#isWhole()) this.#again(100, patience - 1);
      else this.#prepare();
    });
  }

  /** Whether all are back in one view. */
  #isWhole(): boolean {
    const { nodes } = this.#host.cluster;
    const [{ view }] = nodes;
    return view?.members.length === nodes.length && nodes.every((node) => node.view?.number === view.number);
  }

  /** Everybody goes on talking. */
  #chatter(): void {
    const { cluster: { now, nodes }, later } = this.#host;
    for (const node of nodes) if (this.#random.chance(0.3)) node.send();
    later(now + this.#random.between(5, 50), () => this.#chatter());
  }

  #prepare(): void {
    const { cluster: { nodes, network, now }, later } = this.#host;
    const random = this.#random;
    const few = this.#few();
    if (few.length === 0) return this.#again(100);
    const rest = random.shuffled(nodes.filter((node) => !few.includes(node)));
    const way = random.pick(this.#manner.ways);
    const links = this.#links(few, rest, way);
    for (const [from, to] of links) {
      if (way === "late") network.clog(from, to);
      else network.block(from, to);
    }
    this.#talk(few, 1);
    this.#talk(rest, 0);
    const strike = {
      sign: random.pick(this.#manner.signs),
      blow: random.pick(this.#manner.blows),
      few,
      rest,
      links,
    };
    this.#armed = strike;
    later(now + random.pick(this.#manner.waitsMs ?? [40, 300, 1000, 2500]), () => {
      if (this.#armed === strike) this.#fire(random.pick(few));
    });
  }

  /** Less than a quorum of those that are members, often with the leader; with disks sometimes more. */
  #few(): readonly SimulatedNode[] {
    const { cluster, disks } = this.#host;
    const random = this.#random;
    const members = random.shuffled(cluster.nodes.filter(({ view }) => view !== undefined));
    if (members.length < 2) return [];
    const { many = false, most: all = false, leader: first = false } = this.#manner;
    const most = disks && many ? members.length - 1 : Math.max(1, (members.length - 1) >> 1);
    const leader = members.findIndex(leads);
    if (leader > 0 && (first || random.chance(0.6))) members.unshift(...members.splice(leader, 1));
    return members.slice(0, all || random.chance(0.5) ? most : random.int(1, most));
  }

  #links(few: readonly SimulatedNode[], rest: readonly SimulatedNode[], way: Way): Link[] {
    const random = this.#random;
    const links: Link[] = [];
    const [leaders, others] = random.pick(this.#manner.rates);
    const both = way === "apart" || (way === "bridge" && random.chance(0.7));
    for (const node of few) {
      const rate = random.pick(leads(node) ? leaders : others);
      const deaf = random.pick([0, 0, 0, 0.5]);
      for (const { address } of way === "bridge" ? rest.slice(1) : rest) {
        const [out, back] = [random.chance(rate), random.chance(deaf)];
        if (out) links.push([node.address, address]);
        if (back || (out && both)) links.push([address, node.address]);
      }
    }
    return links;
  }

  /** Nodes send something now, and some a moment later. */
  #talk(nodes: readonly SimulatedNode[], least: number): void {
    const { cluster, bytesMax, later } = this.#host;
    const random = this.#random;
    for (const node of nodes) {
      for (let count = random.int(least, 3); count > 0; count--) {
        const time = cluster.now + (random.chance(0.7) ? random.between(0, 15) : random.between(0, 300));
        const filler = "x".repeat(random.int(0, random.pick([10, bytesMax])));
        later(time, () => void node.send({ filler }));
      }
    }
  }

  /** What was waited for has happened. @param node Where. */
  #fire(node: SimulatedNode): void {
    const { cluster, later } = this.#host;
    const { now, nodes } = cluster;
    const random = this.#random;
    const strike = this.#armed as Strike;
    this.#armed = undefined;
    later(now + random.pick([0, 0, 0.5, 3]), () => this.#strike(strike, node));
    const healedMs = random.pick(strike.blow === "cut-off" ? [500, 1500, 3000] : [30, 100, 500, 1500]);
    later(now + healedMs, () => {
      this.#heal(strike);
      this.#talk(nodes, 0); // while those that come back are on their way in
    });
    this.#again(healedMs + random.pick([random.between(0, 300), random.between(300, 2000)]));
  }

  #strike({ blow, few, rest, links }: Strike, node: SimulatedNode): void {
    const { network, nodes } = this.#host.cluster;
    const random = this.#random;
    switch (blow) {
      case "crash":
        for (const one of few) this.#crash(one, rest);
        break;
      case "crash-one":
        this.#crash(random.pick(few), rest);
        break;
      case "crash-another":
        if (rest.length > 0) this.#crash(random.pick(rest), []);
        break;
      case "crash-bridge":
        if (rest.length > 0) this.#crash(rest[0], []);
        break;
      case "crash-who-acts":
        this.#crash(node, []);
        break;
      case "cut-off":
        network.partition(few.map(({ address }) => address), rest.map(({ address }) => address));
        break;
      case "let-go":
        for (const [from, to] of links) network.unclog(from, to);
        break;
      case "black-out":
        for (const one of nodes) this.#crash(one, rest);
        break;
    }
  }

  /** A node dies and comes back; what it has sent last reaches some only. */
  #crash(node: SimulatedNode, rest: readonly SimulatedNode[]): void {
    const { cluster: { now, network }, later } = this.#host;
    const random = this.#random;
    for (const { address } of rest) if (random.chance(0.3)) network.block(node.address, address);
    this.#host.crash(node);
    later(now + random.pick([5, 5, 50, 300, 2000]), () => this.#host.revive(node));
  }

  #heal({ few, rest, links }: Strike): void {
    const { network, nodes } = this.#host.cluster;
    for (const [from, to] of links) network.unclog(from, to);
    for (const { address: one } of [...few, ...rest]) {
      for (const { address: other } of nodes) if (one !== other) network.unblock(one, other);
    }
  }
}

/** Whether a node leads the view that it is in, as far as it knows. */
function leads({ name, view }: SimulatedNode): boolean {
  return view !== undefined && view.members[view.leader].name === name;
}

/**
 * The scenario `views`: members join, leave, fail, pause and come back, the network splits and heals, and all the while
 * everybody sends. Then a calm phase, in which all that run must become one view with the same state.
 *
 * Besides faults at drawn times there are traps: a node is hit just when it sends a message of a view change, fetches are
 * dropped, and the only holder of a message is killed while others want it. A crash that would leave no quorum of the view is
 * not made: from that no group without disks comes back.
 */
import { invariant } from "../../base/errors.ts";
import type { ElectionName } from "../../election/mod.ts";
import type { EngineName, LevelName, OrderName } from "../../wire/control.ts";
import { Random } from "../../base/random.ts";
import { isChangeQuorum, type Member } from "../../membership/view.ts";
import { FLAG_RELAYED, Kind } from "../../wire/message.ts";
import { PACKET_HEADER_BYTES } from "../../wire/limits.ts";
import { Cluster } from "./cluster.ts";
import type { MapLoad } from "./map.ts";
import type { Mutation } from "./mutations.ts";
import type { SimulatedNode } from "./node.ts";
import { drawManner, HASTY, Strikes, type StrikesHost } from "./strikes.ts";

/** Longest calm phase, in virtual milliseconds. */
export const CALM_MS_MAX = 90_000;
/** Most installs of a run. */
const VIEWS_MAX = 10_000;
/** Messages of a view change at whose sending a trap may snap. */
const TRAPPED: readonly number[] = [
  Kind.prepare,
  Kind.promise,
  Kind.accept,
  Kind.accepted,
  Kind.install,
  Kind.cut,
  Kind.held,
  Kind.chunk,
];

/** The shape of a run. */
export interface Plan {
  readonly size: number;
  readonly founders: number;
  readonly order: OrderName;
  readonly engine: EngineName;
  readonly level: LevelName;
  readonly election: ElectionName;
  readonly faultMs: number;
  readonly messagesEach: number;
  readonly faultCount: number;
  readonly trapRate: number;
  readonly fetchLossRate: number;
  readonly stateBytes: number;
  /** Whether what is promised outlives a crash. */
  readonly disks: boolean;
  /** Whether a small group is struck just when it hurts, again and again, instead of at drawn times. */
  readonly struck: boolean;
}

/** What a run is to be in total order. */
export interface Total {
  readonly engine: EngineName;
  readonly durable: boolean;
  /** Clients of a map, instead of nodes that send by themselves. */
  readonly map?: MapLoad;
}

/** One run: shape, load and faults are drawn from a seed. */
export class ViewsRun {
  readonly cluster: Cluster;
  readonly plan: Plan;
  readonly #random: Random;
  /** Decides about traps; a source of its own, so that what else a seed means does not depend on packets. */
  readonly #traps: Random;
  readonly #phase: { calm: boolean } = { calm: false };
  readonly #map: MapLoad | undefined;
  readonly #strikes: Strikes | undefined;
  /** How much longer messages are, so that journals are cut. */
  readonly #messageScale: number;
  /** Whether a group was ever founded. */
  #exists = false;
  /** A node that is killed at its next message of a view change or repair. */
  #doomed: SimulatedNode | undefined = undefined;

  constructor(seed: number, total: Total | undefined, mutation: Mutation | undefined) {
    const random = new Random(seed * 2 + 0x20001);
    const levels = new Random(seed * 2 + 0x40001);
    this.#random = random;
    this.#map = total?.map;
    this.#traps = new Random(seed * 2 + 0x30001);
    const struck = total !== undefined && total.map === undefined && levels.chance(0.7);
    const manner = struck ? drawManner(levels, total.durable) : undefined;
    const size = struck
      ? manner?.size ?? random.pick([2, 3, 3, 4, 5, 5, 5])
      : random.chance(0.01)
      ? random.int(12, 50)
      : random.pick([2, 3, 3, 3, 4, 4, 5, 5, 6, 7]);
    const large = size > 10;
    this.plan = {
      size,
      founders: struck || random.chance(0.5) ? size : random.int(1, size),
      order: total !== undefined ? "total" : random.chance(0.5) ? "causal" : "fifo",
      engine: total?.engine ?? "sequencer",
      level: total?.durable === true
        ? "durable"
        : total?.map !== undefined
        ? "safe"
        : levels.pick(["agreed", "safe", "safe"] as const),
      election: random.pick(["senior", "bully", "ring"] as const),
      faultMs: large ? 8000 : struck ? random.int(40_000, 70_000) : random.int(6000, 20_000),
      messagesEach: total?.map !== undefined ? 0 : large ? 5 : random.int(5, struck ? 10 : 60),
      faultCount: struck ? random.int(0, 2) : random.int(1, 10),
      trapRate: random.chance(0.5) ? random.pick([0.002, 0.01, 0.05]) : 0,
      fetchLossRate: random.chance(0.3) ? random.between(0.3, 0.9) : 0,
      stateBytes: random.pick([0, 0, 1000, 200_000]),
      disks: random.chance(0.3) || total?.durable === true || manner?.many === true,
      struck,
    };
    const rates = Array.from({ length: size }, () => random.between(0.9, 1.1));
    const disks = random.pick([0, 0, 1, 20]);
    const mild = large || random.chance(struck ? 0.6 : 0.3);
    const logBytesMax = levels.chance(0.5) ? { logBytesMax: 65_536 } : {};
    // What comes last changes least of what seeds meant before.
    const busy = total !== undefined && levels.chance(struck ? 0.6 : 0.3);
    const turnMs = busy ? levels.between(0.1, struck ? 15 : 5) : 0;
    this.#messageScale = total?.durable === true && levels.chance(0.3) ? 20 : 1;
    let viewCount = 0;
    this.cluster = new Cluster({
      size,
      seed,
      founders: this.plan.founders,
      order: this.plan.order,
      engine: this.plan.engine,
      level: this.plan.level,
      election: this.plan.election,
      limits: {
        ...logBytesMax,
        windowMessages: random.pick([4, 16, 64, 16_384]),
        windowBytes: random.pick([64 * 1024, 8 * 1024 * 1024]),
        bundleBytes: random.pick([1200, 65_536]),
      },
      timing: {
        slowMs: random.pick([3000, 10_000]),
        confirmMs: random.pick([4000, 10_000]),
        ...(struck ? HASTY : {}),
      },
      diskMs: () => this.plan.disks ? disks : undefined,
      clockRate: (index) => rates[index],
      turnMs,
      faults: {
        delayMs: [0, random.between(0.1, mild ? 5 : 30)],
        lossRate: mild ? 0 : random.between(0, 0.3),
        duplicateRate: random.chance(0.5) ? random.between(0, 0.5) : 0,
        reorderRate: random.chance(0.5) ? random.between(0, 0.5) : 0,
        reorderDelayMs: random.between(1, 200),
        spikeRate: random.chance(0.3) ? 0.005 : 0,
        spikeMs: random.between(100, 2000),
      },
      application: () => ({
        stateBytes: this.plan.stateBytes,
        event: (_node, event) => {
          if (event.type === "view") {
            invariant(++viewCount < VIEWS_MAX, `there are ${VIEWS_MAX} views: they never end`);
          }
        },
        ...this.#map?.application(),
        message: (node, message) => {
          this.#strikes?.delivered(node);
          this.#map?.application().message?.(node, message);
          if (this.#map !== undefined) return;
          const { depth = 0 } = message.value as { depth?: number };
          if (!message.own && depth < 2 && this.cluster.random.chance(0.1)) node.send({ depth: depth + 1 });
        },
      }),
      drops: (from, bytes) => this.#drops(from, bytes),
      plant: mutation?.plant,
      incarnation: mutation?.incarnation,
    });
    this.#strikes = manner && new Strikes(this.#strikesHost(), manner, seed * 2 + 0x70001);
  }

  /** @returns Whether everything finished. */
  run(): boolean {
    const { cluster, plan } = this;
    for (const node of cluster.nodes.slice(0, plan.founders)) node.start();
    for (const node of cluster.nodes.slice(plan.founders)) {
      cluster.at(this.#random.between(0, plan.faultMs), () => this.#revive(node));
    }
    this.#scheduleLoad();
    this.#map?.start(cluster, plan.faultMs);
    for (let count = 0; count < plan.faultCount; count++) this.#scheduleFault();
    this.#strikes?.begin();
    if (plan.level === "durable" && this.#random.chance(0.6)) this.#scheduleBlackout();
    cluster.run(plan.faultMs);
    this.#phase.calm = true;
    cluster.network.calm();
    cluster.network.setFaults({ delayMs: [1, 5] });
    for (const node of cluster.nodes) {
      node.slowMs = 0;
      node.resume();
      this.#revive(node);
    }
    let settled = cluster.runUntilSettled(CALM_MS_MAX);
    if (settled && plan.struck) settled = this.#lastWords();
    // Whoever would deliver something twice still can.
    if (settled) cluster.run(2000);
    return settled && cluster.runUntilSettled(CALM_MS_MAX);
  }

  /** When nothing fails any more but packets, all that is sent gets through, and no view change comes to the rescue. */
  #lastWords(): boolean {
    const { cluster } = this;
    const number = cluster.nodes[0].view?.number;
    let settled = true;
    for (let round = 0; settled && round < 3; round++) {
      cluster.network.setFaults({ delayMs: [1, 5], lossRate: 0.5 });
      for (const node of cluster.nodes) for (let count = 0; count < 5; count++) node.send();
      cluster.run(100);
      cluster.network.setFaults({ delayMs: [1, 5] });
      settled = cluster.runUntilSettled(CALM_MS_MAX);
    }
    if (settled && cluster.nodes[0].view?.number !== number) {
      cluster.violations.push({ property: "progress", text: `view ${number} ends though nobody has failed` });
    }
    return settled;
  }

  #strikesHost(): StrikesHost {
    return {
      cluster: this.cluster,
      disks: this.plan.disks,
      bytesMax: this.#messageScale * 200,
      crash: (node) => this.#crash(node),
      revive: (node) => this.#revive(node),
      later: (time, callback) => this.#later(time, callback),
    };
  }

  /**
   * Whether the group cannot go on: no quorum lives of the newest view, or of one that was accepted and so may be decided. A
   * member whose promise was still on its way when it died can be in such a view, so no care at each crash rules it out.
   */
  isLost(): boolean {
    const { nodes } = this.cluster;
    const newest = Math.max(0, ...nodes.map(({ view }) => view?.number ?? 0));
    if (newest === 0) return true;
    return nodes.some(({ view, machine }) => {
      if (view === undefined || view.number !== newest) return false;
      const accepted = machine?.membership.change?.state.accepted?.proposal;
      return !this.#hasQuorum(view.members) || (accepted !== undefined && !this.#hasQuorum(accepted.members));
    });
  }

  /** Whether a quorum of a view lives, without some node; with disks one living member is enough, for the others come back. */
  #hasQuorum(members: readonly Member[], without?: SimulatedNode): boolean {
    const alive: number[] = [];
    members.forEach(({ address, incarnation }, rank) => {
      const node = this.cluster.nodes.find((candidate) => candidate.address === address);
      const state = node?.machine?.state;
      if (node !== without && node?.up && state?.incarnation === incarnation && !state.leaving) {
        alive.push(rank);
      }
    });
    return isChangeQuorum(members.length, alive) ||
      (without !== undefined && this.plan.disks && alive.length > 0);
  }

  #scheduleLoad(): void {
    const { plan, cluster } = this;
    for (const node of cluster.nodes) {
      for (let count = 0; count < plan.messagesEach; count++) {
        // Bursts and lone messages: half of the load comes at once.
        const time = this.#random.chance(0.5)
          ? this.#random.int(0, 5) * plan.faultMs / 5
          : this.#random.between(0, plan.faultMs);
        const bytes = this.#random.int(0, this.#random.pick([20, 200, 2000]));
        cluster.at(time, () => {
          // A founder whose journal was cut while it was alone looks like one that has forgotten everything.
          const scale = (node.view?.number ?? 1) > 1 ? this.#messageScale : 1;
          node.send({ filler: "x".repeat(scale * bytes) });
        });
      }
    }
  }

  #scheduleFault(): void {
    const { cluster, plan } = this;
    const random = this.#random;
    const kind = random.pick([
      "crash",
      "crash",
      "crash",
      "leave",
      "pause",
      "pause",
      "partition",
      "partition",
      "cut",
      "bridge",
      "majority-ring",
      "isolate",
      "clog",
      "slow",
      "only-holder",
      "double-crash",
    ]);
    const drawn = { time: random.between(0, plan.faultMs), lengthMs: random.between(50, 6000) };
    const { lengthMs } = drawn;
    const node = random.pick(cluster.nodes);
    const other = random.pick(cluster.nodes);
    const oneWay = random.chance(0.3);
    const slowMs = random.between(1, 300);
    const shuffled = random.shuffled(cluster.nodes);
    const split = random.int(1, Math.max(1, cluster.nodes.length - 1));
    const at = (ms: number, callback: () => void): void => this.#later(drawn.time + ms, callback);
    const { network } = cluster;
    const cut = (from: SimulatedNode, to: SimulatedNode, both: boolean): void => {
      if (from === to) return;
      at(0, () => {
        network.block(from.address, to.address);
        if (both) network.block(to.address, from.address);
      });
      at(lengthMs, () => {
        network.unblock(from.address, to.address);
        network.unblock(to.address, from.address);
      });
    };
    switch (kind) {
      case "crash":
        at(0, () => this.#crash(node));
        at(lengthMs, () => this.#revive(node));
        break;
      case "double-crash":
        at(0, () => this.#crash(node));
        at(random.between(0, 2500), () => this.#crash(other));
        at(lengthMs, () => this.#revive(node));
        at(lengthMs, () => this.#revive(other));
        break;
      case "leave":
        at(0, () => {
          if (this.#mayLose(node)) node.leave();
        });
        at(lengthMs + 1000, () => this.#revive(node));
        break;
      case "pause":
        at(0, () => node.pause());
        at(lengthMs, () => node.resume());
        break;
      case "partition":
        for (const a of shuffled.slice(0, split)) for (const b of shuffled.slice(split)) cut(a, b, !oneWay);
        break;
      case "isolate":
        for (const a of cluster.nodes) cut(node, a, !oneWay);
        break;
      case "cut":
        cut(node, other, !oneWay);
        break;
      case "bridge": // two sides that both reach one node, and not each other
        for (const a of shuffled.slice(1, split)) for (const b of shuffled.slice(split)) cut(a, b, true);
        break;
      case "majority-ring": // everybody reaches a majority, and not the same one
        shuffled.forEach((a, index) => cut(a, shuffled[(index + 2) % shuffled.length], true));
        break;
      case "clog":
        if (node === other) break;
        at(0, () => network.clog(node.address, other.address));
        at(lengthMs, () => network.unclog(node.address, other.address));
        break;
      case "slow":
        at(0, () => node.slowMs = slowMs);
        at(lengthMs, () => node.slowMs = 0);
        break;
      case "only-holder":
        this.#scheduleOnlyHolder(node, other, at, lengthMs);
        break;
    }
  }

  /** All stop at once, and come back one after the other. */
  #scheduleBlackout(): void {
    const time = this.#random.between(0.2, 0.9) * this.plan.faultMs;
    for (const node of this.cluster.nodes) {
      const late = this.#random.chance(0.5) ? 0 : this.#random.between(0, 5);
      this.#later(time + late, () => node.crash());
      this.#later(time + this.#random.between(10, 4000), () => this.#revive(node));
    }
  }

  /** What a node sends reaches one other only; then it dies, and that other one while it is wanted. */
  #scheduleOnlyHolder(
    sender: SimulatedNode,
    holder: SimulatedNode,
    at: (ms: number, callback: () => void) => void,
    lengthMs: number,
  ): void {
    if (sender === holder) return;
    const { network, nodes } = this.cluster;
    const others = nodes.filter((node) => node !== sender && node !== holder);
    const dies = this.#random.chance(0.7);
    at(0, () => {
      for (const node of others) network.block(sender.address, node.address);
      for (let count = 0; count < 3; count++) sender.send();
    });
    at(40, () => {
      this.#crash(sender);
      for (const node of others) network.unblock(sender.address, node.address);
      if (dies) this.#doomed = holder;
    });
    at(lengthMs, () => {
      this.#revive(sender);
      this.#revive(holder);
    });
  }

  /** A packet leaves a node: is it dropped, and does a trap snap? */
  #drops(from: SimulatedNode, bytes: Uint8Array): boolean {
    if (this.#phase.calm) return false;
    const kind = bytes[PACKET_HEADER_BYTES];
    const relayed = bytes[3] === FLAG_RELAYED;
    if (this.#doomed === from && (kind === Kind.promise || kind === Kind.accepted || relayed)) {
      this.#doomed = undefined;
      this.#hit(from, "crash");
    }
    this.#strikes?.sends(from, kind);
    const { trapRate, fetchLossRate } = this.plan;
    if (trapRate > 0 && TRAPPED.includes(kind) && this.#traps.chance(trapRate)) {
      this.#hit(from, this.#traps.pick(["crash", "pause", "isolate"]));
    }
    return fetchLossRate > 0 && (relayed || kind === Kind.nak) && this.#traps.chance(fetchLossRate);
  }

  #hit(node: SimulatedNode, how: string): void {
    const { cluster } = this;
    const { now, network } = cluster;
    const soon = now + this.#traps.pick([0, 0, 0.5, 3]);
    const back = now + this.#traps.between(100, 5000);
    const others = cluster.nodes.filter((other) => other !== node);
    const later = (time: number, callback: () => void): void => this.#later(time, callback);
    if (how === "crash") {
      later(soon, () => this.#crash(node));
      later(back, () => this.#revive(node));
    } else if (how === "pause") {
      later(soon, () => node.pause());
      later(back, () => node.resume());
    } else {
      later(soon, () => network.partition([node.address], others.map(({ address }) => address)));
      later(back, () =>
        others.forEach(({ address }) => {
          network.unblock(node.address, address);
          network.unblock(address, node.address);
        }));
    }
  }

  /** Does something at a time, unless the calm phase has begun by then. */
  #later(time: number, callback: () => void): void {
    this.cluster.at(time, () => {
      if (!this.#phase.calm) callback();
    });
  }

  #crash(node: SimulatedNode): void {
    if (this.#mayLose(node)) node.crash();
  }

  /** Whether the newest views keep a living quorum without a node. */
  #mayLose(node: SimulatedNode): boolean {
    const { nodes } = this.cluster;
    if (!node.up) return false;
    if (this.plan.level === "durable") return true; // it comes back with all that it knew
    const views = nodes.flatMap(({ view }) => view === undefined ? [] : [view]);
    const newest = Math.max(0, ...views.map(({ number }) => number));
    // Before there is a group, or while only its founder is in it, a crash could end it, or have it founded twice.
    if (newest === 0) return true;
    // A view that may have been decided is as good as installed, though nobody may have done so yet.
    const proposals = nodes.flatMap((other) => {
      const change = other.up ? other.machine?.membership.change?.state : undefined;
      return [change?.accepted?.proposal, change?.pending?.proposal, change?.proposal, change?.decided];
    });
    for (const view of [...views, ...proposals]) {
      if (view === undefined || view.number < newest - 1) continue;
      if (!this.#hasQuorum(view.members, node)) return false;
    }
    return true;
  }

  #revive(node: SimulatedNode): void {
    if (node.up) return;
    const { nodes } = this.cluster;
    // A founder that has lost its memory must not found another group.
    this.#exists ||= this.cluster.trace.some(({ e }) => e === "view");
    const exists = this.plan.level === "durable"
      ? this.#exists
      : nodes.some(({ view }) => view !== undefined);
    node.start(exists && this.plan.founders < nodes.length ? nodes.map(({ address }) => address) : undefined);
  }
}

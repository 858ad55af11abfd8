/**
 * The scenario `reliable`: reliable multicast in fifo or causal order among configured members.
 *
 * A phase of faults, drawn from the seed - loss, duplication, reordering, delay with spikes, clogged links, cuts in one or
 * both directions, pauses, slow applications, late starts, crashes and restarts, drifting clocks - under a load of small
 * and large messages from everybody; then a calm phase, in which everything must finish.
 */
import { Random } from "../../base/random.ts";
import { Cluster } from "./cluster.ts";
import type { Mutation } from "./mutations.ts";
import type { SimulatedNode } from "./node.ts";
import type { ScenarioResult } from "./scenario.ts";

/** Longest calm phase, in virtual milliseconds. */
const CALM_MS_MAX = 60_000;
/** Length of the calm phase when some members are dead for good, in virtual milliseconds. */
const CALM_WITH_DEAD_MS = 20_000;

interface Plan {
  readonly size: number;
  readonly order: "fifo" | "causal";
  readonly faultMs: number;
  readonly messagesEach: number;
  readonly crashes: boolean;
  /** How many members die in the fault phase and never come back. */
  readonly deadCount: number;
  readonly payloadBytesMax: number;
}

/** Runs one seed. */
export function runReliable(seed: number, mutation?: Mutation): ScenarioResult {
  const draw = new DrawnCluster(seed, mutation);
  const { cluster, plan } = draw;
  const settled = cluster.guard(() => runPhases(draw)) ?? false;
  const violations = cluster.check();
  if (!settled) {
    const waiting = cluster.nodes.map((node) => node.describe()).join(" | ");
    violations.unshift({
      property: "progress",
      text: `not finished after ${CALM_MS_MAX} ms of calm: ${waiting}`,
    });
  }
  return {
    seed,
    virtualMs: cluster.now,
    messages: cluster.trace.filter((line) => line.e === "send").length,
    deliveries: cluster.trace.filter((line) => line.e === "deliver").length,
    summary: `${plan.size} members, ${plan.order}, ${plan.crashes ? "crashes" : "no crashes"}${
      plan.deadCount > 0 ? `, ${plan.deadCount} dead for good` : ""
    }`,
    violations,
    trace: () =>
      cluster.format() +
      `${
        JSON.stringify({
          e: "end",
          correct: cluster.nodes.filter((node) => node.up).map((node) => node.name),
        })
      }\n`,
  };
}

/** Faults, then calm. @returns Whether everything finished. */
function runPhases(draw: DrawnCluster): boolean {
  const { cluster, plan } = draw;
  draw.startAll();
  draw.scheduleLoad();
  draw.scheduleFaults();
  cluster.run(plan.faultMs);
  cluster.network.calm();
  cluster.network.setFaults({ delayMs: [1, 5] });
  for (const node of cluster.nodes) {
    node.slowMs = 0;
    node.resume();
    if (!node.up && !draw.dead.has(node)) node.start();
  }
  if (draw.dead.size > 0) {
    // Nothing is ever confirmed by the dead, so there is no end to wait for; but the living must come to agree.
    cluster.run(CALM_WITH_DEAD_MS);
    return true;
  }
  const settled = cluster.runUntilSettled(CALM_MS_MAX);
  // Former lives are still evened out, and whoever would deliver something twice still can.
  if (settled) cluster.run(5000);
  return settled;
}

/** A cluster whose shape, load and faults are drawn from a seed. */
class DrawnCluster {
  readonly plan: Plan;
  /** Members that are dead for good. */
  readonly dead: Set<SimulatedNode> = new Set();
  readonly cluster: Cluster;
  readonly #random: Random;
  /** Decides who dies for good; a source of its own, so that what else a seed means stays as it was. */
  readonly #deaths: Random;

  constructor(seed: number, mutation: Mutation | undefined) {
    // The plan comes from a source of its own, so that a planted bug meets the same faults as the sound code.
    const sizes = [2, 3, 3, 3, 4, 5, 7];
    const windows = [4, 16, 64, 16_384];
    const random = new Random(seed * 2 + 1);
    this.#deaths = new Random(seed * 2 + 0x10001);
    this.#random = random;
    this.plan = {
      size: random.pick(sizes),
      order: random.chance(0.5) ? "causal" : "fifo",
      faultMs: random.int(4000, 9000),
      messagesEach: random.int(10, 80),
      crashes: random.chance(0.7),
      payloadBytesMax: random.pick([20, 200, 20_000]),
      deadCount: 0,
    };
    const loses = random.chance(0.8);
    const rates = Array.from({ length: this.plan.size }, () => random.between(0.9, 1.1));
    if (this.plan.size > 2 && this.#deaths.chance(0.25)) {
      this.plan = { ...this.plan, deadCount: this.#deaths.int(1, this.plan.size - 2) };
    }
    this.cluster = new Cluster({
      size: this.plan.size,
      seed,
      order: this.plan.order,
      limits: {
        windowMessages: random.pick(windows),
        windowBytes: random.pick([64 * 1024, 8 * 1024 * 1024]),
        bundleBytes: random.pick([1200, 65_536]),
      },
      clockRate: (index) => rates[index],
      faults: {
        delayMs: [0, random.between(0.1, 30)],
        lossRate: loses ? random.between(0, 0.3) : 0,
        duplicateRate: random.chance(0.5) ? random.between(0, 0.5) : 0,
        reorderRate: random.chance(0.5) ? random.between(0, 0.5) : 0,
        reorderDelayMs: random.between(1, 200),
        spikeRate: random.chance(0.3) ? 0.005 : 0,
        spikeMs: random.between(100, 2000),
      },
      application: () => this.#application(),
      plant: mutation?.plant,
      incarnation: mutation?.incarnation,
    });
  }

  startAll(): void {
    for (const node of this.cluster.nodes) {
      if (this.#random.chance(0.2)) this.cluster.at(this.#random.between(0, 3000), () => this.#revive(node));
      else node.start();
    }
  }

  scheduleLoad(): void {
    const { plan, cluster } = this;
    for (const node of cluster.nodes) {
      for (let count = 0; count < plan.messagesEach; count++) {
        // Bursts and lone messages: half of the load comes at once.
        const time = this.#random.chance(0.5)
          ? this.#random.int(0, 4) * plan.faultMs / 4
          : this.#random.between(0, plan.faultMs);
        const bytes = this.#random.int(0, plan.payloadBytesMax);
        cluster.at(time, () => node.send({ filler: "x".repeat(bytes) }));
      }
    }
  }

  scheduleFaults(): void {
    const { plan, cluster } = this;
    const random = this.#random;
    for (let count = 0; count < plan.deadCount; count++) {
      const node = this.#deaths.pick(cluster.nodes);
      cluster.at(this.#deaths.between(0, plan.faultMs), () => {
        node.crash();
        this.dead.add(node);
      });
    }
    const count = random.int(0, 6);
    for (let index = 0; index < count; index++) {
      const time = random.between(0, plan.faultMs);
      const node = random.pick(cluster.nodes);
      const other = random.pick(cluster.nodes);
      const lengthMs = random.between(50, 3000);
      const kinds = ["pause", "clog", "cut", "slow", ...(plan.crashes ? ["crash", "crash", "crash"] : [])];
      this.#schedule(random.pick(kinds), time, lengthMs, node, other);
    }
  }

  #schedule(kind: string, time: number, lengthMs: number, node: SimulatedNode, other: SimulatedNode): void {
    const { cluster } = this;
    const { network } = cluster;
    const oneWay = this.#random.chance(0.5);
    const slowMs = this.#random.between(1, 50);
    const pauseMs = this.#random.between(50, 6000);
    const after = (ms: number, callback: () => void): void => cluster.at(time + ms, callback);
    switch (kind) {
      case "crash":
        after(0, () => node.crash());
        after(lengthMs, () => this.#revive(node));
        break;
      case "pause":
        after(0, () => node.pause());
        after(pauseMs, () => node.resume());
        break;
      case "clog":
        if (node === other) return;
        after(0, () => network.clog(node.address, other.address));
        after(lengthMs, () => network.unclog(node.address, other.address));
        break;
      case "cut":
        if (node === other) return;
        after(0, () => {
          network.block(node.address, other.address);
          if (!oneWay) network.block(other.address, node.address);
        });
        after(lengthMs, () => {
          network.unblock(node.address, other.address);
          network.unblock(other.address, node.address);
        });
        break;
      case "slow":
        after(0, () => node.slowMs = slowMs);
        after(lengthMs, () => node.slowMs = 0);
        break;
    }
  }

  #revive(node: SimulatedNode): void {
    if (!node.up && !this.dead.has(node)) node.start();
  }

  /** Answers some messages, so that causes have effects. */
  #application(): {
    message(node: SimulatedNode, message: { readonly value: unknown; readonly own: boolean }): void;
  } {
    return {
      message: (node, message) => {
        const { depth = 0 } = message.value as { depth?: number };
        if (!message.own && depth < 3 && this.cluster.random.chance(0.15)) node.send({ depth: depth + 1 });
      },
    };
  }
}

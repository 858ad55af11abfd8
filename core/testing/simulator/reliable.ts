/**
 * The scenario `reliable`: reliable multicast in fifo or causal order within a view that lasts.
 *
 * A phase of faults, drawn from the seed - loss, duplication, reordering, delay with spikes, clogged links, cuts in one or
 * both directions, pauses, slow applications, drifting clocks - under a load of small and large messages from everybody;
 * then a calm phase, in which everything must finish. Nobody is suspected: what happens then is the scenario `views`.
 */
import { Random } from "../../base/random.ts";
import { Cluster } from "./cluster.ts";
import type { Mutation } from "./mutations.ts";
import type { SimulatedNode } from "./node.ts";
import type { ScenarioResult } from "./scenario.ts";

/** Longest calm phase, in virtual milliseconds. */
const CALM_MS_MAX = 60_000;

interface Plan {
  readonly size: number;
  readonly order: "fifo" | "causal";
  readonly faultMs: number;
  readonly messagesEach: number;
  readonly payloadBytesMax: number;
}

/** Runs one seed. */
export function runReliable(seed: number, mutation?: Mutation): ScenarioResult {
  const draw = new DrawnCluster(seed, mutation);
  const { cluster, plan } = draw;
  const settled = cluster.guard(() => runPhases(draw)) ?? false;
  const violations = [...cluster.check(), ...(settled ? cluster.checkStates() : [])];
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
    views: Math.max(0, ...cluster.nodes.map((node) => node.view?.number ?? 0)),
    summary: `${plan.size} members, ${plan.order}`,
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
  }
  const settled = cluster.runUntilSettled(CALM_MS_MAX);
  // Whoever would deliver something twice still can.
  if (settled) cluster.run(5000);
  return settled;
}

/** A cluster whose shape, load and faults are drawn from a seed. */
class DrawnCluster {
  readonly plan: Plan;
  readonly cluster: Cluster;
  readonly #random: Random;

  constructor(seed: number, mutation: Mutation | undefined) {
    // The plan comes from a source of its own, so that a planted bug meets the same faults as the sound code.
    const sizes = [2, 3, 3, 3, 4, 5, 7];
    const windows = [4, 16, 64, 16_384];
    const random = new Random(seed * 2 + 1);
    this.#random = random;
    this.plan = {
      size: random.pick(sizes),
      order: random.chance(0.5) ? "causal" : "fifo",
      faultMs: random.int(4000, 9000),
      messagesEach: random.int(10, 80),
      payloadBytesMax: random.pick([20, 200, 20_000]),
    };
    const loses = random.chance(0.8);
    const rates = Array.from({ length: this.plan.size }, () => random.between(0.9, 1.1));
    this.cluster = new Cluster({
      size: this.plan.size,
      seed,
      order: this.plan.order,
      limits: {
        windowMessages: random.pick(windows),
        windowBytes: random.pick([64 * 1024, 8 * 1024 * 1024]),
        bundleBytes: random.pick([1200, 65_536]),
      },
      timing: { suspectMinMs: 300_000, suspectMaxMs: 300_000, slowMs: Infinity },
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
    for (const node of this.cluster.nodes) node.start();
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
    const count = random.int(0, 6);
    for (let index = 0; index < count; index++) {
      const time = random.between(0, plan.faultMs);
      const node = random.pick(cluster.nodes);
      const other = random.pick(cluster.nodes);
      const lengthMs = random.between(50, 3000);
      const kinds = ["pause", "clog", "cut", "slow"];
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

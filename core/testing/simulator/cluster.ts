/**
 * A cluster of groups in virtual time: one seed decides everything, and the same seed gives the same trace, byte for
 * byte.
 */
import { invariant } from "../../base/errors.ts";
import { Random } from "../../base/random.ts";
import { completeLimits, completeTiming, type Limits, type Timing } from "../../group/config.ts";
import { orderAddresses } from "../../membership/view.ts";
import { formatTraceLine, type NodeLine, type TraceLine } from "../../runtime/trace.ts";
import type { OrderName } from "../../wire/control.ts";
import { type LinkFaults, MemoryNetwork, VirtualScheduler } from "../../../transports/memory/mod.ts";
import { checkTrace, type PropertyName, type TraceProperty, type Violation } from "../checkers/mod.ts";
import { nodeAddress, nodeName, type PlantBug, type SimulatedApplication, SimulatedNode } from "./node.ts";

/** Most events at one instant of virtual time. */
const SPINS_MAX = 100_000;

/** How a cluster is made. */
export interface ClusterOptions {
  /** Number of members, 1 to 100. */
  readonly size: number;
  /** Decides everything. */
  readonly seed: number;
  /** Order of delivery. Default `fifo`. */
  readonly order?: OrderName;
  /** Faults of every link. Default none, and 1 to 3 ms of delay. */
  readonly faults?: LinkFaults;
  /** Bounds that differ from the defaults. */
  readonly limits?: Partial<Limits>;
  /** Times that differ from the defaults. */
  readonly timing?: Partial<Timing>;
  /** The application of each node. */
  readonly application?: (index: number) => SimulatedApplication;
  /** How fast each node's clock runs. Default 1. */
  readonly clockRate?: (index: number) => number;
  /** Number of a life's incarnation. Default: rising. */
  readonly incarnation?: (index: number, life: number) => number;
  /** A bug to plant in every machine. */
  readonly plant?: PlantBug;
}

/**
 * A simulated cluster.
 *
 * @example
 * ```ts
 * import { Cluster } from "@tutti/tutti/testing";
 *
 * const cluster = new Cluster({ size: 3, seed: 7, faults: { lossRate: 0.2, delayMs: [1, 10] } });
 * cluster.start();
 * cluster.run(1_000);
 * for (let count = 0; count < 10; count++) cluster.nodes[0].send();
 * console.assert(cluster.runUntilSettled(60_000));
 * console.assert(cluster.check().length === 0);
 * ```
 */
export class Cluster {
  /** Its members. */
  readonly nodes: readonly SimulatedNode[];
  /** Its network: cut it, clog it, set its faults. */
  readonly network: MemoryNetwork;
  /** A random source for the run's own decisions. */
  readonly random: Random;
  /** What has happened so far. */
  readonly trace: TraceLine[] = [];
  /** Broken promises seen on the way, which no trace shows. */
  readonly violations: Violation[] = [];
  readonly #scheduler = new VirtualScheduler();
  #deferred: (() => void)[] = [];
  #lastTime = -1;
  #spins = 0;

  /**
   * Makes a cluster; none of its nodes runs yet.
   *
   * @param options Size, seed, faults and what differs from the defaults.
   * @throws {TuttiError} `InvalidArgument` when an option is out of bounds
   */
  constructor(options: ClusterOptions) {
    this.random = new Random(options.seed);
    const scheduler = this.#scheduler;
    this.network = new MemoryNetwork({
      scheduler,
      seed: this.random.uint32(),
      faults: options.faults ?? { delayMs: [1, 3] },
      lossy: true,
      onHandlerError: (error) => {
        throw error;
      },
    });
    const limits = completeLimits(options.limits);
    const timing = completeTiming(options.timing);
    const names = Array.from({ length: options.size }, (_, index) => nodeName(index));
    const members = orderAddresses(names.map(nodeAddress));
    const host = {
      now: () => scheduler.now(),
      at: (time: number, callback: () => void) => scheduler.at(time, callback),
      defer: (callback: () => void) => void this.#deferred.push(callback),
      transport: (address: string) => this.network.transport(address),
      pauseNetwork: (address: string) => this.network.pause(address),
      resumeNetwork: (address: string) => this.network.resume(address),
      crashNetwork: (address: string) => this.network.crash(address),
      trace: (line: NodeLine) => void this.trace.push({ ...line, t: Math.round(scheduler.now() * 1e6) }),
      confirmed: (sender: string, m: string) => this.#confirmed(sender, m),
      violation: (property: PropertyName, text: string) => void this.violations.push({ property, text }),
    };
    this.nodes = names.map((name, index) =>
      new SimulatedNode(host, {
        config: {
          group: "simulation",
          name,
          address: nodeAddress(name),
          members,
          order: options.order ?? "fifo",
          limits,
          timing,
          packetBytesMax: 1024 * 1024,
          seed: this.random.uint32(),
        },
        application: options.application?.(index) ?? {},
        incarnation: (life) => options.incarnation?.(index, life) ?? 1000 * (index + 1) + life,
        clockRate: options.clockRate?.(index) ?? 1,
        plant: options.plant,
      })
    );
  }

  /** Virtual milliseconds since the beginning. */
  get now(): number {
    return this.#scheduler.now();
  }

  /** Starts every node that does not run. */
  start(): void {
    for (const node of this.nodes) if (!node.up) node.start();
    this.#drain();
  }

  /** Runs a callback at a virtual time. */
  at(time: number, callback: () => void): void {
    this.#scheduler.at(time, callback);
  }

  /** Lets virtual time pass. @param ms How much, in milliseconds. */
  run(ms: number): void {
    const end = this.now + ms;
    this.#drain();
    for (
      let next = this.#scheduler.nextTime();
      next !== undefined && next <= end;
      next = this.#scheduler.nextTime()
    ) {
      this.#scheduler.step();
      this.#drain();
      // A deadline in the past that nothing moves would spin a real process for ever.
      this.#spins = next === this.#lastTime ? this.#spins + 1 : 0;
      this.#lastTime = next;
      invariant(this.#spins < SPINS_MAX, () => `virtual time stands still at ${next} ms`);
    }
    this.#scheduler.runUntil(end);
  }

  /**
   * Lets virtual time pass until every node runs and nothing is left to do.
   *
   * @param msMax Longest time, in milliseconds.
   * @returns Whether it came to that.
   */
  runUntilSettled(msMax: number): boolean {
    const end = this.now + msMax;
    while (this.now < end) {
      if (this.nodes.every((node) => node.settled)) return true;
      this.run(Math.min(50, end - this.now));
    }
    return this.nodes.every((node) => node.settled);
  }

  /**
   * Checks the trace so far, as if the run ended here: nodes that run are taken as correct.
   *
   * @returns What breaks a promise; empty when all is well.
   */
  check(properties?: readonly TraceProperty[]): Violation[] {
    const correct = this.nodes.filter((node) => node.up).map((node) => node.name);
    const order = this.nodes[0].machine?.state.config.order;
    const chosen = properties ??
      [
        "integrity",
        "validity",
        "agreement",
        "fifo",
        "stability",
        ...(order === "causal" ? ["causal" as const] : []),
      ];
    return [
      ...this.violations,
      ...checkTrace([...this.trace, { e: "end", correct }], { properties: chosen }),
    ];
  }

  /** The trace as text, one line for each event. */
  format(): string {
    return this.trace.map((line) => `${formatTraceLine(line)}\n`).join("");
  }

  /** Runs a step; a contradiction inside the library becomes a violation. */
  guard<T>(step: () => T): T | undefined {
    try {
      return step();
    } catch (error) {
      this.violations.push({
        property: "invariant",
        text: error instanceof Error ? error.message : String(error),
      });
      return undefined;
    }
  }

  /** What a receipt says: the application of every member, down or up, has had the message in one of its lives. */
  #confirmed(sender: string, m: string): void {
    for (const node of this.nodes) {
      if (node.hasDelivered(m)) continue;
      this.violations.push({
        property: "stability",
        text: `${sender} gets a receipt for ${m}, which ${node.name} has never delivered`,
      });
    }
  }

  #drain(): void {
    while (this.#deferred.length > 0) {
      const deferred = this.#deferred;
      this.#deferred = [];
      for (const callback of deferred) callback();
    }
  }
}

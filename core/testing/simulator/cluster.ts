/**
 * A cluster of groups in virtual time: one seed decides everything, and the same seed gives the same trace, byte for
 * byte.
 */
import { invariant } from "../../base/errors.ts";
import { Random } from "../../base/random.ts";
import { completeLimits, completeTiming, type Limits, type Timing } from "../../group/config.ts";
import type { ElectionName } from "../../election/mod.ts";
import { formatTraceLine, type NodeLine, type TraceLine } from "../../runtime/trace.ts";
import type { EngineName, LevelName, OrderName } from "../../wire/control.ts";
import { type LinkFaults, MemoryNetwork, VirtualScheduler } from "../../../transports/memory/mod.ts";
import {
  checkTrace,
  type PropertyName,
  TRACE_PROPERTIES,
  type TraceProperty,
  type Violation,
} from "../checkers/mod.ts";
import { nodeAddress, nodeName, type PlantBug, type SimulatedApplication, SimulatedNode } from "./node.ts";

/** Most lines of a trace. */
const LINES_MAX = 1_000_000;
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
  /** What makes a total order. Default `sequencer`. */
  readonly engine?: EngineName;
  /** When a message in total order is delivered. Default `safe`. */
  readonly level?: LevelName;
  /** Who should lead. Default `senior`. */
  readonly election?: ElectionName;
  /** How many of the nodes, from the first, found the group; the others join it. Default all. */
  readonly founders?: number;
  /** Faults of every link. Default none, and 1 to 3 ms of delay. */
  readonly faults?: LinkFaults;
  /** Bounds that differ from the defaults. */
  readonly limits?: Partial<Limits>;
  /** Times that differ from the defaults. */
  readonly timing?: Partial<Timing>;
  /** The application of each node. */
  readonly application?: (index: number) => SimulatedApplication;
  /** How long each node's disk takes to save what it promises, in virtual milliseconds. Default: no disks. */
  readonly diskMs?: (index: number) => number | undefined;
  /** How fast each node's clock runs. Default 1. */
  readonly clockRate?: (index: number) => number;
  /** How long after an event a node's turn may come, in virtual milliseconds: a busy event loop. Default 0, at once. */
  readonly turnMs?: number;
  /** Number of a life's incarnation. Default: rising. */
  readonly incarnation?: (index: number, life: number) => number;
  /** Whether a packet that a node sends is lost. Called for each packet, before anything else happens to it. */
  readonly drops?: (from: SimulatedNode, bytes: Uint8Array) => boolean;
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
  readonly #order: OrderName;
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
    this.#order = options.order ?? "fifo";
    const scheduler = this.#scheduler;
    const { turnMs = 0 } = options;
    const turns = new Random(options.seed * 2 + 0x60001);
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
    const founders = names.slice(0, options.founders ?? options.size).map(nodeAddress);
    const host = {
      now: () => scheduler.now(),
      at: (time: number, callback: () => void) => scheduler.at(time, callback),
      defer: (callback: () => void) => {
        if (turnMs === 0) this.#deferred.push(callback);
        else scheduler.at(scheduler.now() + turns.between(0, turnMs), callback);
      },
      transport: (address: string) => this.network.transport(address),
      drops: options.drops ?? (() => false),
      pauseNetwork: (address: string) => this.network.pause(address),
      resumeNetwork: (address: string) => this.network.resume(address),
      crashNetwork: (address: string) => this.network.crash(address),
      trace: (line: NodeLine) => void this.trace.push({ ...line, t: Math.round(scheduler.now() * 1e6) }),
      closeNetwork: (address: string) => this.network.crash(address),
      leads: (node: SimulatedNode) => this.#leads(node),
      violation: (property: PropertyName, text: string) => void this.violations.push({ property, text }),
    };
    this.nodes = names.map((name, index) =>
      new SimulatedNode(host, {
        config: {
          group: "simulation",
          name,
          address: nodeAddress(name),
          seeds: founders.filter((address) => address !== nodeAddress(name)),
          expect: founders.includes(nodeAddress(name)) ? founders.length : 0,
          election: options.election ?? "senior",
          order: options.order ?? "fifo",
          engine: options.engine ?? "sequencer",
          level: options.level ?? "safe",
          limits,
          timing,
          packetBytesMax: 1024 * 1024,
          seed: this.random.uint32(),
        },
        application: options.application?.(index) ?? {},
        incarnation: (life) => options.incarnation?.(index, life) ?? 1_000_000 * (index + 1) + 1000 * life,
        diskMs: options.diskMs?.(index),
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
      invariant(
        this.trace.length < LINES_MAX,
        () => `the trace has ${LINES_MAX} lines: something goes on for ever`,
      );
    }
    this.#scheduler.runUntil(end);
  }

  /**
   * Lets virtual time pass until the nodes that run are one view, and nothing is left to do.
   *
   * @param msMax Longest time, in milliseconds.
   * @returns Whether it came to that.
   */
  runUntilSettled(msMax: number): boolean {
    const end = this.now + msMax;
    while (this.now < end && !this.isSettled()) this.run(Math.min(50, end - this.now));
    return this.isSettled();
  }

  /** Whether the nodes that run are one view, and nothing is left to do. */
  isSettled(): boolean {
    const running = this.nodes.filter((node) => node.up);
    const number = running[0]?.view?.number;
    return running.every((node) => node.view?.number === number && node.isSettled(running.length));
  }

  /** What differs between the states of the nodes that run: nothing, once they are settled. */
  checkStates(): Violation[] {
    const [first, ...others] = this.nodes.filter((node) => node.up);
    const violations: Violation[] = [];
    for (const other of others) {
      const missing = [...first.known].filter((m) => !other.known.has(m));
      const surplus = [...other.known].filter((m) => !first.known.has(m));
      if (missing.length + surplus.length === 0) continue;
      violations.push({
        property: "state",
        text:
          `${other.name} lacks ${missing.length} messages that ${first.name} has (${
            missing.slice(0, 3).join(" ")
          }) ` +
          `and has ${surplus.length} others (${surplus.slice(0, 3).join(" ")})`,
      });
    }
    return violations;
  }

  /**
   * Checks the trace so far, as if the run ended here: nodes that run are taken as correct.
   *
   * @param properties Which properties; all that apply when left out.
   * @param lineCount Lines of the trace to look at, from the first.
   * @returns What breaks a promise; empty when all is well.
   */
  check(properties?: readonly TraceProperty[], lineCount: number = this.trace.length): Violation[] {
    const lines = this.trace.slice(0, lineCount);
    const crashed = new Set<string>(); // as far as these lines go
    for (const line of lines) {
      if (line.e === "crash") crashed.add(line.n);
      else if ("n" in line) crashed.delete(line.n);
    }
    const correct = this.nodes.filter(({ view, name }) => view !== undefined && !crashed.has(name))
      .map(({ name }) => name);
    const chosen = properties ??
      TRACE_PROPERTIES.filter((property) => property !== "causal" || this.#order === "causal");
    return [
      ...this.violations,
      ...checkTrace([...lines, { e: "end", correct }], { properties: chosen }),
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

  /** Nobody else may be sure to lead while a node is. */
  #leads(leader: SimulatedNode): void {
    for (const node of this.nodes) {
      if (node === leader || !node.leads) continue;
      this.violations.push({
        property: "leadership",
        text:
          `${leader.name} (epoch ${leader.view?.number}) and ${node.name} (epoch ${node.view?.number}) both are sure to lead`,
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

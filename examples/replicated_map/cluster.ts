/** The nodes of the demo: real processes, over all their lives. */
import { Terminal, Watch } from "../common/terminal.ts";
import { markCrash } from "../common/traces.ts";

/** How long anything may take that is waited for, in milliseconds. */
const DEADLINE_MS = 20_000;
const PROGRAM = new URL("./node.ts", import.meta.url);

/** One node, over all its lives. */
export interface ClusterNode {
  readonly name: string;
  readonly address: string;
  readonly trace: string;
  /** Its present life. */
  terminal: Terminal;
}

/** All nodes. */
export class Cluster {
  readonly nodes: ClusterNode[] = [];
  readonly watch: Watch = new Watch();
  readonly #directory: string;
  readonly #options: readonly string[];
  readonly #print: (line: string) => void;

  #killedAt = 0;
  /** When a node was first said to be silent. */
  readonly #suspectedAt = new Map<string, number>();

  /**
   * Starts a node at each address.
   *
   * @param directory For stores and traces.
   * @param options What else they are told.
   * @param print Takes what they print.
   */
  constructor(
    directory: string,
    addresses: readonly string[],
    options: readonly string[],
    print: (line: string) => void,
  ) {
    this.#directory = directory;
    this.#options = options;
    this.#print = print;
    for (const [index, address] of addresses.entries()) {
      const name = `n${index + 1}`;
      const node = { name, address, trace: `${directory}/${name}.trace` };
      this.nodes.push({ ...node, terminal: this.#start(node, addresses) });
    }
  }

  /** The addresses of all. */
  get addresses(): string[] {
    return this.nodes.map(({ address }) => address);
  }

  /** Waits until all nodes are in one view. */
  async complete(): Promise<void> {
    const shown = ({ terminal }: ClusterNode): string =>
      terminal.screen.flatMap((line) => /\] View \d+: .*$/.exec(line) ?? []).at(-1) ?? "none";
    const isComplete = (): boolean => {
      const [view, ...others] = this.nodes.map(shown);
      return view.split(", ").length === this.nodes.length && others.every((other) => other === view);
    };
    await this.watch.until("all nodes in one view", isComplete, DEADLINE_MS);
  }

  /** Who leads the latest view that any node speaks of. */
  leader(): ClusterNode {
    let latest = 0;
    let leader = this.nodes[0];
    for (const node of this.nodes) {
      for (const line of node.terminal.screen) {
        const [, name, view] = /\] (\S+|This process) leads view (\d+)$/.exec(line) ?? [];
        if (view === undefined || Number(view) <= latest) continue;
        latest = Number(view);
        leader = this.nodes.find((other) => other.name === name) ?? node; // "This process"
      }
    }
    return leader;
  }

  /** After how many milliseconds a node that was killed was first suspected by another. */
  suspectedMs({ name }: ClusterNode): number {
    return Math.round((this.#suspectedAt.get(name) ?? NaN) - this.#killedAt);
  }

  /** Kills nodes with SIGKILL, all at once. */
  async kill(nodes: readonly ClusterNode[]): Promise<void> {
    this.#killedAt = performance.now();
    this.#suspectedAt.clear();
    for (const { terminal } of nodes) terminal.kill();
    await Promise.all(nodes.map(({ terminal }) => terminal.ended));
    for (const { trace, name } of nodes) markCrash(trace, name);
  }

  /** Starts nodes again, with the same command lines. */
  restart(nodes: readonly ClusterNode[]): void {
    for (const node of nodes) node.terminal = this.#start(node, this.addresses);
  }

  /** Waits until all show the same entries. @returns What each shows. */
  async equal(): Promise<readonly string[]> {
    const endAt = performance.now() + DEADLINE_MS;
    for (;;) {
      const shown = await Promise.all(this.nodes.map((node) => this.#digest(node)));
      if (new Set(shown).size === 1 || performance.now() > endAt) return shown;
    }
  }

  /** Has all leave. @returns Who did not end well. */
  async quit(): Promise<string[]> {
    const endings = await Promise.all(this.nodes.map(({ terminal }) => terminal.quit(DEADLINE_MS)));
    return this.nodes.filter((_, index) => endings[index].code !== 0).map(({ name }) => name);
  }

  /** Ends every process at once. */
  async end(): Promise<void> {
    for (const { terminal } of this.nodes) terminal.kill();
    await Promise.all(this.nodes.map(({ terminal }) => terminal.ended));
  }

  async #digest({ terminal }: ClusterNode): Promise<string> {
    const from = terminal.screen.length;
    terminal.type("stats");
    const [, shown] = await terminal.shows(/^Statistics: .*(entries \d+, digest \w+)$/, DEADLINE_MS, from);
    return shown;
  }

  #start({ name, address, trace }: Omit<ClusterNode, "terminal">, addresses: readonly string[]): Terminal {
    const peers = addresses.filter((other) => other !== address).join();
    const own = ["--name", name, "--listen", address, "--peers", peers, "--trace", trace];
    const args = [...own, "--store", this.#directory, ...this.#options];
    return new Terminal(name, PROGRAM, args, this.watch, (line) => {
      const [, silent] = /\] (\S+) is not heard any more/.exec(line) ?? [];
      if (silent !== undefined && !this.#suspectedAt.has(silent)) {
        this.#suspectedAt.set(silent, performance.now());
      }
      if (!line.startsWith("Statistics:")) this.#print(`${name} | ${line}`);
    });
  }
}

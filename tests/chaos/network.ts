/**
 * A network of its own for every member: namespaces whose ports hang on two bridges, with a cable between the bridges. It is all
 * inside namespaces, so the machine's own network is not touched, and all of it goes when the namespaces go.
 */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import process from "node:process";
import type { Place } from "./crew.ts";

const PORT = 7000;
/** Where named network namespaces are. */
const NAMESPACES = "/var/run/netns";
const PREFIX = "tutti-chaos-";

/** Runs a program. @throws {Error} With what it complained about. */
function run(program: string, ...args: readonly string[]): void {
  try {
    execFileSync(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  } catch (error) {
    const { stderr, message } = error as Error & { readonly stderr?: Uint8Array };
    const complaint = stderr === undefined ? "" : new TextDecoder().decode(stderr).trim();
    throw new Error(`${program} ${args.join(" ")}: ${complaint === "" ? message : complaint}`, {
      cause: error,
    });
  }
}

/** Makes sure that `ip` is there. */
function install(print: (line: string) => void): void {
  try {
    return run("ip", "-V");
  } catch {
    print("ip is not here: installing iproute2 with apt-get");
  }
  run("apt-get", "update", "-q");
  run("apt-get", "install", "-y", "-q", "--no-install-recommends", "iproute2");
}

/** Takes away what runs left behind that were killed with no chance to do so. */
function clearStale(): void {
  let names: string[] = [];
  try {
    names = readdirSync(NAMESPACES);
  } catch {
    return; // There never was one.
  }
  for (const name of names) {
    const [, pid] = /^tutti-chaos-(\d+)-/.exec(name) ?? [];
    if (pid === undefined) continue;
    try {
      process.kill(Number(pid), 0);
    } catch {
      run("ip", "netns", "del", name);
    }
  }
}

const networks = new Set<Network>();
process.on("exit", () => networks.forEach((network) => network.remove()));

/** The network of some members. */
export class Network {
  /** Where each member runs. */
  readonly places: readonly Place[];
  readonly #names: string[] = [];
  readonly #switch: string;

  private constructor(count: number) {
    const prefix = `${PREFIX}${process.pid}-`;
    this.#switch = this.#add(`${prefix}switch`);
    const places: Place[] = [];
    for (const bridge of ["left", "right"]) {
      this.#inSwitch("link", "add", bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0");
      this.#inSwitch("link", "set", bridge, "up");
    }
    this.#inSwitch("link", "add", "cable", "type", "veth", "peer", "name", "cable-end");
    this.#plug("cable", "left");
    this.#plug("cable-end", "right");
    for (let index = 0; index < count; index++) {
      const name = this.#add(`${prefix}${index + 1}`);
      const address = `10.77.0.${index + 1}`;
      const port = this.#portOf(index);
      run(
        "ip",
        "link",
        "add",
        port,
        "netns",
        this.#switch,
        "type",
        "veth",
        "peer",
        "name",
        "net",
        "netns",
        name,
      );
      run("ip", "-n", name, "address", "add", `${address}/24`, "dev", "net");
      run("ip", "-n", name, "link", "set", "net", "up");
      run("ip", "-n", name, "link", "set", "lo", "up");
      this.#plug(port, "left");
      places.push({ listen: `tcp://${address}:${PORT}`, prefix: ["ip", "netns", "exec", name] });
    }
    this.places = places;
  }

  /**
   * Makes a network in which all are connected.
   *
   * @returns Why that is not possible here, if it is not.
   */
  static make(count: number, print: (line: string) => void): Network | string {
    if (process.platform !== "linux") return `there are no network namespaces on ${process.platform}`;
    if (process.getuid?.() !== 0) return "network namespaces need root";
    const probe = `${PREFIX}${process.pid}-probe`;
    try {
      install(print);
      clearStale();
      run("ip", "netns", "add", probe);
    } catch (error) {
      return (error as Error).message;
    }
    let network: Network | undefined = undefined;
    try {
      run("ip", "netns", "exec", probe, "true");
      run("ip", "-n", probe, "link", "add", "probe", "type", "bridge");
      network = new Network(count);
      return network;
    } catch (error) {
      return (error as Error).message;
    } finally {
      remove(probe);
      if (network === undefined) clearOwn();
    }
  }

  /** Sets the port of a member, at the bridge, down or up. */
  port(index: number, up: boolean): void {
    this.#inSwitch("link", "set", this.#portOf(index), up ? "up" : "down");
  }

  /** Has the ports of some members on one bridge, the others on the other, and takes the cable away, so that there are two halves. */
  split(right: readonly number[]): void {
    for (const index of this.places.keys()) {
      this.#inSwitch("link", "set", this.#portOf(index), "master", right.includes(index) ? "right" : "left");
    }
    this.#inSwitch("link", "set", "cable", "down");
  }

  /** Puts the cable back. */
  heal(): void {
    this.#inSwitch("link", "set", "cable", "up");
  }

  /** Removes all of it. */
  remove(): void {
    networks.delete(this);
    for (const name of this.#names.splice(0)) remove(name);
  }

  #add(name: string): string {
    networks.add(this);
    run("ip", "netns", "add", name);
    this.#names.push(name);
    return name;
  }

  #inSwitch(...args: readonly string[]): void {
    run("ip", "-n", this.#switch, ...args);
  }

  #plug(port: string, bridge: string): void {
    this.#inSwitch("link", "set", port, "master", bridge);
    this.#inSwitch("link", "set", port, "up");
  }

  #portOf(index: number): string {
    return `port${index + 1}`;
  }
}

function remove(name: string): void {
  try {
    run("ip", "netns", "del", name);
  } catch {
    // It is gone, or was never made.
  }
}

/** Removes a network that could be made in part only. */
function clearOwn(): void {
  for (const network of networks) network.remove();
}

/**
 * One life of a member on a memory network: the Transport port on one side, the network on the other.
 *
 * Calls of the handler come only from the scheduler; after `close` or a crash there are none.
 */
import { type Address, isName, NAME_BYTES_MAX } from "../../core/base/ids.ts";
import { TuttiError } from "../../core/base/errors.ts";
import type {
  SendStatus,
  Transport,
  TransportHandler,
  TransportTraits,
} from "../../core/runtime/transport.ts";
import type { Held, Life, LifeCounts, Link, Peer } from "./link.ts";

const SCHEME = "memory:";
/** How much of a malformed address an error shows. */
const SHOWN_CHARACTERS_MAX = 100;

/**
 * Checks an address of the memory network.
 *
 * @param address `memory:NAME`, NAME being 1 to 64 bytes of printable text without spaces.
 * @returns The same text.
 * @throws {TuttiError} `InvalidAddress`
 */
export function canonicalAddress(address: string): Address {
  if (typeof address === "string" && address.startsWith(SCHEME)) {
    if (isName(address.slice(SCHEME.length), NAME_BYTES_MAX)) return address as Address;
  }
  throw new TuttiError(
    "InvalidAddress",
    `Cannot use address ${
      JSON.stringify(String(address).slice(0, SHOWN_CHARACTERS_MAX))
    }: it is not memory:NAME; ` +
      `give a NAME of 1 to ${NAME_BYTES_MAX} bytes of printable text without spaces`,
  );
}

/** What an endpoint asks of its network. */
export interface EndpointNetwork {
  readonly lossy: boolean;
  readonly packetBytesMax: number;
  opened(endpoint: Endpoint): void;
  closed(endpoint: Endpoint): void;
  link(from: Address, to: Address): Link;
  /** One end of a pair opened, closed, connected or disconnected. */
  pairChanged(one: Endpoint, other: Address): void;
  multicast(from: Endpoint, packet: Uint8Array): SendStatus;
  unicast(from: Endpoint, peer: Peer, packet: Uint8Array): SendStatus;
  /** One end sends to an address to which it has no path. */
  knock(from: Endpoint, to: Address): void;
  /** A peer's path is gone: whoever waits for room on its link need not wait any longer. */
  released(link: Link): void;
}

/** The memory adapter. */
export class Endpoint implements Transport, Life {
  readonly traits: TransportTraits;
  readonly address: Address;
  readonly peers: Map<Address, Peer> = new Map();
  readonly held: Held[] = [];
  paused = false;
  cancelFlush: (() => void) | undefined = undefined;
  heldPackets = 0;
  readonly counts: LifeCounts = {
    packetsSent: 0,
    bytesSent: 0,
    packetsReceived: 0,
    bytesReceived: 0,
    full: 0,
    oversize: 0,
    unreachable: 0,
    handlerErrors: 0,
  };
  readonly #network: EndpointNetwork;
  #handler: TransportHandler | undefined;
  #closed = false;

  constructor(network: EndpointNetwork, address: Address) {
    this.#network = network;
    this.address = address;
    this.traits = {
      name: "memory",
      multicast: "fan-out",
      lossy: network.lossy,
      packetBytesMax: network.packetBytesMax,
    };
  }

  get handler(): TransportHandler | undefined {
    return this.#handler;
  }

  // deno-lint-ignore require-await -- what goes wrong is a rejection, as with adapters that do wait
  async open(handler: TransportHandler): Promise<Address> {
    if (this.#closed) {
      throw new TuttiError("Closed", `Cannot open ${this.address}: this adapter was closed; make a new one`);
    }
    if (this.#handler !== undefined) {
      throw new TuttiError("AddressInUse", `Cannot open ${this.address}: it is open already; open it once`);
    }
    this.#network.opened(this);
    this.#handler = handler;
    for (const peer of this.peers.keys()) this.#network.pairChanged(this, peer);
    return this.address;
  }

  canonical(address: string): Address {
    return canonicalAddress(address);
  }

  connect(peer: Address): void {
    if (this.#closed || peer === this.address || this.peers.has(peer)) return;
    const link = this.#network.link(this.address, peer);
    this.peers.set(peer, { address: peer, link, target: undefined, found: undefined });
    this.#network.pairChanged(this, peer);
  }

  disconnect(address: Address): void {
    const peer = this.peers.get(address);
    if (peer === undefined) return;
    this.peers.delete(address);
    this.#network.released(peer.link);
    this.#network.pairChanged(this, address);
  }

  multicast(packet: Uint8Array): SendStatus {
    if (this.#handler === undefined) return this.#refuse("unreachable");
    if (packet.length > this.traits.packetBytesMax) return this.#refuse("oversize");
    return this.#network.multicast(this, packet);
  }

  unicast(to: Address, packet: Uint8Array): SendStatus {
    const peer = this.peers.get(to);
    if (this.#handler === undefined || peer?.target === undefined) {
      if (this.#handler !== undefined) this.#network.knock(this, to);
      return this.#refuse("unreachable");
    }
    if (packet.length > this.traits.packetBytesMax) return this.#refuse("oversize");
    return this.#network.unicast(this, peer, packet);
  }

  stats(): Readonly<Record<string, number>> {
    return { ...this.counts, heldNow: this.held.length, peersNow: this.peers.size };
  }

  close(_deadlineMs: number): Promise<void> {
    this.end();
    return Promise.resolve();
  }

  /** Ends this life at once: by `close` or by a crash. What has left is on its way and stays so. */
  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    const wasOpen = this.#handler !== undefined;
    this.#handler = undefined;
    if (wasOpen) this.#network.closed(this);
    this.peers.clear();
  }

  #refuse(why: "unreachable" | "oversize"): SendStatus {
    this.counts[why]++;
    return "unreachable";
  }
}

/**
 * The adapter: sockets, links and the Transport port put together.
 *
 * PUB/SUB carries multicast, ROUTER/DEALER unicast. Each DEALER only sends and the ROUTER only receives: an answer
 * leaves by one's own DEALER. No send is ever awaited. Fault model: packets may be lost at a high-water mark or when a
 * connection breaks; the group above repairs that. A peer may send anything at all: it is dropped and counted.
 */
import type * as ZeroMq from "zeromq";
import type { Address } from "../../core/base/ids.ts";
import { TuttiError } from "../../core/base/errors.ts";
import type {
  SendStatus,
  Transport,
  TransportHandler,
  TransportTraits,
} from "../../core/runtime/transport.ts";
import { type Counters, newCounters } from "./counters.ts";
import { parseEndpoint } from "./endpoint.ts";
import { type Boot, encodeFrame, type Frame, isFrame, NONCES_MAX } from "./frames.ts";
import { Intake } from "./intake.ts";
import { Link, type LinkPorts } from "./link.ts";
import { untilFree } from "./occupancy.ts";
import type { Settings } from "./options.ts";
import { type Reception, startReception } from "./receive.ts";
import { openSockets, type Sockets } from "./sockets.ts";
import { Subscriptions } from "./subscriptions.ts";

/** How often an own probe is published when nobody waits for one, in milliseconds. */
const PROBE_MS = 1000;
/** How long probes are gathered, so that 50 joiners cost one frame, in milliseconds. */
const PROBE_GATHER_MS = 3;
/** How often a `full` link is looked at, in milliseconds. */
const FULL_MS = 5;
/** A timer that is later than this says that the process was stopped or busy, in milliseconds. */
const STALL_MS = 200;
/** How long a DEALER may go on sending after it was closed, in milliseconds. */
const FAREWELL_MS = 200;
/** How long close waits at most for libzmq to give up the endpoints, in milliseconds. */
const UNBIND_MS = 1000;

type State = "new" | "opening" | "open" | "closing" | "closed";

/** A {@link Transport} over ZeroMQ. */
export class ZeroMqTransport implements Transport {
  readonly traits: TransportTraits;

  readonly #settings: Settings;
  readonly #address: Address;
  readonly #boot: Boot = randomBoot();
  readonly #links: Map<Address, Link> = new Map();
  readonly #dealers: Map<Link, ZeroMq.Dealer> = new Map();
  readonly #counters: Counters = newCounters();
  readonly #subscriptions: Subscriptions;
  readonly #intake: Intake;
  readonly #ports: LinkPorts;
  readonly #sendFailed = (): void => {
    this.#counters.packetsDropped++;
  };
  #state: State = "new";
  #handler: TransportHandler | undefined;
  #sockets: Sockets | undefined;
  #reception: Reception | undefined;
  #closing: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtMs = Infinity;
  #nonces: number[] = [];
  #probeAtMs = 0;
  #acknowledged: (() => void) | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#address = settings.advertise.text;
    this.traits = {
      name: "zeromq",
      multicast: "fan-out",
      lossy: false,
      packetBytesMax: settings.packetBytesMax,
    };
    this.#subscriptions = new Subscriptions(() => this.#sockets?.subscriber, this.#counters);
    this.#intake = new Intake(this.#boot, settings.packetBytesMax, this.#counters, {
      linkAt: (address) => this.#state === "open" ? this.#links.get(address) : undefined,
      linkOf: (boot) => this.#linkOf(boot),
      packet: (bytes, more) => this.#deliver(bytes, more),
      stranger: (address) => this.#tell((handler) => handler.stranger?.(address)),
      acknowledged: (link) => this.#acknowledge(link),
      left: (link) => {
        // Two that close at the same time: the other's farewell is as good as its answer.
        if (this.#state === "closing") this.#acknowledge(link);
      },
      handled: () => this.#schedule(),
    });
    this.#ports = {
      boot: this.#boot,
      silenceMs: settings.silenceMs,
      nonce: randomNonce,
      subscribe: (endpoint) => this.#subscriptions.add(endpoint),
      unsubscribe: (endpoint) => this.#subscriptions.remove(endpoint),
      probe: (nonce) => {
        if (this.#nonces.length < NONCES_MAX) this.#nonces.push(nonce);
        this.#probeAtMs = Math.min(this.#probeAtMs, performance.now() + PROBE_GATHER_MS);
        this.#schedule();
      },
      send: (link, frame) => this.#sendFrame(link, frame),
      changed: (link) => this.#changed(link),
    };
  }

  canonical(address: string): Address {
    return parseEndpoint(address, "reach").text;
  }

  async open(handler: TransportHandler): Promise<Address> {
    if (this.#state !== "new") {
      throw new TuttiError("Closed", "Cannot open zeromq: it was opened or closed before; make a new one");
    }
    this.#state = "opening";
    try {
      this.#sockets = await openSockets(this.#settings);
    } catch (error) {
      this.#state = "closed";
      throw error;
    }
    this.#handler = handler;
    const { router, subscriber } = this.#sockets;
    this.#reception = startReception(this.#settings.receive, [
      { socket: router, take: (parts, more) => this.#intake.unicast(parts, more) },
      { socket: subscriber, take: (parts, more) => this.#intake.multicast(parts, more) },
    ]);
    this.#state = "open";
    this.#probeAtMs = performance.now();
    this.#schedule();
    return this.#address;
  }

  connect(peer: Address): void {
    if (this.#state !== "open" || this.#sockets === undefined) return;
    const address = this.canonical(peer);
    if (address === this.#address || this.#links.has(address)) return;
    const dealer = this.#sockets.dealer(address);
    const link = new Link(address, this.#ports);
    this.#intake.welcome(address);
    this.#links.set(address, link);
    this.#dealers.set(link, dealer);
    this.#schedule();
  }

  disconnect(peer: Address): void {
    const link = this.#links.get(peer);
    if (link === undefined || this.#state !== "open") return;
    this.#sendFrame(link, { kind: "bye", boot: this.#boot, final: false });
    this.#links.delete(link.address);
    this.#intake.shun(link.address);
    link.close();
    this.#closeDealer(link, FAREWELL_MS);
  }

  multicast(packet: Uint8Array): SendStatus {
    if (this.#state !== "open" || this.#sockets === undefined || !this.#mayLeave(packet)) {
      return "unreachable";
    }
    if (this.#links.size === 0) return "sent";
    this.#counters.packetsSent++;
    this.#counters.bytesSent += packet.byteLength;
    this.#push(this.#sockets.publisher, packet);
    return "sent";
  }

  unicast(to: Address, packet: Uint8Array): SendStatus {
    const link = this.#links.get(to);
    if (link === undefined || this.#state !== "open" || link.silenced || !this.#mayLeave(packet)) {
      return "unreachable";
    }
    const dealer = this.#dealers.get(link);
    if (dealer === undefined) return "unreachable";
    if (!dealer.writable) {
      // While the peer is up this is its high-water mark, or a connection that just broke: `drain` follows in both
      // cases, at the latest when the peer is given up.
      if (!link.up) return "unreachable";
      link.full = true;
      this.#schedule();
      return "full";
    }
    this.#counters.packetsSent++;
    this.#counters.bytesSent += packet.byteLength;
    this.#push(dealer, packet);
    return "sent";
  }

  stats(): Readonly<Record<string, number>> {
    let reachableNow = 0;
    for (const link of this.#links.values()) if (link.up) reachableNow++;
    return { ...this.#counters, peersNow: this.#links.size, reachableNow };
  }

  close(deadlineMs: number): Promise<void> {
    this.#closing ??= this.#close(Math.max(0, deadlineMs));
    return this.#closing;
  }

  // Sending.

  /** Whether a packet may be handed to ZeroMQ: one that is too large would silently break the peer's connection. */
  #mayLeave(packet: Uint8Array): boolean {
    if (packet.byteLength <= this.#settings.packetBytesMax && !isFrame(packet)) return true;
    this.#counters.packetsDropped++;
    return false;
  }

  #push(socket: ZeroMq.Dealer | ZeroMq.Publisher, bytes: Uint8Array): void {
    try {
      socket.send(bytes).catch(this.#sendFailed);
    } catch {
      this.#sendFailed();
    }
  }

  #sendFrame(link: Link, frame: Frame): boolean {
    const dealer = this.#dealers.get(link);
    if (dealer === undefined || !dealer.writable) return false;
    this.#push(dealer, encodeFrame(frame));
    return true;
  }

  #sendHello(link: Link, nowMs: number): void {
    if (this.#sockets === undefined) return;
    const { publish, publishPort } = this.#sockets;
    const sent = this.#sendFrame(link, {
      kind: "hello",
      boot: this.#boot,
      ...link.hello(),
      publishPort,
      address: this.#address,
      publish: publish.kind === "ipc" ? publish.text : "",
    });
    link.helloDone(nowMs, sent);
  }

  // Receiving.

  #deliver(bytes: Uint8Array, more: boolean): boolean {
    if (this.#state !== "open") return false;
    this.#counters.packetsReceived++;
    this.#counters.bytesReceived += bytes.byteLength;
    this.#tell((handler) =>
      handler.packet(new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength), more)
    );
    return true;
  }

  /** Calls the handler; what it throws is its own affair and is counted. */
  #tell(call: (handler: TransportHandler) => void): void {
    if (this.#state !== "open" || this.#handler === undefined) return;
    try {
      call(this.#handler);
    } catch {
      this.#counters.handlerErrors++;
    }
  }

  #acknowledge(link: Link | undefined): void {
    if (link === undefined) return;
    link.acknowledged = true;
    this.#acknowledged?.();
  }

  #linkOf(boot: Boot): Link | undefined {
    for (const link of this.#links.values()) if (link.boot === boot) return link;
    return undefined;
  }

  // Links.

  #changed(link: Link): void {
    if (link.up) this.#counters.handshakes++;
    else this.#counters.losses++;
    this.#tell((handler) => handler.reachable(link.address, link.up));
  }

  #closeDealer(link: Link, lingerMs: number): void {
    const dealer = this.#dealers.get(link);
    this.#dealers.delete(link);
    if (dealer === undefined || dealer.closed) return;
    dealer.linger = lingerMs;
    dealer.close();
  }

  // Time: one timer for everything.

  #schedule(): void {
    if (this.#state !== "open") return;
    let atMs = this.#probeAtMs;
    for (const link of this.#links.values()) {
      if (link.helloAtMs < atMs) atMs = link.helloAtMs;
      if (link.full) atMs = Math.min(atMs, performance.now() + FULL_MS);
    }
    if (atMs >= this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(() => this.#tick(), Math.max(0, atMs - performance.now()));
  }

  #tick(): void {
    const nowMs = performance.now();
    const lateMs = nowMs - this.#timerAtMs;
    this.#timerAtMs = Infinity;
    if (this.#state !== "open") return;
    if (lateMs > STALL_MS) {
      this.#counters.stalls++;
      for (const link of this.#links.values()) link.excuse(lateMs);
    }
    if (nowMs >= this.#probeAtMs) this.#publishProbe(nowMs);
    let drained = false;
    for (const link of [...this.#links.values()]) {
      link.tick(nowMs);
      if (nowMs >= link.helloAtMs) this.#sendHello(link, nowMs);
      if (link.full && (!link.up || this.#dealers.get(link)?.writable === true)) {
        link.full = false;
        drained = true;
      }
    }
    if (drained) this.#tell((handler) => handler.drain());
    this.#schedule();
  }

  #publishProbe(nowMs: number): void {
    this.#probeAtMs = nowMs + PROBE_MS;
    if (this.#sockets === undefined || this.#links.size === 0) return;
    this.#push(
      this.#sockets.publisher,
      encodeFrame({ kind: "probe", boot: this.#boot, nonces: this.#nonces }),
    );
    this.#nonces = [];
  }

  // The end.

  async #close(deadlineMs: number): Promise<void> {
    const endMs = performance.now() + deadlineMs;
    while (this.#state === "opening") await pause(5); // Binding is bounded by itself.
    if (this.#sockets === undefined) {
      this.#state = "closed";
      return;
    }
    this.#state = "closing"; // From here on the handler hears nothing.
    clearTimeout(this.#timer);
    const { router, publisher, subscriber, publish } = this.#sockets;
    await this.#sayBye(endMs);
    this.#state = "closed";
    const stopped = this.#reception?.stop();
    for (const link of [...this.#dealers.keys()]) {
      this.#closeDealer(link, link.acknowledged ? FAREWELL_MS : 0);
    }
    this.#links.clear();
    await stopped;
    for (const socket of [subscriber, router, publisher]) socket.close();
    const graceMs = Math.max(UNBIND_MS, endMs - performance.now());
    await Promise.all([untilFree(this.#settings.listen, graceMs), untilFree(publish, graceMs)]);
  }

  /**
   * Sends a farewell behind everything else on both paths and waits until every reachable peer has confirmed it: then
   * all that was sent has not only left, it has arrived.
   */
  async #sayBye(endMs: number): Promise<void> {
    const links = [...this.#links.values()];
    const bye: Frame = { kind: "bye", boot: this.#boot, final: true };
    if (this.#sockets !== undefined) this.#push(this.#sockets.publisher, encodeFrame(bye));
    for (const link of links) this.#sendFrame(link, bye);
    const waiting = links.filter((link) => link.up);
    const done = (): boolean => waiting.every((link) => link.acknowledged);
    while (!done() && performance.now() < endMs) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(0, endMs - performance.now()));
        this.#acknowledged = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function randomBoot(): Boot {
  return crypto.getRandomValues(new BigUint64Array(1))[0] | 1n;
}

function randomNonce(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] | 1) >>> 0;
}

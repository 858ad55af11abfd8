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
import { parseEndpoint } from "./endpoint.ts";
import { type Boot, decodeFrame, encodeFrame, type Frame, isFrame, NONCES_MAX } from "./frames.ts";
import { Link, type LinkPorts } from "./link.ts";
import { untilFree } from "./occupancy.ts";
import type { Settings } from "./options.ts";
import { type Reception, startReception } from "./receive.ts";
import { openSockets, type Sockets } from "./sockets.ts";

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
/** Most senders whose address is remembered, for `disconnect` to hold. */
const ROUTES_MAX = 4096;
const SHUNNED_MAX = 1024;

/** Counters, named as `stats()` gives them. */
interface Counters {
  packetsSent: number;
  packetsReceived: number;
  bytesSent: number;
  bytesReceived: number;
  packetsDropped: number;
  foreignFrames: number;
  unknownPeers: number;
  handshakes: number;
  losses: number;
  handlerErrors: number;
  stalls: number;
}

type State = "new" | "opening" | "open" | "closing" | "closed";

/** A {@link Transport} over ZeroMQ. */
export class ZeroMqTransport implements Transport {
  readonly traits: TransportTraits;

  readonly #settings: Settings;
  readonly #address: Address;
  readonly #boot: Boot = randomBoot();
  readonly #links: Map<Address, Link> = new Map();
  readonly #dealers: Map<Link, ZeroMq.Dealer> = new Map();
  readonly #subscriptions: Map<string, number> = new Map();
  readonly #routes: Map<string, Address> = new Map();
  readonly #shunned: Set<Address> = new Set();
  readonly #counters: Counters = {
    packetsSent: 0,
    packetsReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
    packetsDropped: 0,
    foreignFrames: 0,
    unknownPeers: 0,
    handshakes: 0,
    losses: 0,
    handlerErrors: 0,
    stalls: 0,
  };
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
    this.#ports = {
      boot: this.#boot,
      silenceMs: settings.silenceMs,
      nonce: randomNonce,
      subscribe: (endpoint) => this.#subscribe(endpoint),
      unsubscribe: (endpoint) => this.#unsubscribe(endpoint),
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
      { socket: router, take: (parts) => this.#takeUnicast(parts) },
      { socket: subscriber, take: (parts) => this.#takeMulticast(parts) },
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
    this.#shunned.delete(address);
    this.#links.set(address, link);
    this.#dealers.set(link, dealer);
    this.#schedule();
  }

  disconnect(peer: Address): void {
    const link = this.#links.get(peer);
    if (link === undefined || this.#state !== "open") return;
    this.#sendFrame(link, { kind: "bye", boot: this.#boot, final: false });
    this.#links.delete(link.address);
    if (this.#shunned.size >= SHUNNED_MAX) this.#shunned.clear();
    this.#shunned.add(link.address);
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

  // Receiving. Nothing in here throws, whatever came.

  #takeUnicast(parts: Uint8Array[]): boolean {
    if (parts.length !== 2) {
      this.#counters.foreignFrames++;
      return false;
    }
    const [route, bytes] = parts;
    if (isFrame(bytes)) {
      this.#takeFrame(bytes, route);
      return false;
    }
    if (this.#shunned.size > 0) {
      const address = this.#routes.get(routeKey(route));
      if (address !== undefined && this.#shunned.has(address)) {
        this.#counters.packetsDropped++;
        return false;
      }
    }
    return this.#deliver(bytes);
  }

  #takeMulticast(parts: Uint8Array[]): boolean {
    if (parts.length !== 1) {
      this.#counters.foreignFrames++;
      return false;
    }
    if (!isFrame(parts[0])) return this.#deliver(parts[0]);
    this.#takeFrame(parts[0], undefined);
    return false;
  }

  #deliver(bytes: Uint8Array): boolean {
    if (bytes.byteLength > this.#settings.packetBytesMax || bytes.byteLength === 0) {
      this.#counters.foreignFrames++;
      return false;
    }
    if (this.#state !== "open") return false;
    this.#counters.packetsReceived++;
    this.#counters.bytesReceived += bytes.byteLength;
    this.#tell((handler) =>
      handler.packet(new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength))
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

  #takeFrame(bytes: Uint8Array, route: Uint8Array | undefined): void {
    const frame = decodeFrame(bytes);
    const unicast = route !== undefined;
    // A bye comes on both paths; hello and ack only by unicast, a probe only by multicast.
    if (frame === undefined || (frame.kind !== "bye" && unicast === (frame.kind === "probe"))) {
      this.#counters.foreignFrames++;
      return;
    }
    const nowMs = performance.now();
    switch (frame.kind) {
      case "hello":
        this.#takeHello(frame, route as Uint8Array, nowMs);
        break;
      case "probe":
        this.#linkOf(frame.boot)?.receiveProbe(frame.nonces, nowMs);
        break;
      case "bye":
        this.#takeBye(frame.boot, frame.final, unicast, nowMs);
        break;
      case "ack":
        if (frame.echo === this.#boot) this.#acknowledge(this.#linkOf(frame.boot));
        break;
    }
    this.#schedule();
  }

  #takeHello(frame: Frame & { readonly kind: "hello" }, route: Uint8Array, nowMs: number): void {
    let address: Address;
    let publish: string;
    try {
      const endpoint = parseEndpoint(frame.address, "reach");
      address = endpoint.text;
      if (endpoint.kind === "tcp") publish = `tcp://${endpoint.host}:${frame.publishPort}`;
      else publish = frame.publish;
      if (parseEndpoint(publish, "reach").kind !== endpoint.kind) throw new Error("another kind");
    } catch {
      this.#counters.foreignFrames++;
      return;
    }
    if (this.#routes.size >= ROUTES_MAX) this.#routes.delete(this.#routes.keys().next().value as string);
    this.#routes.set(routeKey(route), address);
    const link = this.#links.get(address);
    if (link === undefined || this.#state !== "open") this.#counters.unknownPeers++;
    else link.receiveHello(frame, publish, nowMs);
  }

  #takeBye(boot: Boot, final: boolean, unicast: boolean, nowMs: number): void {
    const link = this.#linkOf(boot);
    if (link === undefined) return;
    link.receiveBye(unicast ? "unicast" : "multicast", final, nowMs);
    // Two that close at the same time: the other's farewell is as good as its answer.
    if (this.#state === "closing" && unicast) this.#acknowledge(link);
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

  #subscribe(endpoint: string): void {
    const count = this.#subscriptions.get(endpoint) ?? 0;
    this.#subscriptions.set(endpoint, count + 1);
    if (count > 0) return;
    try {
      this.#sockets?.subscriber.connect(endpoint);
    } catch {
      this.#counters.foreignFrames++; // An endpoint that is well-formed, yet not to the system's taste.
    }
  }

  #unsubscribe(endpoint: string): void {
    const count = this.#subscriptions.get(endpoint) ?? 0;
    if (count > 1) {
      this.#subscriptions.set(endpoint, count - 1);
      return;
    }
    this.#subscriptions.delete(endpoint);
    try {
      this.#sockets?.subscriber.disconnect(endpoint);
    } catch {
      // It was never connected.
    }
  }

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

function routeKey(route: Uint8Array): string {
  return String.fromCharCode(...route.subarray(0, 255));
}

function randomBoot(): Boot {
  return crypto.getRandomValues(new BigUint64Array(1))[0] | 1n;
}

function randomNonce(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] | 1) >>> 0;
}

/**
 * The adapter: sockets, links, pacer and the Transport port put together.
 *
 * The member's own socket sends everything; what it sends to the multicast group every other member hears on a socket
 * of its own. Fault model: the network loses, repeats, reorders and truncates datagrams, and anybody may send anything;
 * the group above repairs what is lost, everything else is dropped and counted.
 */
import { TuttiError } from "../../core/base/errors.ts";
import type { Address } from "../../core/base/ids.ts";
import type {
  SendStatus,
  Transport,
  TransportHandler,
  TransportTraits,
} from "../../core/runtime/transport.ts";
import { PATIENCE_MS } from "./assembly.ts";
import { type Counters, newCounters } from "./counters.ts";
import { type Endpoint, parseEndpoint } from "./endpoint.ts";
import { type Boot, type Control, encodeControl, encodeProbe, Kind, NONCES_MAX } from "./frames.ts";
import { Intake } from "./intake.ts";
import { Stationer } from "./letter.ts";
import { Link, type LinkPorts } from "./link.ts";
import { type Settings, wholeBytesMax } from "./options.ts";
import { Pacer } from "./pacer.ts";
import { openSockets, type Sockets } from "./sockets.ts";

/** How often an own probe is multicast within the silence after which multicast counts as lost. */
const PROBES_PER_SILENCE = 6;
/** How long probes are gathered, so that 50 joiners cost one datagram, in milliseconds. */
const PROBE_GATHER_MS = 3;
/** A timer that is later than this says that the process was stopped or busy, in milliseconds. */
const STALL_MS = 200;
/** How often a farewell is said until it is confirmed, in milliseconds. */
const BYE_MS = 20;
/** How long the system may take for the last datagrams, in milliseconds. */
const FAREWELL_MS = 100;

type State = "new" | "opening" | "open" | "closing" | "closed";

/** A {@link Transport} over UDP. */
export class UdpTransport implements Transport {
  readonly traits: TransportTraits;

  readonly #settings: Settings;
  readonly #boot: Boot = randomBoot();
  readonly #links: Map<Address, Link> = new Map();
  readonly #lives: Map<Boot, Link> = new Map();
  readonly #counters: Counters = newCounters();
  readonly #stationer: Stationer;
  readonly #pacer: Pacer;
  readonly #intake: Intake;
  readonly #linkPorts: LinkPorts;
  #state: State = "new";
  #handler: TransportHandler | undefined;
  #sockets: Sockets | undefined;
  #opening: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtMs = Infinity;
  #nonces: number[] = [];
  #probeAtMs = Infinity;
  #acknowledged: (() => void) | undefined;

  constructor(settings: Settings) {
    const { multicast, packetBytesMax, datagramBytesMax, silenceMs } = settings;
    this.#settings = settings;
    this.traits = {
      name: "udp",
      multicast: multicast === undefined ? "fan-out" : "native",
      lossy: true,
      packetBytesMax,
      packetBytesBest: wholeBytesMax(settings),
    };
    this.#stationer = new Stationer(this.#boot, datagramBytesMax);
    this.#pacer = new Pacer(settings, {
      send: (datagram, to, done) => this.#send(datagram, to, done),
      drain: () => this.#tell((handler) => handler.drain()),
    });
    this.#intake = new Intake(this.#boot, settings, this.#counters, {
      linkAt: (address) => this.#links.get(address),
      linkOf: (boot) => this.#lives.get(boot),
      packet: (bytes) => this.#deliver(bytes),
      stranger: (address) => this.#tell((handler) => handler.stranger?.(address)),
      reply: (kind, to, token, echo) => this.#sendControl(kind, to, { token, echo }),
      handled: () => {
        this.#schedule();
        this.#acknowledged?.();
      },
    });
    this.#linkPorts = {
      silenceMs,
      fanOut: multicast === undefined,
      nonce: randomNonce,
      probe: (nonce) => {
        if (this.#nonces.length < NONCES_MAX) this.#nonces.push(nonce);
        this.#probeAtMs = Math.min(this.#probeAtMs, performance.now() + PROBE_GATHER_MS);
      },
      lived: (link, former) => this.#lived(link, former),
      changed: (link) => this.#changed(link),
    };
  }

  canonical(address: string): Address {
    return parseEndpoint(address, "reach").text;
  }

  async open(handler: TransportHandler): Promise<Address> {
    if (this.#state !== "new") {
      throw new TuttiError("Closed", "Cannot open udp: it was opened or closed before; make a new one");
    }
    this.#state = "opening";
    const opening = openSockets(this.#settings, {
      datagram: (bytes, source, path) => {
        if (this.#state === "open" || this.#state === "closing") this.#intake.take(bytes, source, path);
      },
      failed: () => this.#counters.socketErrors++,
    });
    this.#opening = opening.catch(() => {});
    try {
      this.#sockets = await opening;
    } catch (error) {
      this.#state = "closed";
      throw error;
    }
    this.#handler = handler;
    this.#state = "open";
    if (this.#settings.multicast !== undefined) this.#probeAtMs = performance.now();
    this.#schedule();
    return this.#settings.advertise.text;
  }

  connect(peer: Address): void {
    if (this.#state !== "open") return;
    const endpoint = parseEndpoint(peer, "reach");
    const address = endpoint.text;
    if (address === this.#settings.advertise.text || this.#links.has(address)) return;
    this.#links.set(address, new Link(endpoint, this.#intake.tokenOf(address), this.#linkPorts));
    this.#schedule();
  }

  disconnect(peer: Address): void {
    const link = this.#links.get(peer);
    if (link === undefined || this.#state !== "open") return;
    this.#sendControl(Kind.bye, link.endpoint, link.hello());
    this.#links.delete(link.address);
    link.close();
  }

  multicast(packet: Uint8Array): SendStatus {
    if (this.#state !== "open" || !this.#mayLeave(packet)) return "unreachable";
    const { multicast } = this.#settings;
    const receivers: Endpoint[] = [];
    let native = false;
    for (const link of this.#links.values()) {
      if (!link.copying) native = true;
      else if (link.boot !== 0) receivers.push(link.endpoint);
    }
    if (native && multicast !== undefined) receivers.push(multicast);
    return receivers.length === 0 ? "sent" : this.#post(packet, receivers);
  }

  unicast(to: Address, packet: Uint8Array): SendStatus {
    const link = this.#links.get(to);
    if (link === undefined || this.#state !== "open" || link.boot === 0 || !this.#mayLeave(packet)) {
      return "unreachable";
    }
    return this.#post(packet, [link.endpoint]);
  }

  stats(): Readonly<Record<string, number>> {
    let reachableNow = 0;
    let copiedNow = 0;
    for (const link of this.#links.values()) {
      if (link.up) reachableNow++;
      if (link.up && link.copying) copiedNow++;
    }
    const { assembler } = this.#intake;
    return {
      ...this.#counters,
      peersNow: this.#links.size,
      reachableNow,
      copiedNow,
      queuedBytesNow: this.#pacer.bytes,
      unfinishedPacketsNow: assembler.count,
      unfinishedBytesNow: assembler.bytes,
    };
  }

  close(deadlineMs: number): Promise<void> {
    this.#closing ??= this.#close(Math.max(0, deadlineMs));
    return this.#closing;
  }

  // Sending.

  #mayLeave(packet: Uint8Array): boolean {
    if (packet.length > 0 && packet.length <= this.#settings.packetBytesMax) return true;
    this.#counters.packetsDropped++;
    return false;
  }

  #post(packet: Uint8Array, receivers: readonly Endpoint[]): SendStatus {
    if (!this.#pacer.offer(this.#stationer.letter(packet), receivers)) {
      this.#counters.fullSends++;
      return "full";
    }
    this.#counters.packetsSent++;
    this.#counters.bytesSent += packet.length;
    return "sent";
  }

  #send(datagram: Uint8Array, to: Endpoint, done: () => void): void {
    this.#counters.datagramsSent++;
    try {
      this.#sockets?.send(datagram, to, (error) => {
        if (error !== null && error !== undefined) this.#counters.sendErrors++;
        done();
      });
    } catch {
      this.#counters.sendErrors++;
      queueMicrotask(done);
    }
  }

  #sendControl(
    kind: Control["kind"],
    to: Endpoint,
    about: Pick<Control, "token" | "echo"> & Partial<Control>,
  ): void {
    const { host, port } = this.#settings.advertise;
    const frame = encodeControl({
      nonce: 0,
      known: false,
      copies: false,
      deaf: this.#linkPorts.fanOut,
      final: false,
      ...about,
      kind,
      boot: this.#boot,
      host,
      port,
    });
    this.#pacer.sendNow(frame, to);
  }

  // Receiving.

  #deliver(bytes: Uint8Array): void {
    if (this.#state !== "open") return;
    this.#counters.packetsReceived++;
    this.#counters.bytesReceived += bytes.length;
    this.#tell((handler) => handler.packet(bytes));
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

  // Links.

  #lived(link: Link, former: Boot): void {
    if (this.#lives.get(former) === link) {
      this.#lives.delete(former);
      this.#intake.assembler.forget(former);
    }
    if (link.boot !== 0) this.#lives.set(link.boot, link);
  }

  #changed(link: Link): void {
    if (link.up) this.#counters.handshakes++;
    else this.#counters.losses++;
    this.#tell((handler) => handler.reachable(link.address, link.up));
  }

  // Time: one timer for everything but the pace.

  #schedule(): void {
    if (this.#state !== "open") return;
    let atMs = this.#probeAtMs;
    for (const link of this.#links.values()) atMs = Math.min(atMs, link.helloAtMs, link.endAtMs);
    if (this.#intake.assembler.count > 0) atMs = Math.min(atMs, performance.now() + PATIENCE_MS);
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
    if (nowMs >= this.#probeAtMs) this.#multicastProbe(nowMs);
    for (const link of [...this.#links.values()]) {
      link.tick(nowMs);
      if (nowMs < link.helloAtMs || this.#links.get(link.address) !== link) continue;
      this.#sendControl(Kind.hello, link.endpoint, link.hello());
      link.helloDone(nowMs);
    }
    this.#intake.assembler.expire(nowMs);
    this.#schedule();
  }

  #multicastProbe(nowMs: number): void {
    const { multicast, silenceMs } = this.#settings;
    this.#probeAtMs = multicast === undefined ? Infinity : nowMs + silenceMs / PROBES_PER_SILENCE;
    if (multicast === undefined || this.#lives.size === 0) return;
    this.#pacer.sendNow(encodeProbe(this.#boot, this.#nonces), multicast);
    this.#nonces = [];
  }

  // The end.

  async #close(deadlineMs: number): Promise<void> {
    const endMs = performance.now() + deadlineMs;
    if (this.#state === "opening") await this.#opening; // Binding is bounded by itself.
    const sockets = this.#sockets;
    if (sockets === undefined) {
      this.#state = "closed";
      return;
    }
    this.#state = "closing"; // From here on the handler hears nothing.
    clearTimeout(this.#timer);
    this.#counters.packetsDropped += await this.#pacer.close(deadlineMs);
    await this.#sayBye(endMs);
    await this.#pacer.settled(performance.now() + FAREWELL_MS);
    this.#state = "closed";
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    await sockets.close();
  }

  /** Says farewell until every reachable peer has confirmed it, so that none has to find out by silence. */
  async #sayBye(endMs: number): Promise<void> {
    const links = [...this.#links.values()].filter((link) => link.boot !== 0);
    for (;;) {
      const waiting = links.filter((link) => !link.acknowledged);
      for (const link of waiting) {
        this.#sendControl(Kind.bye, link.endpoint, { ...link.hello(), final: true });
      }
      const leftMs = endMs - performance.now();
      const done = (): boolean =>
        links.every((link) => link.acknowledged || !link.up || link.endAtMs !== Infinity);
      if (done() || leftMs <= 0) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(BYE_MS, leftMs));
        this.#acknowledged = () => {
          if (!done()) return;
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

function randomBoot(): Boot {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return (high >>> 16) * 0x1_0000_0000 + ((low | 1) >>> 0);
}

function randomNonce(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] | 1) >>> 0;
}

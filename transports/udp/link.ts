/**
 * What one member knows of one peer, and the handshake that proves all four paths before the peer counts as reachable:
 *
 * - unicast peer -> me and me -> peer: its hello came, with the token that I had sent to its address;
 * - multicast peer -> me: a probe that it multicast carried the nonce that I chose; or it says that it sends me copies;
 * - multicast me -> peer: its hello waits for no nonce; or I send it copies.
 *
 * A network may carry unicast and no multicast, from the start or later (a switch that forgets who listens). Then the
 * sender copies its multicast packets to that peer by unicast, until the peer hears a probe again.
 *
 * No sockets and no clock in here: the adapter passes frames and the time in.
 */
import type { Address } from "../../core/base/ids.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Boot, Control, Token } from "./frames.ts";

/** Where a datagram came from. */
export interface Source {
  readonly address: string;
  readonly port: number;
}

/** What a link asks of its adapter. */
export interface LinkPorts {
  /** Longest silence of a peer, in milliseconds. */
  readonly silenceMs: number;
  /** This adapter neither sends nor hears multicast. */
  readonly fanOut: boolean;
  /** Multicasts a probe with this nonce soon. */
  probe(nonce: number): void;
  /** A random, non-zero nonce. */
  nonce(): number;
  /** The peer's life is another one than before; 0 for none. */
  lived(link: Link, former: Boot): void;
  /** The peer became reachable or stopped being so. */
  changed(link: Link): void;
}

/** How often a peer that is up is greeted within the silence that would give it up. */
const HELLOS_PER_SILENCE = 6;
const HELLO_MS_MIN = 40;
const HELLO_MS_MAX = 500;
/** Least time between two hellos to one peer, so that two members never answer each other in a storm. */
const ANSWER_MS_MIN = 5;
/** How long a peer may wait for a probe before it gets copies. */
const COPY_AFTER_MS = 500;
/** How long what a peer had multicast before its farewell may come after it: the two come in by different sockets. */
const FAREWELL_MS = 30;

/** The state of one peer. */
export class Link {
  /** Where the peer is. */
  readonly endpoint: Endpoint;
  /** What the peer must repeat. */
  readonly token: Token;
  /** Whether all four paths are proven. */
  up = false;
  /** When the next hello is due. */
  helloAtMs = 0;
  /** When the life of a peer that said farewell ends. */
  endAtMs: number = Infinity;
  /** The peer's life; 0 while it has not proved its address. */
  boot: Boot = 0;
  /** What must be repeated to the peer. */
  echo: Token = 0;
  /** Whether multicast packets go to this peer one by one. */
  copying: boolean;
  /** Whether the peer has confirmed our bye. */
  acknowledged = false;

  readonly #ports: LinkPorts;
  #source: Source | undefined;
  #multicastSource: Source | undefined;
  #formerBoot: Boot = 0;
  /** What is waited for in a probe; 0 for nothing. */
  #nonce = 0;
  #heard = false;
  #peerKnows = false;
  #peerHears = false;
  #peerHasHeard = false;
  #peerCopies = false;
  #peerAsksSinceMs = Infinity;
  #helloIntervalMs = HELLO_MS_MIN;
  #lastHelloMs = -Infinity;
  #heardHelloMs = 0;
  #heardMulticastMs = 0;

  constructor(endpoint: Endpoint, token: Token, ports: LinkPorts) {
    this.endpoint = endpoint;
    this.token = token;
    this.copying = ports.fanOut;
    this.#ports = ports;
  }

  /** The canonical address. */
  get address(): Address {
    return this.endpoint.text;
  }

  /** The parts of the next hello that are about this peer. */
  hello(): Pick<Control, "token" | "echo" | "nonce" | "known" | "copies"> {
    const { token, echo, copying } = this;
    return { token, echo, nonce: this.#nonce, known: this.boot !== 0, copies: copying };
  }

  /** A hello was sent. */
  helloDone(nowMs: number): void {
    this.#lastHelloMs = nowMs;
    if (this.up) {
      this.helloAtMs = nowMs + this.#ports.silenceMs / HELLOS_PER_SILENCE;
      return;
    }
    this.helloAtMs = nowMs + this.#helloIntervalMs;
    this.#helloIntervalMs = Math.min(HELLO_MS_MAX, this.#helloIntervalMs * 1.5);
  }

  /** Whether a datagram in the name of the peer's life comes from where that life is. */
  isFrom(source: Source, path: "unicast" | "multicast"): boolean {
    const known = path === "unicast" ? this.#source : this.#multicastSource;
    return known !== undefined && known.port === source.port && known.address === source.address;
  }

  /** The peer asks for a token to be repeated, and has repeated ours. */
  receiveAnswer(frame: Control, nowMs: number): void {
    this.echo = frame.token;
    this.#answerSoon(nowMs);
  }

  /** A hello came that repeats our token. */
  receiveHello(frame: Control, source: Source, nowMs: number): void {
    // Late words of a life that has ended, or is about to.
    if (frame.boot === this.#formerBoot || (frame.boot === this.boot && this.endAtMs !== Infinity)) return;
    let answer = !frame.known;
    if (frame.boot !== this.boot) {
      if (this.boot !== 0) this.#formerBoot = this.boot;
      this.#begin(frame.boot, nowMs);
      answer = true;
    }
    this.#heardHelloMs = nowMs;
    this.echo = frame.token;
    this.#source = source;
    this.#peerKnows = frame.known;
    this.#peerCopies = frame.copies;
    this.#peerHears = !frame.deaf && frame.nonce === 0;
    if (frame.nonce !== 0) this.#ports.probe(frame.nonce);
    // One that does not know this life yet has not begun to wait for its probes.
    if (frame.known && this.#judgeCopying(frame.deaf, nowMs)) answer = true;
    this.#settle(nowMs);
    if (answer) this.#answerSoon(nowMs);
  }

  /** A probe that this peer multicast came. */
  receiveProbe(nonces: readonly number[], source: Source, nowMs: number): void {
    if (this.#nonce === 0 || !nonces.includes(this.#nonce)) {
      if (this.isFrom(source, "multicast")) this.#heardMulticastMs = nowMs;
      return;
    }
    this.#nonce = 0;
    this.#heard = true;
    this.#heardMulticastMs = nowMs;
    this.#multicastSource = source;
    this.#answerSoon(nowMs); // The peer sends copies, or waits, until it learns of this.
    this.#settle(nowMs);
  }

  /** A packet came by multicast. */
  receiveMulticast(nowMs: number): void {
    this.#heardMulticastMs = nowMs;
  }

  /** The peer reaches for this adapter no more; if the farewell is final, for nobody. */
  receiveBye(boot: Boot, final: boolean, nowMs: number): void {
    if (boot !== this.boot) return;
    if (final) this.endAtMs = Math.min(this.endAtMs, nowMs + FAREWELL_MS);
    else this.#forget();
  }

  /** Time passed. */
  tick(nowMs: number): void {
    if (this.boot === 0) return;
    if (nowMs >= this.endAtMs) {
      const { boot } = this;
      this.#forget();
      this.#formerBoot = boot;
      return;
    }
    const { silenceMs, fanOut } = this.#ports;
    if (nowMs - this.#heardHelloMs > silenceMs) {
      this.#forget();
      // Nothing is late after such a silence; and what was forged by a reader of the network is over.
      this.#formerBoot = 0;
      return;
    }
    if (fanOut || !this.#heard) return;
    const silentMs = nowMs - this.#heardMulticastMs;
    if (this.#nonce === 0 && silentMs > silenceMs / 2) {
      // Ask in time, so that copies come before the peer would have to be given up.
      this.#nonce = this.#ports.nonce();
      this.#answerSoon(nowMs);
    }
    if (silentMs > silenceMs) {
      this.#heard = false;
      this.#settle(nowMs);
    }
  }

  /** This process itself was stopped for a while: nobody's silence counts for that time (W24). */
  excuse(stallMs: number): void {
    this.#heardHelloMs += stallMs;
    this.#heardMulticastMs += stallMs;
  }

  /** The link is not used afterwards. */
  close(): void {
    const former = this.boot;
    this.boot = 0;
    if (former !== 0) this.#ports.lived(this, former);
  }

  #begin(boot: Boot, nowMs: number): void {
    this.#forget();
    this.boot = boot;
    this.#nonce = this.#ports.fanOut ? 0 : this.#ports.nonce();
    this.#heardMulticastMs = nowMs;
    this.#ports.lived(this, 0);
  }

  /** Decides whether the peer gets copies. @returns Whether that has changed, and so must be said. */
  #judgeCopying(peerDeaf: boolean, nowMs: number): boolean {
    const before = this.copying;
    if (this.#ports.fanOut || peerDeaf) this.copying = true;
    else if (this.#peerHears) {
      this.copying = false;
      this.#peerHasHeard = true;
      this.#peerAsksSinceMs = Infinity;
    } else {
      this.#peerAsksSinceMs = Math.min(this.#peerAsksSinceMs, nowMs);
      // One that heard us before has waited long enough before it asked.
      if (this.#peerHasHeard || nowMs - this.#peerAsksSinceMs >= COPY_AFTER_MS) this.copying = true;
    }
    return this.copying !== before;
  }

  #settle(nowMs: number): void {
    const up = this.boot !== 0 && this.#peerKnows && (this.#heard || this.#peerCopies) &&
      (this.#peerHears || this.copying);
    if (up === this.up) return;
    this.up = up;
    this.#helloIntervalMs = HELLO_MS_MIN;
    this.#answerSoon(nowMs);
    this.#ports.changed(this);
  }

  #answerSoon(nowMs: number): void {
    const dueMs = Math.max(nowMs, this.#lastHelloMs + ANSWER_MS_MIN);
    this.helloAtMs = Math.min(this.helloAtMs, dueMs);
    this.#helloIntervalMs = HELLO_MS_MIN;
  }

  #forget(): void {
    const former = this.boot;
    this.boot = 0;
    this.endAtMs = Infinity;
    this.copying = this.#ports.fanOut;
    this.#source = undefined;
    this.#multicastSource = undefined;
    this.#nonce = 0;
    this.#heard = false;
    this.#peerKnows = false;
    this.#peerHears = false;
    this.#peerHasHeard = false;
    this.#peerCopies = false;
    this.#peerAsksSinceMs = Infinity;
    if (former !== 0) this.#ports.lived(this, former);
    if (!this.up) return;
    this.up = false;
    this.#helloIntervalMs = HELLO_MS_MIN;
    this.helloAtMs = 0;
    this.#ports.changed(this);
  }
}

/**
 * What one member knows of one peer, and the handshake that proves all four paths before the peer counts as reachable:
 *
 * - unicast peer -> me: its hello came;
 * - unicast me -> peer: its hello echoes my boot id;
 * - multicast peer -> me: a probe that it published carried the nonce that I chose for this subscription;
 * - multicast me -> peer: its hello echoes my boot id and waits for no nonce any more.
 *
 * A subscription takes effect some time after `connect` returns, and everything published before is lost (W22); hence
 * nonces, new for each subscription. No sockets and no clock in here: the adapter passes frames and the time in.
 */
import type { Address } from "../../core/base/ids.ts";
import type { Boot, Frame } from "./frames.ts";

/** What a link asks of its adapter. */
export interface LinkPorts {
  /** This adapter's own life. */
  readonly boot: Boot;
  /** Longest silence of a peer, in milliseconds. */
  readonly silenceMs: number;
  /** Subscribes to what a peer publishes. */
  subscribe(endpoint: string): void;
  /** The opposite. */
  unsubscribe(endpoint: string): void;
  /** Publishes a probe with this nonce soon. */
  probe(nonce: number): void;
  /** A random, non-zero nonce. */
  nonce(): number;
  /** Sends a frame to the link's peer. */
  send(link: Link, frame: Frame): void;
  /** The peer became reachable or stopped being so. */
  changed(link: Link): void;
}

/** Time between two hellos to a peer that is up, in milliseconds. */
export const KEEP_ALIVE_MS = 1000;
const HELLO_MS_MIN = 40;
const HELLO_MS_MAX = 500;
/** Least time between two hellos to one peer, so that two members never answer each other in a storm. */
const ANSWER_MS_MIN = 5;
/** How long a peer's multicast bye may come after its unicast bye. */
const BYE_MS = 500;

/** The state of one peer. */
export class Link {
  /** Where the peer is. */
  readonly address: Address;
  /** Whether all four paths are proven. */
  up = false;
  /** Whether the peer was heard once and then no more: packets to it would only pile up. */
  silenced = false;
  /** Whether a send found no room; the group waits for a drain. */
  full = false;
  /** When the next hello is due. */
  helloAtMs = 0;
  /** Whether the peer has confirmed everything before our bye. */
  acknowledged = false;
  /** The peer's life, as far as known. */
  boot: Boot = 0n;

  readonly #ports: LinkPorts;
  #formerBoot: Boot = 0n;
  #publish: string | undefined;
  #nonce = 0;
  #heard = false;
  #peerHears = false;
  #helloIntervalMs = HELLO_MS_MIN;
  #lastHelloMs = -Infinity;
  #heardHelloMs = 0;
  #heardProbeMs = 0;
  #byeUnicastMs = -1;
  #byeMulticast = false;

  constructor(address: Address, ports: LinkPorts) {
    this.address = address;
    this.#ports = ports;
  }

  /** The parts of the next hello that are about this peer. */
  hello(): { readonly echo: Boot; readonly nonce: number } {
    return { echo: this.boot, nonce: this.#heard ? 0 : this.#nonce };
  }

  /** A hello was sent, or could not be. */
  helloDone(nowMs: number, sent: boolean): void {
    if (sent) this.#lastHelloMs = nowMs;
    if (this.up) {
      this.helloAtMs = nowMs + KEEP_ALIVE_MS;
      return;
    }
    this.helloAtMs = nowMs + this.#helloIntervalMs;
    this.#helloIntervalMs = Math.min(HELLO_MS_MAX, this.#helloIntervalMs * 1.5);
  }

  /** A hello of this peer came. `publish` is where its PUB is, as seen from here. */
  receiveHello(frame: Frame & { readonly kind: "hello" }, publish: string, nowMs: number): void {
    if (frame.boot === this.#formerBoot) return; // Late words of a life that has ended.
    let answer = false;
    if (frame.boot !== this.boot || publish !== this.#publish) {
      if (this.boot !== 0n && frame.boot !== this.boot) this.#formerBoot = this.boot;
      this.#forget();
      this.boot = frame.boot;
      this.#publish = publish;
      this.#nonce = this.#ports.nonce();
      this.#heardProbeMs = nowMs;
      this.#ports.subscribe(publish);
      answer = true;
    }
    this.silenced = false;
    this.#heardHelloMs = nowMs;
    const knowsMe = frame.echo === this.#ports.boot;
    this.#peerHears = knowsMe && frame.nonce === 0;
    if (frame.nonce !== 0 && knowsMe) this.#ports.probe(frame.nonce);
    this.#settle(nowMs);
    if (answer || !this.#peerHears) this.#answerSoon(nowMs);
  }

  /** A probe that this peer published came. */
  receiveProbe(nonces: readonly number[], nowMs: number): void {
    this.#heardProbeMs = nowMs;
    if (this.#heard || !nonces.includes(this.#nonce)) return;
    this.#heard = true;
    this.#answerSoon(nowMs); // The peer becomes reachable for itself only when it learns of this.
    this.#settle(nowMs);
  }

  /** The peer said that nothing follows on one of its paths. */
  receiveBye(path: "unicast" | "multicast", final: boolean, nowMs: number): void {
    if (!final) {
      this.#goDown();
      return;
    }
    if (path === "unicast") this.#byeUnicastMs = nowMs;
    else this.#byeMulticast = true;
    this.#settleBye(nowMs);
  }

  /** Time passed. */
  tick(nowMs: number): void {
    this.#settleBye(nowMs);
    if (this.boot === 0n) return;
    const silentSinceMs = this.up ? Math.min(this.#heardHelloMs, this.#heardProbeMs) : this.#heardHelloMs;
    if (nowMs - silentSinceMs <= this.#ports.silenceMs) return;
    this.#goDown();
    // Nothing is late after such a silence. A greeting forged in the peer's name has made its true life a former one.
    this.#formerBoot = 0n;
  }

  /** This process itself was stopped for a while: nobody's silence counts for that time (W24). */
  excuse(stallMs: number): void {
    this.#heardHelloMs += stallMs;
    this.#heardProbeMs += stallMs;
  }

  /** Drops the subscription; the link is not used afterwards. */
  close(): void {
    if (this.#publish !== undefined) this.#ports.unsubscribe(this.#publish);
    this.#publish = undefined;
  }

  #settle(nowMs: number): void {
    const up = this.#heard && this.#peerHears;
    if (up === this.up) return;
    this.up = up;
    this.#helloIntervalMs = HELLO_MS_MIN;
    this.#answerSoon(nowMs);
    this.#ports.changed(this);
  }

  #settleBye(nowMs: number): void {
    if (this.#byeUnicastMs < 0) return;
    // Without the multicast bye, what was published before it may still be on its way.
    const complete = this.#byeMulticast || !this.#heard || nowMs - this.#byeUnicastMs > BYE_MS;
    if (!complete) return;
    const boot = this.boot;
    this.#ports.send(this, { kind: "ack", boot: this.#ports.boot, echo: boot });
    this.#goDown();
    this.#formerBoot = boot;
  }

  #answerSoon(nowMs: number): void {
    const dueMs = Math.max(nowMs, this.#lastHelloMs + ANSWER_MS_MIN);
    this.helloAtMs = Math.min(this.helloAtMs, dueMs);
    this.#helloIntervalMs = HELLO_MS_MIN;
  }

  #goDown(): void {
    this.#forget();
    this.silenced = true;
  }

  #forget(): void {
    this.close();
    this.boot = 0n;
    this.#nonce = 0;
    this.#heard = false;
    this.#peerHears = false;
    this.#byeUnicastMs = -1;
    this.#byeMulticast = false;
    if (!this.up) return;
    this.up = false;
    this.#helloIntervalMs = HELLO_MS_MIN;
    this.#ports.changed(this);
  }
}

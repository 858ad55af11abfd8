/**
 * The queue of packets that wait to be sent, and the pace at which they leave.
 *
 * UDP has no flow control: what comes faster than a receiver's buffer is emptied is lost in its kernel, without a
 * word. So datagrams leave in bursts that fit into a buffer of ordinary size, and at a bounded rate (a token bucket,
 * RFC 8085 section 3.1). When the queue is long, sends are told `full`, and `drain` follows once half of it has left.
 */
import type { Endpoint } from "./endpoint.ts";
import { datagramOf, type Letter } from "./letter.ts";

/**
 * What a datagram costs besides its bytes: about what a kernel charges a socket's buffer for one, and a receiver's
 * time.
 */
const DATAGRAM_COST = 512;
/** Most datagrams that the system has been given and has not reported as sent. */
const FLYING_MAX = 256;
/** The shortest wait for the next burst, in milliseconds: the shortest that timers know. */
const PAUSE_MS = 1;

/** How fast, and how much may wait. */
export interface Pace {
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
  readonly queueBytesMax: number;
}

/** What a pacer asks of its adapter. */
export interface PacerPorts {
  /** Sends a datagram, and says when the system has taken it. */
  send(datagram: Uint8Array, to: Endpoint, done: () => void): void;
  /** There is room again after a `full`. */
  drain(): void;
}

interface Waiting {
  readonly letter: Letter;
  readonly to: Endpoint;
  /** Datagrams that have left. */
  index: number;
}

/** Sends packets at a pace. */
export class Pacer {
  readonly #pace: Pace;
  readonly #ports: PacerPorts;
  readonly #done = (): void => {
    this.#flying--;
    if (this.#flying === 0 && this.#isEmpty()) this.#settled?.();
  };
  #queue: Waiting[] = [];
  #head = 0;
  #bytes = 0;
  #flying = 0;
  #allowance: number;
  #filledMs = 0;
  #wantsRoom = false;
  #stopped = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #settled: (() => void) | undefined;

  constructor(pace: Pace, ports: PacerPorts) {
    this.#pace = pace;
    this.#ports = ports;
    this.#allowance = pace.burstBytes;
  }

  /** Bytes of packets that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes a packet for all of some receivers, or for none. @returns Whether there was room. */
  offer(letter: Letter, receivers: readonly Endpoint[]): boolean {
    if (this.#stopped) return false;
    const bytes = letter.packet.length * receivers.length;
    if (this.#bytes > 0 && this.#bytes + bytes > this.#pace.queueBytesMax) {
      this.#wantsRoom = true;
      return false;
    }
    for (const to of receivers) this.#queue.push({ letter, to, index: 0 });
    this.#bytes += bytes;
    // While a timer is set, the allowance is spent.
    if (this.#timer === undefined) this.#pump();
    return true;
  }

  /**
   * Resolves when everything has left, or when it is too late; what is left then is dropped. @returns Packets dropped.
   */
  async close(deadlineMs: number): Promise<number> {
    const endMs = performance.now() + deadlineMs;
    this.#wantsRoom = false;
    if (deadlineMs > 0 && !(this.#isEmpty() && this.#flying === 0)) await this.settled(endMs);
    this.#stopped = true;
    clearTimeout(this.#timer);
    const dropped = this.#queue.length - this.#head;
    this.#queue = [];
    this.#head = 0;
    this.#bytes = 0;
    return dropped;
  }

  /** Resolves when nothing waits and the system has taken everything, or at a time. */
  settled(endMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#settled?.(), Math.max(0, endMs - performance.now()));
      this.#settled = () => {
        clearTimeout(timer);
        this.#settled = undefined;
        resolve();
      };
      if (this.#flying === 0 && this.#isEmpty()) this.#settled();
    });
  }

  /** A datagram that does not wait. */
  sendNow(datagram: Uint8Array, to: Endpoint): void {
    this.#flying++;
    this.#ports.send(datagram, to, this.#done);
  }

  #isEmpty(): boolean {
    return this.#head === this.#queue.length;
  }

  /** Sends what may leave now; sets a timer for the rest. Never calls the handler. */
  #pump(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    const { bytesPerSecond, burstBytes } = this.#pace;
    const earned = (nowMs - this.#filledMs) * bytesPerSecond / 1000;
    this.#allowance = Math.min(burstBytes, this.#allowance + earned);
    this.#filledMs = nowMs;
    while (!this.#isEmpty() && this.#allowance > 0 && this.#flying < FLYING_MAX) {
      const waiting = this.#queue[this.#head];
      const { letter, to } = waiting;
      const datagram = datagramOf(letter, waiting.index++);
      this.#allowance -= datagram.length + DATAGRAM_COST;
      if (waiting.index === letter.count) {
        this.#bytes -= letter.packet.length;
        this.#shift();
      }
      this.sendNow(datagram, to);
    }
    if (this.#isEmpty() && !this.#wantsRoom) return;
    const pauseMs = Math.max(PAUSE_MS, Math.ceil(-this.#allowance * 1000 / bytesPerSecond));
    this.#timer = setTimeout(() => {
      this.#pump();
      if (!this.#wantsRoom || this.#bytes > this.#pace.queueBytesMax / 2) return;
      this.#wantsRoom = false;
      this.#ports.drain();
    }, pauseMs);
  }

  #shift(): void {
    this.#queue[this.#head++] = undefined as unknown as Waiting;
    if (this.#isEmpty()) {
      this.#queue = [];
      this.#head = 0;
    } else if (this.#head >= 1024 && 2 * this.#head > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }
}

/**
 * Who may knock. The address in a greeting may be anybody's, so nothing is believed of a greeting, and nobody is told
 * of it, before its sender has repeated a token that was sent to that address (as in QUIC, RFC 9000 section 8.1).
 *
 * Fault model: anybody forges any datagram, but reads only what is sent to itself or to the multicast group. Tokens
 * need no memory, and what is spent on unproven greetings is bounded: one answer each, of the same size (H57), at a
 * limited rate.
 */
import { createHmac, randomBytes } from "node:crypto";
import type { Token } from "./frames.ts";

/** Most greetings of unknown senders that are looked at, a second. */
const KNOCKS_PER_SECOND = 1000;
/** Most of them at once. */
const KNOCKS_BURST = 200;

/** Makes tokens, and says whether an unknown sender may be served. */
export class Doorman {
  readonly #secret: Uint8Array = randomBytes(32);
  #knocks = KNOCKS_BURST;
  #refilledMs = 0;

  /** The token for an address: always the same in one life of the adapter. */
  tokenOf(address: string): Token {
    const digest = createHmac("sha256", this.#secret).update(address).digest();
    return digest.readUIntBE(0, 6) || 1;
  }

  /** Whether there is time for one more unknown sender. */
  admits(nowMs: number): boolean {
    const earned = Math.max(0, nowMs - this.#refilledMs) * KNOCKS_PER_SECOND / 1000;
    this.#knocks = Math.min(KNOCKS_BURST, this.#knocks + earned);
    this.#refilledMs = nowMs;
    if (this.#knocks < 1) return false;
    this.#knocks--;
    return true;
  }
}

/**
 * Room for the event loop. Where a group is one process, a call is answered without a packet or a timer, and a loop of calls that
 * awaits each would let neither in for as long as it runs. So answers wait for the loop when it has not turned for a while.
 */
import type { Environment } from "./environment.ts";

/** How long promises may follow promises without a turn of the event loop, in milliseconds. */
const BREATH_MS = 15;

/** Lets the event loop turn now and then. */
export class Breath {
  readonly #environment: Environment;
  #turning = false;
  #since = 0;
  #held: (() => void)[] = [];

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /** Gives an answer: at once, or, if the event loop has not turned for too long, when it has. */
  give(answer: () => void): void {
    const now = this.#environment.now();
    if (!this.#turning) {
      this.#turning = true;
      this.#since = now;
      this.#environment.at(now, () => this.#turned());
    }
    if (this.#held.length > 0 || now - this.#since > BREATH_MS) this.#held.push(answer);
    else answer();
  }

  #turned(): void {
    this.#turning = false;
    for (const answer of this.#held.splice(0)) answer();
  }
}

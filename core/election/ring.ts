/**
 * The ring election: the highest id, found by passing candidates round.
 *
 * The available members in order of rank are a ring, which closes over whoever is gone. ELECTION(candidate) goes to the
 * next one, which passes it on if the candidate's id is higher than every one that it has passed on in this round and
 * its own; puts itself in its place if it has not taken part yet; and drops it otherwise (W20). A member whose own
 * candidacy comes back has won, and sends ELECTED round. Without loss one initiator costs at most 3n - 1 messages.
 * Source: E. Chang and R. Roberts, "An Improved Algorithm for Decentralized Extrema-Finding in Circular Configurations
 * of Processes", 1979, which assumes that nothing is lost and nobody fails. In addition, because both happens:
 *
 * - an election that takes too long is begun again in a higher round, and lower rounds count no more;
 * - what was passed to a member that turns out to be gone is passed to the one behind it;
 * - only the highest id of all that a member deems available can win at that member, whatever messages say; and it
 *   rests only then, which is why all come to the same winner in the end.
 */
import { type Election, ElectionKind, type ElectionName } from "./election.ts";
import { type ElectionOptions, type ElectionPort, highestAvailable, isPlausible } from "./election.ts";

/** So many members add one `electionMs` to the time that an election may take. */
const HOPS_PER_ELECTION_MS = 8;
/** The time that an election may take is doubled at most so often. */
const DOUBLINGS_MAX = 2;
/** Newer rounds that messages may open in half of `electionMs`: several members may begin at the same time. */
const OPENINGS_MAX = 4;

/** The available member with the highest id wins. */
export class RingElection implements Election {
  /** How it elects. */
  readonly name: ElectionName = "ring";

  readonly #port: ElectionPort;
  readonly #electionMs: number;
  /** By rank: the highest round of which it has sent an ELECTION. */
  readonly #heard: number[];
  #phase: "idle" | "running" | "done" = "idle";
  #round = 0;
  #winner = -1;
  /** Rank of the highest candidate passed on in this round; -1 while this member has not taken part. */
  #passed = -1;
  /** To whom it was passed. */
  #passedTo = -1;
  #deadline = Infinity;
  #openedAt = -Infinity;
  #attempts = 0;
  #messagesSent = 0;
  /** Newer rounds opened by messages since `#openingsFrom`. */
  #openings = 0;
  #openingsFrom = -Infinity;

  /** Makes the elections of one view. */
  constructor(port: ElectionPort, options: ElectionOptions) {
    this.#port = port;
    this.#electionMs = options.electionMs;
    this.#heard = new Array<number>(port.size).fill(0);
  }

  /** Rank of who was elected; -1 when that is not known. */
  get winner(): number {
    return this.#winner;
  }

  /** Whether an election is going on here. */
  get running(): boolean {
    return this.#phase === "running";
  }

  /** Messages sent here since the last election began. */
  get messagesSent(): number {
    return this.#messagesSent;
  }

  /** When something is due next. */
  nextDeadline(): number {
    return this.#deadline;
  }

  /** Elects, unless an election is running here. */
  start(now: number): void {
    if (this.running) return;
    this.#attempts = 0;
    this.#begin(now);
  }

  /** Takes a message; false if that member cannot have meant it. */
  receive(from: number, kind: number, round: number, candidate: number, now: number): boolean {
    if (kind !== ElectionKind.election && kind !== ElectionKind.coordinator) return false;
    if (!isPlausible(this.#port, from, round, candidate, this.#round)) return false;
    const { self } = this.#port;
    const isNews = round > this.#heard[from];
    if (isNews && kind === ElectionKind.election) this.#heard[from] = round;
    // Availability is judged by everybody for itself, so this is no offence; nor may it change anything.
    if (!this.#port.isAvailable(self) || !this.#port.isAvailable(candidate)) return true;
    if (kind === ElectionKind.coordinator && candidate === self) return true; // went all round
    if (round < this.#round) {
      // Who elects in an older round has missed the last election: one that leaves behind both includes it.
      const missed = kind === ElectionKind.election && isNews && this.#phase === "done";
      if (missed && this.#mayOpen(now)) this.#begin(now);
      return true;
    }
    if (round > this.#round) {
      if (!this.#mayOpen(now)) return true;
      this.#open(now, round);
    }
    if (this.#phase !== "running") return true; // this round is decided
    if (kind === ElectionKind.election) this.#onElection(candidate);
    else this.#onElected(candidate);
    return true;
  }

  /** Does what is due. */
  tick(now: number): void {
    if (this.#phase === "idle") return;
    if (!this.#port.isAvailable(this.#port.self)) return this.#decide(highestAvailable(this.#port));
    if (this.#phase === "done") this.#review(now);
    else this.#closeGap(now);
    if (now < this.#deadline) return;
    this.#attempts++;
    this.#begin(now);
  }

  #onElection(candidate: number): void {
    const { self, ids } = this.#port;
    const passedId = this.#passed < 0 ? -1 : ids[this.#passed];
    if (candidate === self && passedId >= 0) this.#win();
    else if (ids[candidate] > ids[self]) {
      if (ids[candidate] > passedId) this.#pass(candidate);
    } else if (passedId < 0) this.#pass(self);
  }

  #onElected(candidate: number): void {
    if (candidate !== highestAvailable(this.#port)) return;
    this.#decide(candidate);
    this.#send(this.#next(), ElectionKind.coordinator, candidate);
  }

  #win(): void {
    const { self } = this.#port;
    if (self !== highestAvailable(this.#port)) return;
    this.#decide(self);
    const next = this.#next();
    if (next >= 0) this.#send(next, ElectionKind.coordinator, self);
  }

  #decide(winner: number): void {
    this.#phase = "done";
    this.#winner = winner;
    this.#attempts = 0;
    this.#deadline = Infinity;
  }

  /** Begins a round of one's own. */
  #begin(now: number): void {
    this.#open(now, this.#round + 1);
    const { self } = this.#port;
    if (this.#port.isAvailable(self)) this.#pass(self);
    else this.#decide(highestAvailable(this.#port)); // whoever leaves takes no part
  }

  #open(now: number, round: number): void {
    if (!this.running) this.#messagesSent = 0;
    this.#phase = "running";
    this.#round = round;
    this.#winner = -1;
    this.#passed = -1;
    this.#passedTo = -1;
    this.#openedAt = now;
    const circleMs = this.#electionMs * (1 + this.#port.size / HOPS_PER_ELECTION_MS);
    this.#deadline = now + circleMs * 2 ** Math.min(this.#attempts, DOUBLINGS_MAX);
  }

  /** Whether a message may open one more round. */
  #mayOpen(now: number): boolean {
    if (now >= this.#openingsFrom + this.#electionMs / 2) {
      this.#openingsFrom = now;
      this.#openings = 0;
    }
    return ++this.#openings <= OPENINGS_MAX;
  }

  #pass(candidate: number): void {
    this.#passed = candidate;
    this.#passedTo = this.#next();
    if (this.#passedTo >= 0) this.#send(this.#passedTo, ElectionKind.election, candidate);
    else this.#decide(this.#port.self); // nobody else is there
  }

  /** Looks whether what was passed on, and to whom, still makes sense. */
  #closeGap(now: number): void {
    if (this.#passed < 0 || this.#port.isAvailable(this.#passedTo)) return;
    if (this.#port.isAvailable(this.#passed)) this.#pass(this.#passed);
    else this.#deadline = now;
  }

  /** Looks whether the winner is still the right one, and elects soon if not. */
  #review(now: number): void {
    if (this.#winner === highestAvailable(this.#port)) this.#deadline = Infinity;
    else if (this.#deadline === Infinity) {
      this.#deadline = Math.max(now, this.#openedAt + this.#electionMs / 2);
    }
  }

  /** The next available member round the ring; -1 when there is no other. */
  #next(): number {
    const { self, size } = this.#port;
    for (let step = 1; step < size; step++) {
      const rank = (self + step) % size;
      if (this.#port.isAvailable(rank)) return rank;
    }
    return -1;
  }

  #send(to: number, kind: ElectionKind, candidate: number): void {
    this.#messagesSent++;
    this.#port.send(to, kind, this.#round, candidate);
  }
}

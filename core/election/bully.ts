/**
 * The bully election: the highest id among those that answer.
 *
 * Whoever elects asks every available member with a higher id. Without an answer it wins and tells the lower ones; with
 * one it waits to be told. Who is asked answers OK and elects too. Source: H. Garcia-Molina, "Elections in a
 * Distributed Computing System", 1982. In addition, because messages get lost and suspicions come late:
 *
 * - a member that is available and did not answer in time is *silent* until it is heard again: a winner above all but
 *   silent members is accepted, so a dead member that nobody suspects yet does not hold up the others;
 * - such a winner is provisional: the silent ones are asked again, less and less often. A member rests only when its
 *   winner has the highest id of all that it deems available, which is why all come to the same one in the end;
 * - a claim from below somebody who is not silent is answered by an election; so are messages of an older round, by
 *   the newer number.
 */
import { type Election, ElectionKind, type ElectionName } from "./election.ts";
import { type ElectionOptions, type ElectionPort, highestAvailable, isPlausible } from "./election.ts";

/** How long to wait for a winner that answered, or until silent members are asked again, in times `electionMs`. */
const COORDINATOR_TIMES = 4;
/** The time until silent members are asked again is doubled at most so often. */
const DOUBLINGS_MAX = 2;

type Phase = "idle" | "asking" | "waiting" | "done";

const Hearing = { heard: 0, asked: 1, silent: 2 } as const;

/** The available member with the highest id wins. */
export class BullyElection implements Election {
  /** How it elects. */
  readonly name: ElectionName = "bully";

  readonly #port: ElectionPort;
  readonly #electionMs: number;
  /** By rank: whether a member was heard since it was asked. */
  readonly #hearing: Uint8Array;
  /** By rank: the last round in which it was answered. */
  readonly #answered: number[];
  #phase: Phase = "idle";
  #round = 0;
  #winner = -1;
  /** Who claimed to have won, though somebody higher may still answer. */
  #claim = -1;
  #deadline = Infinity;
  /** Elect anew at the deadline, whatever the phase: a reason came so soon after the last election that it must wait. */
  #again = false;
  #beganAt = -Infinity;
  #challenges = 0;
  #messagesSent = 0;

  /** Makes the elections of one view. */
  constructor(port: ElectionPort, options: ElectionOptions) {
    this.#port = port;
    this.#electionMs = options.electionMs;
    this.#hearing = new Uint8Array(port.size);
    this.#answered = new Array<number>(port.size).fill(0);
  }

  /** Rank of who was elected; -1 when that is not known. */
  get winner(): number {
    return this.#winner;
  }

  /** Whether an election is going on here. */
  get running(): boolean {
    return this.#phase === "asking" || this.#phase === "waiting";
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
    this.#challenges = 0;
    this.#messagesSent = 0;
    this.#hearing.fill(Hearing.heard);
    this.#begin(now, this.#round + 1);
  }

  /** Takes a message; false if that member cannot have meant it. */
  receive(from: number, kind: number, round: number, candidate: number, now: number): boolean {
    // Every message of this election is about who sent it.
    if (candidate !== from || !isPlausible(this.#port, from, round, candidate, this.#round)) return false;
    const higher = this.#port.ids[from] > this.#ownId;
    if (kind === ElectionKind.election && !higher) { // only the higher ones are asked
      this.#hearing[from] = Hearing.heard;
      this.#onElection(from, round, now);
    } else if (kind === ElectionKind.ok && higher) { // only the lower ones are answered
      this.#hearing[from] = Hearing.heard;
      this.#onOk(from, round, now);
    } else if (kind === ElectionKind.coordinator) {
      this.#hearing[from] = Hearing.heard;
      this.#onCoordinator(from, round, now);
    } else return false;
    return true;
  }

  /** Does what is due. */
  tick(now: number): void {
    if (this.#phase === "idle") return;
    if (this.#phase === "done") this.#review(now);
    else this.#conclude(now);
    if (now < this.#deadline) return;
    if (this.#again) return this.#restart(now);
    switch (this.#phase) {
      case "asking":
        return this.#countAnswers(now);
      case "waiting": // who answered did not win, or the news got lost
        return this.#begin(now, this.#round + 1);
      case "done":
        return this.#challenge(now);
    }
  }

  get #ownId(): number {
    return this.#port.ids[this.#port.self];
  }

  #onElection(from: number, round: number, now: number): void {
    if (round <= this.#answered[from]) return; // a duplicate, or overtaken
    this.#answered[from] = round;
    if (!this.#port.isAvailable(this.#port.self)) return;
    const joins = round > this.#round && !this.running;
    if (round > this.#round) this.#round = round;
    const begins = joins && this.#mayBegin(now);
    if (begins) this.#messagesSent = 0;
    this.#send(from, ElectionKind.ok); // the first message of the election that it begins here
    if (begins) this.#begin(now, this.#round);
    else if (joins) this.#beginLater(now);
  }

  #onOk(from: number, round: number, now: number): void {
    if (round < this.#round || this.#phase === "idle") return;
    if (this.#phase === "done") {
      const { ids } = this.#port;
      const above = this.#winner < 0 || ids[from] > ids[this.#winner];
      if (!above || !this.#port.isAvailable(from)) return;
      this.#winner = -1; // somebody above it lives after all, and will announce itself
      this.#wait(now);
    }
    if (round === this.#round) return;
    this.#round = round; // the question was of an older round, and moved nobody: ask again
    this.#restart(now);
  }

  #onCoordinator(from: number, round: number, now: number): void {
    if (round < this.#round || !this.#port.isAvailable(from)) return;
    this.#round = round;
    if (from === this.#standing()) return this.#accept(from, now);
    if (this.running) this.#claim = from; // right, if nobody above it answers
    else this.#restart(now);
  }

  /** Begins an election for a reason that came from outside: not more than once in half of `electionMs`. */
  #restart(now: number): void {
    if (!this.#mayBegin(now)) return this.#beginLater(now);
    if (!this.running) this.#messagesSent = 0;
    this.#begin(now, this.#round + 1);
  }

  #mayBegin(now: number): boolean {
    return now >= this.#beganAt + this.#electionMs / 2;
  }

  #beginLater(now: number): void {
    this.#again = true;
    this.#deadline = Math.min(this.#deadline, Math.max(now, this.#beganAt + this.#electionMs / 2));
  }

  #begin(now: number, round: number): void {
    this.#round = round;
    this.#beganAt = now;
    this.#again = false;
    this.#winner = -1;
    this.#claim = -1;
    if (!this.#port.isAvailable(this.#port.self)) return this.#assume();
    this.#phase = "asking";
    this.#deadline = now + this.#electionMs;
    if (this.#ask(this.#ownId) === 0) this.#announce(now);
  }

  /** Asks everybody with a higher id than `above`; returns how many. */
  #ask(above: number): number {
    const { size, ids } = this.#port;
    let count = 0;
    for (let rank = 0; rank < size; rank++) {
      if (ids[rank] <= above || !this.#port.isAvailable(rank)) continue;
      if (this.#hearing[rank] === Hearing.heard) this.#hearing[rank] = Hearing.asked;
      this.#send(rank, ElectionKind.election);
      count++;
    }
    return count;
  }

  /** Time for answers is up. */
  #countAnswers(now: number): void {
    this.#silence();
    this.#conclude(now);
    if (this.running) this.#wait(now); // somebody higher has answered
  }

  #silence(): void {
    for (let rank = 0; rank < this.#hearing.length; rank++) {
      if (this.#hearing[rank] === Hearing.asked) this.#hearing[rank] = Hearing.silent;
    }
  }

  #wait(now: number): void {
    this.#phase = "waiting";
    this.#deadline = now + this.#electionMs * COORDINATOR_TIMES;
  }

  /** How long a provisional winner is left alone. */
  #patienceMs(): number {
    return this.#electionMs * COORDINATOR_TIMES * 2 ** Math.min(this.#challenges, DOUBLINGS_MAX);
  }

  /** Ends the election if nobody who may still answer is above this member, or above who claims to have won. */
  #conclude(now: number): void {
    if (!this.#port.isAvailable(this.#port.self)) return this.#assume();
    const standing = this.#standing();
    if (standing === this.#port.self) this.#announce(now);
    else if (standing === this.#claim) this.#accept(standing, now);
  }

  /** Rank of the highest id among the available members that are not silent. */
  #standing(): number {
    return highestAvailable(this.#port, (rank) => this.#hearing[rank] !== Hearing.silent);
  }

  #announce(now: number): void {
    const { size, ids } = this.#port;
    this.#accept(this.#port.self, now);
    for (let rank = 0; rank < size; rank++) {
      if (ids[rank] < this.#ownId && this.#port.isAvailable(rank)) this.#send(rank, ElectionKind.coordinator);
    }
  }

  #accept(winner: number, now: number): void {
    this.#phase = "done";
    this.#winner = winner;
    this.#claim = -1;
    this.#again = false;
    const provisional = winner !== highestAvailable(this.#port);
    if (!provisional) this.#challenges = 0;
    this.#deadline = provisional ? now + this.#patienceMs() : Infinity;
  }

  /** Whoever leaves takes no part: it expects the highest id to win. */
  #assume(): void {
    this.#phase = "done";
    this.#winner = highestAvailable(this.#port);
    this.#claim = -1;
    this.#again = false;
    this.#deadline = Infinity;
  }

  /** Looks whether the winner is still the right one, and sees to it if not. */
  #review(now: number): void {
    const { self, ids } = this.#port;
    if (!this.#port.isAvailable(self)) return this.#assume();
    if (this.#again) return;
    const winner = this.#winner;
    if (winner === highestAvailable(this.#port)) {
      this.#challenges = 0;
      this.#deadline = Infinity;
    } else if (winner < 0 || !this.#port.isAvailable(winner) || ids[winner] < this.#ownId) {
      this.#restart(now);
    } else if (this.#deadline === Infinity) { // somebody above it came back
      this.#deadline = Math.max(now, this.#beganAt + this.#electionMs / 2);
    }
  }

  /** Asks those above a provisional winner, which stays until one of them answers. */
  #challenge(now: number): void {
    this.#silence();
    this.#challenges++;
    this.#round++;
    this.#deadline = now + this.#patienceMs();
    this.#ask(this.#port.ids[this.#winner]);
  }

  #send(to: number, kind: ElectionKind): void {
    this.#messagesSent++;
    this.#port.send(to, kind, this.#round, this.#port.self);
  }
}

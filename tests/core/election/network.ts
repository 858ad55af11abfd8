/** Members of one view that elect over a network in virtual time, which loses, repeats, delays and reorders. */
import { Random } from "../../../core/base/random.ts";
import {
  type Election,
  type ElectionName,
  type ElectionPort,
  makeElection,
} from "../../../core/election/mod.ts";

/** A message as it was sent. */
export interface Sent {
  readonly from: number;
  readonly to: number;
  readonly kind: number;
  readonly round: number;
  readonly candidate: number;
}

/** What a network does to messages. */
export interface Faults {
  /** Chance that a message is lost, 0 to 1. */
  loss: number;
  /** Chance that a message comes twice, 0 to 1. */
  duplication: number;
  /** Shortest time on the way, in milliseconds. */
  delayMinMs: number;
  /** Longest time on the way, in milliseconds. */
  delayMaxMs: number;
}

interface Event {
  readonly time: number;
  readonly run: () => void;
}

/** The members and the network between them. */
export class Network {
  /** What was sent so far. */
  readonly sent: Sent[] = [];
  /** By rank. */
  readonly elections: Election[];
  /** By rank: whether it is dead. */
  readonly dead: boolean[];
  /** What happens to messages from now on. */
  readonly faults: Faults = { loss: 0, duplication: 0, delayMinMs: 1, delayMaxMs: 1 };
  /** Virtual milliseconds. */
  now = 0;

  readonly #events: Event[] = [];
  readonly #random: Random;
  /** By observer, then by rank. */
  readonly #unavailable: boolean[][];

  constructor(name: ElectionName, ids: readonly number[], seed: number) {
    this.#random = new Random(seed);
    const size = ids.length;
    this.dead = ids.map(() => false);
    this.#unavailable = ids.map(() => ids.map(() => false));
    this.elections = ids.map((_id, self) => {
      const port: ElectionPort = {
        self,
        size,
        ids,
        isAvailable: (rank) => !this.#unavailable[self][rank],
        send: (to, kind, round, candidate) => this.#send({ from: self, to, kind, round, candidate }),
      };
      return makeElection(name, port);
    });
  }

  /** Ranks of the living. */
  get living(): number[] {
    return this.dead.flatMap((dead, rank) => dead ? [] : [rank]);
  }

  /** Does something later, if that member still lives. */
  at(time: number, rank: number, run: () => void): void {
    this.#events.push({ time, run: () => this.dead[rank] || run() });
  }

  /** One member judges another, and elects if it has no available winner, as its group would. */
  judge(observer: number, rank: number, available: boolean): void {
    this.#unavailable[observer][rank] = !available;
    const election = this.elections[observer];
    election.tick(this.now);
    if (!this.#hasLeader(observer)) election.start(this.now);
  }

  /** Whether a member knows an available winner. */
  #hasLeader(observer: number): boolean {
    const { winner } = this.elections[observer];
    return winner >= 0 && !this.#unavailable[observer][winner];
  }

  /** A member dies now; the others notice one by one within `noticeMs`. */
  kill(rank: number, noticeMs: number): void {
    this.dead[rank] = true;
    for (const observer of this.living) {
      this.at(
        this.now + this.#random.between(0, noticeMs),
        observer,
        () => this.judge(observer, rank, false),
      );
    }
  }

  /** Lets time pass until something is so. Returns whether it came to be so by then. */
  run(untilMs: number, done: () => boolean = () => false): boolean {
    for (let steps = 0; !done(); steps++) {
      if (steps > 200_000) throw new Error(`it never ends at ${this.now} ms`);
      const event = this.#nextEvent();
      const deadline = Math.min(...this.living.map((rank) => this.elections[rank].nextDeadline()));
      const next = Math.min(event?.time ?? Infinity, deadline);
      if (next > untilMs) {
        this.now = untilMs;
        return done();
      }
      this.now = Math.max(this.now, next);
      if (event !== undefined && event.time <= deadline) {
        this.#events.splice(this.#events.indexOf(event), 1);
        event.run();
      } else this.#tickDue();
    }
    return true;
  }

  /** The one winner that all living members know, and nobody is electing; else -1. */
  get winner(): number {
    const [first, ...others] = this.living.map((rank) => this.elections[rank]);
    const agreed = others.every(({ winner }) => winner === first.winner);
    const rests = this.living.every((rank) => !this.elections[rank].running);
    return agreed && rests ? first.winner : -1;
  }

  #tickDue(): void {
    for (const rank of this.living) {
      const election = this.elections[rank];
      if (election.nextDeadline() > this.now) continue;
      election.tick(this.now);
      if (election.nextDeadline() <= this.now) throw new Error(`the deadline of ${rank} stays in the past`);
    }
  }

  #nextEvent(): Event | undefined {
    let first: Event | undefined;
    for (const event of this.#events) if (first === undefined || event.time < first.time) first = event;
    return first;
  }

  #send(message: Sent): void {
    this.sent.push(message);
    const { loss, duplication, delayMinMs, delayMaxMs } = this.faults;
    for (let copies = this.#random.chance(duplication) ? 2 : 1; copies > 0; copies--) {
      if (this.#random.chance(loss)) continue;
      const { from, to, kind, round, candidate } = message;
      this.at(this.now + this.#random.between(delayMinMs, delayMaxMs), to, () => {
        const taken = this.elections[to].receive(from, kind, round, candidate, this.now);
        if (!taken) throw new Error(`an honest message was refused: ${JSON.stringify(message)}`);
      });
    }
  }
}

/** The front of a member, see core/replication/front.ts, with what it needs of the member. */
import type { Address } from "../base/ids.ts";
import type { GroupMachine } from "../group/machine.ts";
import { DEFAULT_FRONT_LIMITS, Front, REPLY_OVERHEAD_BYTES, type Standing } from "../replication/front.ts";
import type { ReplicaSet } from "../replication/replica_set.ts";
import { COMMAND_OVERHEAD_BYTES } from "../wire/command.ts";
import type { ExchangeBody, Reply } from "../wire/exchange.ts";
import { Kind } from "../wire/message.ts";
import type { Driver } from "./driver.ts";
import { type Environment, randomNumber } from "./environment.ts";
import type { Sender } from "./sender.ts";

/** What a front desk works with. */
export interface FrontDeskContext {
  readonly set: ReplicaSet;
  readonly machine: GroupMachine;
  readonly driver: Driver;
  readonly environment: Environment;
  readonly sender: Sender;
  /** Whether the objects have their state. */
  readonly isSound: () => boolean;
  /** Resolves once everything that was answered to anybody before is applied here. */
  readonly barrier: (deadlineMs: number) => Promise<void>;
}

/** Takes requests from the machine to the front, and replies back. */
export class FrontDesk {
  readonly front: Front;
  readonly #context: FrontDeskContext;
  #cancel: () => void = () => {};
  #dueAt = Infinity;

  constructor(context: FrontDeskContext) {
    this.#context = context;
    const { config } = context.machine.state;
    const { messageBytesMax } = config.limits;
    const room = Math.max(1024, config.packetBytesMax - REPLY_OVERHEAD_BYTES);
    this.front = new Front(
      {
        address: config.address,
        group: config.group,
        secrets: [randomNumber(), randomNumber()],
        standing: () => this.#standing(),
        submit: (command) => {
          try {
            return context.sender.offer(command) !== undefined;
          } catch {
            return false; // the group is about to end
          }
        },
        barrier: (done) => {
          context.barrier(DEFAULT_FRONT_LIMITS.waitMsMax).then(() => done(true), () => done(false));
        },
        reply: (to, reply, body) => this.#reply(to, reply, body),
      },
      context.set,
      {
        ...DEFAULT_FRONT_LIMITS,
        replyBytesMax: Math.min(messageBytesMax, room),
        operationBytesMax: messageBytesMax - COMMAND_OVERHEAD_BYTES,
      },
    );
  }

  /** After every turn: what has come, and what is due. */
  progress(): void {
    const { machine, environment } = this.#context;
    const { requests } = machine.state;
    if (requests.length > 0) {
      machine.state.requests = [];
      const now = environment.now();
      for (const request of requests) this.front.request(request, now);
    }
    this.#arm();
  }

  /** It serves nobody any more. */
  stop(): void {
    this.front.stop();
    this.#cancel();
    this.#dueAt = -Infinity;
  }

  #standing(): Standing {
    const { phase, active, blocked, restoring, leaving, roster } = this.#context.machine.state;
    const isMember = phase === "member" && roster !== undefined;
    return {
      serves: active && !blocked && !restoring && !leaving && this.#context.isSound(),
      leader: isMember ? roster.leader.address : undefined,
      view: isMember ? roster.number : 0,
      members: isMember ? roster.peers.map(({ address }): Address => address) : [],
    };
  }

  #reply(to: Address, { code, client, call }: Reply, { count, body }: ExchangeBody): void {
    const { machine, driver } = this.#context;
    machine.state.sendOutside(to, Kind.reply, code, client, call, body, count);
    driver.wake();
  }

  /** One deadline for everything that waits here. */
  #arm(): void {
    const next = this.front.nextDeadline();
    if (next >= this.#dueAt) return;
    const { driver, environment } = this.#context;
    this.#cancel();
    this.#dueAt = next;
    this.#cancel = driver.deadlines.set(next, () => {
      this.#dueAt = Infinity;
      this.front.tick(environment.now());
      this.#arm();
    });
  }
}

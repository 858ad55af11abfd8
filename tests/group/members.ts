/** Groups over the memory transport, for tests: joined, read, closed, and waited for with deadlines. */
import process from "node:process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type ControlEvent,
  type Group,
  join,
  type JoinOptions,
  type Message,
  TuttiError,
  type TuttiErrorCode,
} from "@tutti/tutti";
import { memory, MemoryNetwork } from "@tutti/tutti/memory";

/** Longest time that anything may take. */
export const DEADLINE_MS = 10_000;
/** Times of the tests: whatever takes time takes little of it. */
export const TIMING = {
  heartbeatMs: 20,
  helloMs: 10,
  announceMs: 5,
  nakBackoffMaxMs: 50,
  // Fast enough for a test, and slow enough for a busy machine not to be taken for a crashed one.
  suspectMinMs: 400,
  suspectMaxMs: 1500,
  confirmMs: 2000,
  collectMs: 200,
  changeMs: 500,
  gatherMs: 20,
};

const unhandled: unknown[] = [];
let open: Group[] = [];

/** A suite that closes what its tests have opened. Nothing may ever be rejected without somebody who hears of it. */
export function groupSuite(name: string): ReturnType<typeof suite> {
  process.on("unhandledRejection", (reason) => {
    unhandled.push(reason);
  });
  const test = suite(name);
  test.after.each(async () => {
    await Promise.all(open.map((group) => group.close({ deadline: 0 })));
    open = [];
    assert.equal(unhandled, [], "no unhandled rejections");
  });
  return test;
}

export type Choices = Partial<JoinOptions> & { readonly network?: MemoryNetwork };

/** Joins as one of some members. */
export async function member(name: string, names: readonly string[], choices: Choices = {}): Promise<Group> {
  const { network = new MemoryNetwork(), ...options } = choices;
  const group = await join({
    group: "test",
    name,
    transport: memory(name, network),
    peers: names.map((other) => `memory:${other}`),
    timing: TIMING,
    ...options,
  });
  open.push(group);
  return group;
}

/** A whole group on one network. */
export async function members(names: readonly string[], choices: Choices = {}): Promise<Group[]> {
  const network = choices.network ?? new MemoryNetwork();
  const groups = await Promise.all(names.map((name) => member(name, names, { ...choices, network })));
  await Promise.all(groups.map((group) => group.ready({ deadline: DEADLINE_MS })));
  return groups;
}

type EventOf<T, E = ControlEvent> = E extends { readonly type: infer K } ? T extends K ? E : never : never;

/** Takes everything from a group; what came so far is in the lists. */
export class Reader {
  readonly messages: Message[] = [];
  readonly events: ControlEvent[] = [];
  readonly ended: Promise<void>;
  failure: unknown = undefined;

  constructor(group: Group) {
    this.ended = this.#read(group);
  }

  /** Names of the members of each view, in order. */
  get views(): string[][] {
    return this.events.flatMap((event) =>
      event.type === "view" ? [event.view.members.map(({ name }) => name)] : []
    );
  }

  get values(): unknown[] {
    return this.messages.map((message) => message.value);
  }

  event<T extends ControlEvent["type"]>(type: T): EventOf<T> | undefined {
    return this.events.find((event) => event.type === type) as EventOf<T> | undefined;
  }

  /** Why a member went, as it was told last. */
  departure(name: string): string | undefined {
    return this.events.flatMap((event) => event.type === "view" ? event.departed : [])
      .findLast(({ member }) => member.name === name)?.reason;
  }

  async #read(group: Group): Promise<void> {
    try {
      for await (const event of group) {
        if (event.type === "message") this.messages.push(event);
        else this.events.push(event);
      }
    } catch (error) {
      this.failure = error;
    }
  }
}

/** Waits until something holds. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!holds()) {
    if (performance.now() > deadline) assert.unreachable(`not in ${DEADLINE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** The error that a call fails with. */
export async function fails(code: TuttiErrorCode, call: () => unknown, words?: RegExp): Promise<TuttiError> {
  let error: unknown;
  try {
    await call();
  } catch (thrown) {
    error = thrown;
  }
  assert.instance(error, TuttiError, `${code} was due, ${String(error)} came`);
  const failure = error as TuttiError;
  assert.is(failure.code, code, failure.message);
  if (words !== undefined) assert.match(failure.message, words);
  return failure;
}

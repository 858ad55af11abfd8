/**
 * Groups under test over a real adapter: joins members, sends values that say what they are, records what every
 * application gets, and judges the trace of all of them, which one process writes in the order in which things happen.
 */
import type { ElectionName } from "../../election/mod.ts";
import type { ControlEvent, Message, ViewEvent } from "../../group/events.ts";
import type { Timing } from "../../group/config.ts";
import type { Departure } from "../../membership/view.ts";
import type { Group } from "../../runtime/group.ts";
import { join } from "../../runtime/join.ts";
import type { Receipt } from "../../runtime/receipt.ts";
import type { TraceLine } from "../../runtime/trace.ts";
import type { Transport } from "../../runtime/transport.ts";
import type { OrderName } from "../../wire/control.ts";
import { checkTrace, type TraceProperty } from "../checkers/mod.ts";
import { indexOf, numbered, patterned, same, senderOf } from "./packets.ts";
import { check, turn, until } from "./probe.ts";
import type { GroupHarness, HarnessMember } from "./types.ts";

/** Largest message of the groups under test, in bytes. */
export const MESSAGE_BYTES_MAX: number = 256 * 1024;
/** Sizes of the values sent, in turn; below 12 bytes there is no room for a number. */
const SIZES = [0, 1, 11, 12, 100, 1000, 1400, 5000, 100, 20_000, 13, 65_536, 500] as const;
const PLAIN_EVERY = 7;
const LARGEST_AT = 150;
/** A crash is noticed within seconds; a busy machine is not taken for one. */
const TIMING: Partial<Timing> = { heartbeatMs: 100, suspectMinMs: 1000, suspectMaxMs: 3000, confirmMs: 3000 };
const PROPERTIES: readonly TraceProperty[] = [
  "integrity",
  "validity",
  "agreement",
  "fifo",
  "causal",
  "stability",
  "views",
  "quorum",
  "view-synchrony",
  "one-leader-per-epoch",
];
const utf8 = { encoder: new TextEncoder(), decoder: new TextDecoder() };

/** Where a member of a case lives, and what it is called there. */
export interface Seat {
  readonly name: string;
  /** An adapter for its next life. */
  member: HarnessMember;
}

/** What differs from the usual when a member joins. */
export interface JoinVariant {
  readonly group?: string;
  readonly name?: string;
  readonly order?: OrderName;
  readonly election?: ElectionName;
  readonly peers?: readonly string[];
  readonly expect?: number;
}

/** One life of a member. */
export interface Life {
  readonly name: string;
  readonly group: Group;
  readonly transport: Transport;
  /** Its application's state: ids of the messages that a state transfer brought, and of those delivered since. */
  readonly delivered: string[];
  /** What it was told, in order. */
  readonly events: ControlEvent[];
  /** While set, its application takes no more. */
  gate: Promise<void> | undefined;
  /** It was made to vanish: what it does from then on counts for nothing. */
  crashed: boolean;
}

/** The members of one case. */
export class GroupBench {
  readonly order: OrderName;
  readonly deadlineMs: number;
  readonly #harness: GroupHarness;
  readonly #lives: Life[] = [];
  readonly #lines: TraceLine[] = [];
  readonly #joined = new Set<string>();
  readonly #faults: string[] = [];
  /** What stands in the values sent, by the ids of their messages. */
  readonly #sent = new Map<string, string>();
  /** The same of those delivered. */
  readonly #got: (readonly [name: string, id: string, what: string])[] = [];

  constructor(harness: GroupHarness, order: OrderName) {
    this.#harness = harness;
    this.order = order;
    this.deadlineMs = harness.deadlineMs ?? 30_000;
  }

  /** Places for members, with adapters that are not open. */
  async seats(count: number): Promise<Seat[]> {
    const seats: Seat[] = [];
    for (let index = 1; index <= count; index++) {
      seats.push({ name: `P${index}`, member: await this.#harness.create() });
    }
    return seats;
  }

  /** Takes a seat: a member's first life, or its next one. */
  async join(seat: Seat, seats: readonly Seat[], variant: JoinVariant = {}): Promise<Life> {
    if (this.#joined.has(seat.name)) seat.member = await this.#harness.recreate(seat.member.address);
    const { transport } = seat.member;
    const { group: groupName, name, order, election } = variant;
    // Who is configured otherwise is no member; its lines would stand for somebody else's.
    const differs = groupName !== undefined || name !== undefined || order !== undefined ||
      election !== undefined;
    const record: Omit<Life, "group"> = {
      name: seat.name,
      transport,
      delivered: [],
      events: [],
      gate: undefined,
      crashed: false,
    };
    const group = await join({
      group: groupName ?? "conformance",
      name: name ?? seat.name,
      transport,
      peers: variant.peers ?? seats.filter((other) => other !== seat).map((other) => other.member.address),
      expect: variant.expect,
      order: order ?? this.order,
      election,
      limits: { messageBytesMax: MESSAGE_BYTES_MAX },
      timing: TIMING,
      onMessages: (messages) => {
        for (const message of messages) {
          record.delivered.push(message.id);
          const { what, fault } = contentOf(message);
          if (fault !== "" && this.#faults.length < 10) this.#faults.push(`${seat.name} got ${fault}`);
          this.#got.push([seat.name, message.id, what]);
        }
        return record.gate;
      },
      onEvent: (event) => void record.events.push(event),
      state: {
        snapshot: () => utf8.encoder.encode(record.delivered.join("\n")),
        restore: (snapshot) => {
          const ids = utf8.decoder.decode(snapshot).split("\n").filter((id) => id !== "");
          record.delivered.splice(0, Infinity, ...ids);
        },
      },
      ...(differs ? {} : {
        trace: (line: TraceLine) => {
          if (!record.crashed) this.#lines.push(line);
        },
      }),
    });
    if (!differs) this.#joined.add(seat.name);
    const life: Life = Object.assign(record, { group });
    this.#lives.push(life);
    return life;
  }

  /** A member vanishes without a word. */
  async crash(life: Life): Promise<void> {
    life.crashed = true;
    this.#lines.push({ n: life.name, e: "crash" });
    await life.transport.close(0);
    await life.group.close({ deadline: 0 });
  }

  /** Waits until members are in a view of exactly these names, in any order. */
  async inView(lives: readonly Life[], names: readonly string[]): Promise<void> {
    const wanted = [...names].sort().join(", ");
    const present = (life: Life): string => namesOf(life).sort().join(", ");
    await this.until(
      () => lives.every((life) => present(life) === wanted),
      () =>
        lives.map((life) => `${life.name} is in a view of ${present(life)}`).join("; ") + `, not ${wanted}`,
    );
  }

  /** A group of `count` members that are all ready. */
  async mesh(count: number): Promise<{ seats: Seat[]; lives: Life[] }> {
    const seats = await this.seats(count);
    const lives = await Promise.all(seats.map((seat) => this.join(seat, seats)));
    await Promise.all(lives.map(({ group }) => group.ready({ deadline: this.deadlineMs })));
    return { seats, lives };
  }

  /** Sends values of all sizes and kinds. */
  async send(life: Life, count: number): Promise<Receipt[]> {
    const receipts: Receipt[] = [];
    for (let index = 0; index < count; index++) {
      const number = life.group.stats().messagesSent + 1;
      const receipt = await life.group.send(valueOf(life.name, number), { deadline: this.deadlineMs });
      // One that travels in fragments has a sequence for each.
      check(receipt.sequence >= number, `message ${number} of ${life.name} became ${receipt.sequence}`);
      this.#sent.set(receipt.id, whatOf(number));
      receipts.push(receipt);
      if (index % 16 === 15) await turn(); // So that what others send comes in between.
    }
    return receipts;
  }

  /** Waits until messages are confirmed by all. */
  async stable(receipts: readonly Receipt[]): Promise<void> {
    await Promise.all(receipts.map((receipt) => receipt.stable));
  }

  /** Waits for a condition up to the harness' deadline. */
  until(condition: () => boolean, text: string | (() => string)): Promise<void> {
    return until(condition, text, this.deadlineMs);
  }

  /** Waits until a member's application has got messages. */
  async gets(life: Life, receipts: readonly Receipt[]): Promise<void> {
    await this.until(() => {
      const got = new Set(life.delivered);
      return receipts.every(({ id }) => got.has(id));
    }, () => {
      const missing = receipts.filter(({ id }) => !life.delivered.includes(id)).map(({ id }) => id);
      return `${life.name} lacks ${missing.length} messages, first ${missing[0]}`;
    });
  }

  /** Judges everything that members have written down so far, as if the run ended here. */
  judge(correct: readonly Life[]): void {
    const properties = PROPERTIES.filter((property) => property !== "causal" || this.order === "causal");
    const names = correct.map(({ name }) => name);
    const violations = checkTrace([...this.#lines, { e: "end", correct: names }], { properties });
    check(
      violations.length === 0,
      () => `${violations.length} broken promises, first: ${violations[0].property}: ${violations[0].text}`,
    );
    check(this.#faults.length === 0, () => this.#faults.join("; "));
    for (const [name, id, what] of this.#got) {
      const sent = this.#sent.get(id) ?? what;
      check(sent === what, `${name} got ${id} with ${what}, which was sent with ${sent}`);
    }
    for (const { name, delivered } of this.#lives) {
      check(new Set(delivered).size === delivered.length, `${name} got a message twice in one life`);
    }
    const states = correct.map(({ delivered }) => [...delivered].sort().join("\n"));
    check(new Set(states).size === 1, () => {
      const counts = correct.map(({ name, delivered }) => `${name} of ${delivered.length} messages`);
      return `the applications' states differ: ${counts.join(", ")}`;
    });
  }

  /** Closes everything; itself an assertion that close comes back. */
  async close(): Promise<void> {
    await Promise.all(this.#lives.map(({ group }) => group.close({ deadline: 0 })));
  }
}

/** Names of the members of the present view. */
export function namesOf({ group }: Life): string[] {
  return group.view?.members.map(({ name }) => name) ?? [];
}

/** The views that a member has told of. */
export function viewsOf({ events }: Life): ViewEvent[] {
  return events.filter((event) => event.type === "view");
}

/** Why a member went, as another one was told last; `undefined` when it was not. */
export function departureOf(life: Life, name: string): Departure | undefined {
  return viewsOf(life).flatMap(({ departed }) => departed).findLast(({ member }) => member.name === name)
    ?.reason;
}

/** The value that a member sends as its message of a number. */
function valueOf(name: string, number: number): unknown {
  if (isPlain(number)) return plainOf(name, number);
  const bytes = bytesOf(number);
  return bytes < 12 ? patterned(bytes) : numbered(rankOf(name), number, bytes);
}

/** What the value of a number says that it is. */
function whatOf(number: number): string {
  return isPlain(number) || bytesOf(number) >= 12 ? `number ${number}` : `${bytesOf(number)} bytes`;
}

function isPlain(number: number): boolean {
  return number % PLAIN_EVERY === 0 && number !== LARGEST_AT;
}

function bytesOf(number: number): number {
  return number === LARGEST_AT ? MESSAGE_BYTES_MAX : SIZES[number % SIZES.length];
}

function plainOf(name: string, number: number): unknown {
  return { name, number, text: "é".repeat(number), half: number / 2, list: [null, true, { number }] };
}

function rankOf(name: string): number {
  return Number(name.slice(1));
}

/** What a delivered value says that it is, and what is wrong with it; `""` for nothing. */
function contentOf({ sender, value, id }: Message): { what: string; fault: string } {
  const wrong = (fault: string) => ({ what: "", fault: `${id} ${fault}` });
  if (!(value instanceof Uint8Array)) {
    const { number } = (value ?? {}) as { readonly number?: unknown };
    if (typeof number !== "number" || !(number > 0 && number < 100_000)) return wrong("with another value");
    const same = JSON.stringify(value) === JSON.stringify(plainOf(sender, number));
    return same ? { what: `number ${number}`, fault: "" } : wrong("with another value");
  }
  const bytes = value.length;
  if (bytes < 12) {
    return same(value, patterned(bytes)) ? { what: `${bytes} bytes`, fault: "" } : wrong("altered");
  }
  try {
    const number = indexOf(value);
    if (senderOf(value) !== rankOf(sender)) return wrong("as another's message");
    return bytes === bytesOf(number)
      ? { what: `number ${number}`, fault: "" }
      : wrong(`with ${bytes} bytes, not ${bytesOf(number)}`);
  } catch (error) {
    return wrong(error instanceof Error ? error.message : String(error));
  }
}

/**
 * The whole group over an adapter: what an application is promised must hold over every transport, also one that
 * loses, repeats, delays and reorders packets.
 */
import { TuttiError } from "../../base/errors.ts";
import type { OrderName } from "../../wire/control.ts";
import type { Receipt } from "../../runtime/receipt.ts";
import { GroupBench, type JoinVariant, type Life, MESSAGE_BYTES_MAX, type Seat } from "./group_bench.ts";
import { check, turn } from "./probe.ts";
import type { ConformanceCase, GroupHarness } from "./types.ts";

type GroupCase = readonly [name: string, order: OrderName, body: (bench: GroupBench) => Promise<void>];

/** Messages that each member sends in the long cases. */
const MESSAGES = 300;
/** Messages that each member sends in the others. */
const FEW = 50;

/**
 * The cases that a group must pass over an adapter.
 *
 * Up to three members in one process; every wait has a deadline; every case leaves nothing open.
 *
 * @param harness Makes adapters, as for `transportConformance`; wrapped in `lossy`, for example.
 * @returns Independent cases, to be run one after the other by any test runner.
 */
export function groupConformance(harness: GroupHarness): ConformanceCase[] {
  return cases.map(([name, order, body]) => ({
    name: `${harness.name}: ${name}`,
    run: async (): Promise<void> => {
      const bench = new GroupBench(harness, order);
      try {
        await body(bench);
      } finally {
        await bench.close();
      }
    },
  }));
}

const cases: readonly GroupCase[] = [
  ["fifo: everything arrives everywhere, in order and once, when three members send", "fifo", everybodySends],
  [
    "causal: everything arrives everywhere, in order and once, when three members send",
    "causal",
    everybodySends,
  ],
  ["a member that joins late gets everything", "causal", lateJoiner],
  [
    "a member that left and joins again gets everything unconfirmed",
    "fifo",
    (bench) => joinsAgain(bench, async ({ group }) => void await group.close()),
  ],
  [
    "a member that vanished and joins again gets everything unconfirmed",
    "causal",
    (bench) => joinsAgain(bench, ({ transport }) => transport.close(0)),
  ],
  [
    "a member of another group is refused with a clear word, and harms nobody",
    "fifo",
    (bench) => refused(bench, () => ({ group: "another" }), /its group is |is of another group/),
  ],
  ["a member with another list is refused with a clear word, and harms nobody", "fifo", (bench) =>
    refused(
      bench,
      (seats, unused) => ({ peers: [...seats.slice(0, 2), unused].map(({ member }) => member.address) }),
      /its list of members is /,
    )],
  [
    "a member with a name in use is refused with a clear word, and harms nobody",
    "fifo",
    (bench) => refused(bench, ([first]) => ({ name: first.name }), /its name, P1, is in use/),
  ],
];

async function everybodySends(bench: GroupBench): Promise<void> {
  const { lives } = await bench.mesh(3);
  const receipts = (await Promise.all(lives.map((life) => bench.send(life, MESSAGES)))).flat();
  await tooLarge(lives[0]);
  await bench.stable(receipts);
  for (const { name, delivered } of lives) {
    check(
      delivered.length === receipts.length,
      `${name} got ${delivered.length} of ${receipts.length} messages`,
    );
  }
  bench.judge(lives);
  const reports = await Promise.all(lives.map(({ group }) => group.close()));
  for (const { unconfirmed, members } of reports) {
    check(unconfirmed === 0, `close reports ${unconfirmed} messages unconfirmed by ${members.join(", ")}`);
  }
}

/** One byte past the limit is refused at once, with the limit in the text, and nothing is sent. */
async function tooLarge({ group }: Life): Promise<void> {
  const error = await group.send(new Uint8Array(MESSAGE_BYTES_MAX + 1)).catch((cause: unknown) => cause);
  check(
    error instanceof TuttiError && error.code === "TooLarge",
    `a message that is too large: ${String(error)}`,
  );
  check(error.message.includes(String(MESSAGE_BYTES_MAX)), `the limit is not in the text: ${error.message}`);
}

async function lateJoiner(bench: GroupBench): Promise<void> {
  const seats = await bench.seats(3);
  const early = [await bench.join(seats[0], seats), await bench.join(seats[1], seats)];
  await Promise.all(early.map(({ group }) => group.ready({ members: 2, deadline: bench.deadlineMs })));
  const receipts = (await Promise.all(early.map((life) => bench.send(life, FEW)))).flat();
  for (const life of early) {
    await bench.gets(life, receipts);
    check(life.group.stats().messagesStable === 0, "a message was confirmed without the third member");
  }
  const late = await bench.join(seats[2], seats);
  await late.group.ready({ deadline: bench.deadlineMs });
  const lives = [...early, late];
  receipts.push(...(await Promise.all(lives.map((life) => bench.send(life, FEW)))).flat());
  await bench.stable(receipts);
  check(
    late.delivered.length === receipts.length,
    `${late.delivered.length} of ${receipts.length} messages came`,
  );
  bench.judge(lives);
}

/** The third member ends while the second one's application is busy, so that what the first one sends is unconfirmed. */
async function joinsAgain(bench: GroupBench, end: (life: Life) => Promise<void>): Promise<void> {
  const { seats, lives: [a, b, c] } = await bench.mesh(3);
  const confirmed = (await Promise.all([a, b, c].map((life) => bench.send(life, FEW)))).flat();
  await bench.stable(confirmed);
  let open: () => void = () => {};
  b.gate = new Promise((resolve) => open = resolve);
  await end(c);
  const unconfirmed: Receipt[] = await bench.send(a, FEW);
  await bench.gets(b, unconfirmed.slice(0, 1));
  await c.group.close({ deadline: 0 });
  const again = await bench.join(seats[2], seats);
  await again.group.ready({ deadline: bench.deadlineMs });
  await bench.gets(again, unconfirmed);
  b.gate = undefined;
  open();
  const lives = [a, b, again];
  const receipts = (await Promise.all(lives.map((life) => bench.send(life, FEW)))).flat();
  await bench.stable([...unconfirmed, ...receipts]);
  for (const life of lives) await bench.gets(life, receipts);
  bench.judge(lives);
}

async function refused(
  bench: GroupBench,
  variant: (seats: readonly Seat[], unused: Seat) => JoinVariant,
  text: RegExp,
): Promise<void> {
  const [first, second, third, unused] = await bench.seats(4);
  const seats = [first, second, third];
  const sound = [await bench.join(first, seats), await bench.join(second, seats)];
  await Promise.all(sound.map(({ group }) => group.ready({ members: 2, deadline: bench.deadlineMs })));
  const stranger = await bench.join(third, seats, variant(seats, unused));
  // All wait; the first clear word ends the case. Who hears none gives up when it is over.
  const over = new AbortController();
  const refusal = [...sound, stranger].map(async ({ name, group }) => {
    const error = await group.ready({ deadline: bench.deadlineMs, signal: over.signal }).catch((cause) =>
      cause
    );
    check(error instanceof TuttiError, `${name} became ready, or: ${String(error)}`);
    check(error.code === "Refused" && text.test(error.message), `${name}: ${error.code}: ${error.message}`);
    return error;
  });
  try {
    await Promise.any(refusal);
  } catch (error) {
    const texts = (error as AggregateError).errors.map(String).join("; ");
    throw new Error(`nobody was refused with a clear word: ${texts}`);
  } finally {
    over.abort();
    await Promise.allSettled(refusal);
  }
  const receipts = (await Promise.all(sound.map((life) => bench.send(life, FEW)))).flat();
  for (const life of sound) await bench.gets(life, receipts);
  await turn();
  check(stranger.delivered.length === 0, `the stranger got ${stranger.delivered.length} messages`);
  bench.judge(sound);
}

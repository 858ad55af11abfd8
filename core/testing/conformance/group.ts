/**
 * The whole group over an adapter: what an application is promised must hold over every transport, also one that
 * loses, repeats, delays and reorders packets.
 */
import { TuttiError } from "../../base/errors.ts";
import type { OrderName } from "../../wire/control.ts";
import type { Receipt } from "../../runtime/receipt.ts";
import {
  departureOf,
  GroupBench,
  type JoinVariant,
  type Life,
  MESSAGE_BYTES_MAX,
  namesOf,
  type Seat,
  viewsOf,
} from "./group_bench.ts";
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
  [
    "a process joins through any one member, and gets the state and everything after it",
    "fifo",
    joinsThroughAny,
  ],
  ["a member that joins late gets the state, and everything once, while others send", "causal", lateJoiner],
  [
    "a member that leaves is in no view, and comes back as a new life with the state",
    "fifo",
    leavesAndReturns,
  ],
  [
    "a member that vanishes is evicted, and comes back as a new life with the state",
    "causal",
    vanishesAndReturns,
  ],
  ["a member that restarts before anybody noticed comes back as a new life", "fifo", restartsAtOnce],
  ["the last member goes on alone when the others leave one after the other", "fifo", lastOne],
  ["a member that is cut off from all others sends nothing", "causal", minority],
  [
    "a member of another group is refused with a clear word, and harms nobody",
    "fifo",
    (bench) => refused(bench, () => ({ group: "another" }), /its group is another/),
  ],
  [
    "a member with another order is refused with a clear word, and harms nobody",
    "fifo",
    (bench) => refused(bench, () => ({ order: "causal" }), /its order is causal/),
  ],
  [
    "a member with another election is refused with a clear word, and harms nobody",
    "fifo",
    (bench) => refused(bench, () => ({ election: "ring" }), /its election is ring/),
  ],
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

async function joinsThroughAny(bench: GroupBench): Promise<void> {
  const seats = await bench.seats(3);
  const first = await bench.join(seats[0], seats, { peers: [] });
  await first.group.ready({ deadline: bench.deadlineMs });
  const receipts = await bench.send(first, FEW);
  const second = await bench.join(seats[1], seats, { peers: [seats[0].member.address], expect: 0 });
  await second.group.ready({ deadline: bench.deadlineMs });
  receipts.push(...await bench.send(second, FEW));
  const third = await bench.join(seats[2], seats, { peers: [seats[1].member.address], expect: 0 });
  await third.group.ready({ deadline: bench.deadlineMs });
  const lives = [first, second, third];
  await bench.inView(lives, ["P1", "P2", "P3"]);
  receipts.push(...(await Promise.all(lives.map((life) => bench.send(life, FEW)))).flat());
  await bench.stable(receipts);
  for (const life of lives) await bench.gets(life, receipts);
  check(namesOf(third).join() === "P1,P2,P3", `the order of seniority is ${namesOf(third)}`);
  const [{ joined, view }] = viewsOf(third);
  check(joined.length === view.members.length, "in its first view not all members are new to a member");
  bench.judge(lives);
}

async function lateJoiner(bench: GroupBench): Promise<void> {
  const seats = await bench.seats(3);
  const early = [
    await bench.join(seats[0], seats.slice(0, 2)),
    await bench.join(seats[1], seats.slice(0, 2)),
  ];
  await bench.inView(early, ["P1", "P2"]);
  const receipts = (await Promise.all(early.map((life) => bench.send(life, FEW)))).flat();
  const meanwhile = Promise.all(early.map((life) => bench.send(life, MESSAGES)));
  const late = await bench.join(seats[2], seats, { expect: 0 });
  await late.group.ready({ deadline: bench.deadlineMs });
  receipts.push(...(await meanwhile).flat());
  const lives = [...early, late];
  receipts.push(...(await Promise.all(lives.map((life) => bench.send(life, FEW)))).flat());
  await bench.stable(receipts);
  for (const life of lives) await bench.gets(life, receipts);
  bench.judge(lives);
}

async function leavesAndReturns(bench: GroupBench): Promise<void> {
  const { seats, lives: [a, b, c] } = await bench.mesh(3);
  const receipts = (await Promise.all([a, b, c].map((life) => bench.send(life, FEW)))).flat();
  const report = await c.group.close({ deadline: bench.deadlineMs });
  check(report.unconfirmed === 0, `close reports ${report.unconfirmed} messages unconfirmed`);
  await bench.inView([a, b], ["P1", "P2"]);
  for (const life of [a, b]) {
    check(departureOf(life, "P3") === "left", `${life.name} was told ${departureOf(life, "P3")}, not left`);
  }
  await returns(bench, seats, [a, b], receipts);
}

async function vanishesAndReturns(bench: GroupBench): Promise<void> {
  const { seats, lives: [a, b, c] } = await bench.mesh(3);
  const receipts = (await Promise.all([a, b, c].map((life) => bench.send(life, FEW)))).flat();
  await bench.stable(receipts);
  await bench.crash(c);
  receipts.push(...await bench.send(a, FEW));
  await bench.inView([a, b], ["P1", "P2"]);
  for (const life of [a, b]) {
    check(
      departureOf(life, "P3") === "crashed",
      `${life.name} was told ${departureOf(life, "P3")}, not crashed`,
    );
  }
  await returns(bench, seats, [a, b], receipts);
}

async function restartsAtOnce(bench: GroupBench): Promise<void> {
  const { seats, lives: [a, b, c] } = await bench.mesh(3);
  const receipts = (await Promise.all([a, b, c].map((life) => bench.send(life, FEW)))).flat();
  await bench.stable(receipts);
  await bench.crash(c);
  receipts.push(...await bench.send(a, FEW));
  await returns(bench, seats, [a, b], receipts);
  for (const life of [a, b]) {
    const reason = departureOf(life, "P3");
    check(reason === "restarted" || reason === "crashed", `${life.name} was told ${reason}`);
  }
}

/** The third member comes back, gets what it missed, and all go on. */
async function returns(
  bench: GroupBench,
  seats: readonly Seat[],
  others: readonly Life[],
  receipts: Receipt[],
): Promise<void> {
  const again = await bench.join(seats[2], seats);
  await again.group.ready({ deadline: bench.deadlineMs });
  const lives = [...others, again];
  await bench.inView(lives, ["P1", "P2", "P3"]);
  receipts.push(...(await Promise.all(lives.map((life) => bench.send(life, FEW)))).flat());
  await bench.stable(receipts);
  for (const life of lives) await bench.gets(life, receipts);
  bench.judge(lives);
}

async function lastOne(bench: GroupBench): Promise<void> {
  const { lives: [a, b, c] } = await bench.mesh(3);
  const receipts = await bench.send(a, FEW);
  await a.group.close({ deadline: bench.deadlineMs });
  await bench.inView([b, c], ["P2", "P3"]);
  receipts.push(...await bench.send(b, FEW));
  await b.group.close({ deadline: bench.deadlineMs });
  await bench.inView([c], ["P3"]);
  const own = await bench.send(c, FEW);
  await bench.stable(own);
  await bench.gets(c, [...receipts, ...own]);
  bench.judge([c]);
  const { unconfirmed } = await c.group.close({ deadline: bench.deadlineMs });
  check(unconfirmed === 0, "the last member could not confirm its own messages");
}

async function minority(bench: GroupBench): Promise<void> {
  const { lives: [a, b, c] } = await bench.mesh(3);
  await bench.stable((await Promise.all([a, b, c].map((life) => bench.send(life, FEW)))).flat());
  await Promise.all([bench.crash(b), bench.crash(c)]);
  await bench.until(
    () => a.events.some((event) => event.type === "blocked" && event.reason === "minority"),
    "the member that is left alone was not told so",
  );
  const before = a.delivered.length;
  const error = await a.group.send("x", { deadline: 200 }).catch((cause: unknown) => cause);
  check(error instanceof TuttiError && error.code === "NotPrimary", `the send ended with ${String(error)}`);
  check(a.group.leadership() === undefined, "a member that is left alone leads");
  check(namesOf(a).length === 3, "a member that is left alone changed the view");
  check(a.delivered.length === before, "a message was delivered that was not sent");
}

async function refused(
  bench: GroupBench,
  variant: (seats: readonly Seat[]) => JoinVariant,
  text: RegExp,
): Promise<void> {
  const seats = await bench.seats(3);
  const sound = [
    await bench.join(seats[0], seats.slice(0, 2)),
    await bench.join(seats[1], seats.slice(0, 2)),
  ];
  await bench.inView(sound, ["P1", "P2"]);
  const stranger = await bench.join(seats[2], seats, { expect: 0, ...variant(seats) });
  const error = await stranger.group.ready({ deadline: bench.deadlineMs }).catch((cause) => cause);
  check(error instanceof TuttiError, `the stranger became ready, or: ${String(error)}`);
  check(error.code === "Refused" && text.test(error.message), `${error.code}: ${error.message}`);
  await bench.until(
    () =>
      sound.some(({ events }) => events.some((event) => event.type === "warning" && text.test(event.text))),
    "no member says whom it refused, and why",
  );
  const receipts = (await Promise.all(sound.map((life) => bench.send(life, FEW)))).flat();
  await bench.stable(receipts);
  for (const life of sound) await bench.gets(life, receipts);
  await turn();
  check(stranger.delivered.length === 0, `the stranger got ${stranger.delivered.length} messages`);
  check(namesOf(sound[0]).sort().join() === "P1,P2", `the view has changed to ${namesOf(sound[0])}`);
  bench.judge(sound);
}

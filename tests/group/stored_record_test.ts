/** A store goes with one configuration of the group: with another one it is refused, and left as it is. */
import * as assert from "uvu/assert";
import { memoryStore, replicatedCounter, type Store } from "@tutti/tutti";
import { MemoryNetwork } from "@tutti/tutti/memory";
import { type Choices, DEADLINE_MS, fails, groupSuite, member, Reader } from "./members.ts";

const test = groupSuite("group/stored record");

const DURABLE: Choices = { order: "total", level: "durable" };

/** Whether what a store holds is still the same. */
function content(store: Store): string {
  return JSON.stringify(store.load());
}

/** A store with what a group of one has left in it, whose process was killed. */
async function left(choices: Choices): Promise<Store> {
  const store = memoryStore();
  let killed = false;
  const dying: Store = { ...store, write: (write) => killed ? new Promise(() => {}) : store.write(write) };
  const group = await member("P1", [], { ...choices, store: dying, network: new MemoryNetwork() });
  void new Reader(group);
  await group.ready({ deadline: DEADLINE_MS });
  if (choices.order === "total") await (await group.send("acknowledged")).placed;
  killed = true;
  return store;
}

const cases: readonly (readonly [string, Choices, Choices, RegExp])[] = [
  [
    "at a lower level",
    DURABLE,
    { order: "total", level: "safe" },
    /total\/sequencer\/durable, not total\/sequencer\/safe/,
  ],
  ["without a total order", DURABLE, { order: "fifo" }, /total\/sequencer\/durable, not fifo/],
  [
    "with another engine",
    DURABLE,
    { ...DURABLE, engine: "lamport" },
    /sequencer\/durable, not total\/lamport/,
  ],
  ["at a higher level", { order: "total", level: "safe" }, DURABLE, /safe, not total\/sequencer\/durable/],
  [
    "with other replicas",
    DURABLE,
    { ...DURABLE, replicas: { hits: replicatedCounter() } },
    /state of no replicas/,
  ],
];

for (const [name, before, after, text] of cases) {
  test(`a member that comes back ${name} is refused, and loses nothing`, async () => {
    const store = await left(before);
    const kept = content(store);
    const network = new MemoryNetwork();
    await fails("StoreFailed", () => member("P1", [], { ...after, store, network }), text);
    assert.is(content(store), kept);
    const again = await member("P1", [], { ...before, store, network: new MemoryNetwork() });
    const reader = new Reader(again);
    await again.ready({ deadline: DEADLINE_MS });
    if (before === DURABLE) assert.equal(reader.values, ["acknowledged"]);
  });
}

test.run();

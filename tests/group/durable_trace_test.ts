/** Messages of a durable member whose process ends before all is on disk. */
import * as assert from "uvu/assert";
import { memoryStore, type Store } from "@tutti/tutti";
import { MemoryNetwork } from "@tutti/tutti/memory";
import { checkTrace, type TraceLine } from "@tutti/tutti/testing";
import { DEADLINE_MS, groupSuite, member, Reader, until } from "./members.ts";

const test = groupSuite("group/durable trace");

test("what never reached the disk gives its number away, and not its id", async () => {
  const store = memoryStore();
  let killed = false;
  let lostWrites = 0;
  const dying: Store = {
    ...store,
    write: (write) => {
      if (!killed) return store.write(write);
      lostWrites++;
      return new Promise(() => {});
    },
  };
  const lines: TraceLine[] = [];
  const trace = (line: TraceLine): void => {
    lines.push(line);
  };
  const options = { order: "total", level: "durable", trace } as const;
  const first = await member("P1", [], { ...options, store: dying, network: new MemoryNetwork() });
  const reader = new Reader(first);
  await (await first.send("kept")).placed;
  killed = true;
  const lost = await first.send("lost");
  await until("it is on its way to the disk", () => lostWrites > 0);
  assert.equal(reader.values, ["kept"], "nothing is delivered before it is on disk");

  const second = await member("P1", [], { ...options, store, network: new MemoryNetwork() });
  const again = new Reader(second);
  await second.ready({ deadline: DEADLINE_MS });
  const receipt = await second.send("next");
  await receipt.placed;
  assert.is(receipt.sequence, lost.sequence);
  assert.is.not(receipt.id, lost.id);
  await until("it is delivered", () => again.messages.at(-1)?.id === receipt.id);
  assert.is(lines.filter((line) => line.e === "send").length, 3);
  assert.equal(checkTrace(lines, { properties: ["integrity"] }), []);
});

test.run();

/** What the trace of a durable member says when its process ends before all is on disk. */
import * as assert from "uvu/assert";
import { memoryStore, type Store } from "@tutti/tutti";
import { MemoryNetwork } from "@tutti/tutti/memory";
import { checkTrace, type TraceLine } from "@tutti/tutti/testing";
import { DEADLINE_MS, groupSuite, member, Reader } from "./members.ts";

const test = groupSuite("group/durable trace");

test("what never reaches the disk was not sent: no message is in the trace twice", async () => {
  const store = memoryStore();
  let killed = false;
  const dying: Store = {
    ...store,
    write: (write) => killed ? new Promise(() => {}) : store.write(write),
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
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(reader.values, ["kept"], "nothing is delivered before it is on disk");

  const second = await member("P1", [], { ...options, store, network: new MemoryNetwork() });
  void new Reader(second);
  await second.ready({ deadline: DEADLINE_MS });
  const receipt = await second.send("next");
  await receipt.placed;
  assert.is(receipt.id, lost.id, "the number is free");
  assert.is(lines.filter((line) => line.e === "send").length, 2);
  assert.equal(checkTrace(lines, { properties: ["integrity"] }), []);
});

test.run();

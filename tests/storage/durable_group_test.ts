/** All members of a durable group killed at once come back with all that a receipt has called durable. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { inFolder, StoreProcess } from "./places.ts";

const test = suite("storage/durable group");
const ROUNDS = 3;

test("nothing that a receipt called durable is lost, moved or doubled when all members are killed at once", async () => {
  await inFolder(async (_, folder) => {
    const durable = new Map<number, number>();
    for (let round = 0; round <= ROUNDS; round++) {
      const from = 1 + 1_000_000 * round; // Also what is on its way when they are killed may arrive.
      const members = new StoreProcess("durable_process.ts", [folder, String(from)]);
      await members.says(/^began P3 /);
      await members.says(new RegExp(`^durable ${from + 300 * (round + 1)} `));
      await members.kill();
      const begun = members.lines.filter((line) => line.startsWith("began "));
      const [first, ...others] = begun.map((line) => line.split(" ")[2]);
      for (const other of others) assert.is(other, first);
      const values = first.split(",").map(Number);
      assert.is(new Set(values).size, values.length, "something was delivered twice");
      for (const [number, position] of durable) {
        assert.is(values.indexOf(number), position - 1, `${number}, at ${position}`);
      }
      for (const line of members.lines) {
        const [, number, position] = /^durable (\d+) (\d+)$/.exec(line) ?? [];
        if (number !== undefined) durable.set(Number(number), Number(position));
      }
    }
    assert.ok(durable.size > 300 * ROUNDS);
  }, true);
});

test.run();

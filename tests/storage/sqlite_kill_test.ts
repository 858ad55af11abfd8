/** Whatever was acknowledged is there when the process was killed in the middle of its writes. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { sqliteStore } from "../../storage/sqlite/mod.ts";
import { inFolder, StoreProcess } from "./places.ts";

const test = suite("storage/sqlite kill");
const ROUNDS = 10;

// Large ones also meet checkpoints, and space that is given back.
for (const bytes of [20_000, 900_000]) {
  test(`all that was acknowledged is there after kill -9, batches of ${bytes} bytes`, async () => {
    await inFolder(async (path) => {
      let next = 1;
      for (let round = 0; round < ROUNDS; round++) {
        const writer = new StoreProcess("writer.ts", [path, "own", "write", String(next), String(bytes)]);
        await writer.says(new RegExp(`^wrote ${next + 3 * round}$`));
        await writer.kill();
        const acknowledged = Number(writer.lines.at(-1)?.replace("wrote ", ""));
        const store = sqliteStore(path, { group: "g", member: "m" });
        const { log } = await store.load() ?? { log: [] };
        const last = log.at(-1)?.last ?? 0;
        assert.ok(
          last >= acknowledged,
          `round ${round}: ${acknowledged} was acknowledged, and ${last} is the last`,
        );
        assert.ok(last <= acknowledged + 2, `round ${round}: ${last} was never written`);
        for (const { first, bytes } of log) {
          assert.ok(
            new Uint32Array(bytes.buffer).every((word) => word === first),
            `batch ${first} is not whole`,
          );
        }
        next = last + 1;
        if (round % 3 === 2) {
          await store.write({ snapshot: { through: last - 1, bytes: new Uint8Array(50_000) } });
        }
        await store.close?.();
      }
    }, true);
  });
}

test.run();

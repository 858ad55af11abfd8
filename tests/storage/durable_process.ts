/**
 * A process with a whole durable group in it, each member with a store of its own on disk: `FOLDER FROM`. It sends numbers from FROM
 * on, and says of each when its receipt calls it durable, and with what the members have begun.
 */
import { join as joinPath } from "node:path";
import process from "node:process";
import { type Group, join } from "../../mod.ts";
import { sqliteStore } from "../../storage/sqlite/mod.ts";
import { memory } from "../../transports/memory/mod.ts";

const [folder, from] = process.argv.slice(2);
const names = ["P1", "P2", "P3"];
const values = new Map<string, number[]>(names.map((name) => [name, []]));
const text = new TextEncoder();

async function start(name: string): Promise<Group> {
  const own = (): number[] => values.get(name) as number[];
  return await join({
    group: "durable",
    name,
    transport: memory(name),
    peers: names.filter((other) => other !== name).map((other) => `memory:${other}`),
    order: "total",
    level: "durable",
    store: sqliteStore(joinPath(folder, `${name}.db`), { group: "durable", member: name }),
    limits: { logBytesMax: 1 << 16, windowMessages: 128 }, // a snapshot now and then
    state: {
      snapshot: () => text.encode(JSON.stringify(own())),
      restore: (bytes) => {
        values.set(name, JSON.parse(new TextDecoder().decode(bytes)));
      },
    },
    onMessages: (messages) => {
      for (const { value } of messages) own().push((value as { number: number }).number);
    },
  });
}

const groups = await Promise.all(names.map(start));
await Promise.all(groups.map((group) => group.ready({ deadline: 60_000, members: 3 })));
// What was delivered before is delivered again before anything new is.
const opening = await groups[0].send({ number: Number(from) });
await opening.placed;
await opening.stable;
for (const name of names) console.log(`began ${name} ${values.get(name)?.join()}`);
for (let number = Number(from) + 1;; number++) {
  const receipt = await groups[number % 3].send({ number, padding: "x".repeat(300) });
  receipt.placed.then(({ position }) => console.log(`durable ${number} ${position}`), () => {});
}

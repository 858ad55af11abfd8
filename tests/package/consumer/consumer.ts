/**
 * A user's program: it knows the package only by its name. The smoke test checks its types against the packed package,
 * compiles it and runs it under Node; it prints `consumer ok` at the end.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { type Group, join, type JoinOptions, type Message, TuttiError } from "@tutti/tutti";
import { memory } from "@tutti/tutti/memory";
import { sqliteStore } from "@tutti/tutti/sqlite";
import * as testing from "@tutti/tutti/testing";
import { udp } from "@tutti/tutti/udp";
import { zeromq } from "@tutti/tutti/zeromq";

const DEADLINE_MS = 20_000;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

/** Takes messages from a group until there are `count`. */
async function take(group: Group, count: number): Promise<Message[]> {
  const messages: Message[] = [];
  for await (const event of group) {
    if (event.type === "message" && messages.push(event) === count) break;
  }
  return messages;
}

/** Every member sends ten messages; every member must get all of them, each sender's in order. */
async function exchange(what: string, options: readonly JoinOptions[]): Promise<void> {
  const groups = await Promise.all(options.map((option) => join(option)));
  try {
    await Promise.all(groups.map((group) => group.ready({ deadline: DEADLINE_MS })));
    const taken = groups.map((group) => take(group, 10 * groups.length));
    for (let number = 1; number <= 10; number++) {
      await Promise.all(groups.map((group) => group.send({ number }, { deadline: DEADLINE_MS })));
    }
    for (const messages of await Promise.all(taken)) {
      for (const group of groups) {
        const numbers = messages.filter((message) => message.sender === group.name)
          .map((message) => (message.value as { readonly number: number }).number);
        if (numbers.join() !== "1,2,3,4,5,6,7,8,9,10") {
          throw new Error(`${what}: ${group.name} sent 1 to 10, a member got ${numbers.join()}`);
        }
      }
    }
  } finally {
    await Promise.all(groups.map((group) => group.close({ deadline: 1000 })));
  }
  console.log(`${what}: ${groups.length} members, ${10 * groups.length} messages each`);
}

const watchdog = setTimeout(() => {
  console.error("consumer: not finished in time");
  process.exit(1);
}, 3 * DEADLINE_MS);

const names = ["a", "b"];
await exchange(
  "memory",
  names.map((name) => ({
    group: "smoke",
    name,
    transport: memory(name),
    peers: names.filter((other) => other !== name).map((other) => `memory:${other}`),
    order: "causal",
  })),
);

const endpoints: string[] = [];
for (let index = 0; index < 3; index++) endpoints.push(`tcp://127.0.0.1:${await freePort()}`);
await exchange(
  "zeromq",
  endpoints.map((listen, index) => ({
    group: "smoke",
    name: `P${index + 1}`,
    transport: zeromq({ listen }),
    peers: endpoints.filter((endpoint) => endpoint !== listen),
  })),
);

const datagrams = endpoints.map((endpoint) => endpoint.replace("tcp:", "udp:"));
await exchange(
  "udp",
  datagrams.map((listen, index) => ({
    group: "smoke",
    name: `P${index + 1}`,
    transport: udp({ listen, multicast: `udp://239.255.84.86:${endpoints[0].split(":")[2]}` }),
    peers: datagrams.filter((endpoint) => endpoint !== listen),
  })),
);

try {
  await join({ group: "not a name", name: "a", transport: memory("x"), peers: [] });
  throw new Error("a group's name with spaces was taken");
} catch (error) {
  if (!(error instanceof TuttiError) || error.code !== "InvalidArgument") throw error;
}
if (Object.keys(testing).length === 0) throw new Error("the testing export is empty");

const folder = mkdtempSync(`${tmpdir()}/tutti-consumer-`);
for (const thread of ["own", "caller"] as const) {
  const path = `${folder}/${thread}.db`;
  const first = sqliteStore(path, { thread, group: "smoke" });
  if (await first.load() !== undefined) throw new Error("something is in a new store");
  await first.write({
    record: new Uint8Array([1]),
    log: [{ first: 1, last: 2, bytes: new Uint8Array(20_000) }],
  });
  await first.close?.();
  const second = sqliteStore(path, { thread });
  const stored = await second.load();
  if (stored?.record?.[0] !== 1 || stored.log[0].bytes.length !== 20_000) throw new Error("a store forgot");
  await second.close?.();
}
rmSync(folder, { recursive: true });
console.log("sqlite: written, closed, read again");

clearTimeout(watchdog);
console.log("consumer ok");

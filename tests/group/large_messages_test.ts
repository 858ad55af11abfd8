/** Large messages: in pieces, and compressed. */
import * as assert from "uvu/assert";
import { deflate } from "@tutti/tutti/compression";
import { MemoryNetwork } from "@tutti/tutti/memory";
import { DEADLINE_MS, fails, groupSuite, member, members, Reader, until } from "./members.ts";

const test = groupSuite("group/large_messages");

for (const order of ["fifo", "causal", "total"] as const) {
  test(`a message of the largest size goes over a transport of small packets, in pieces (${order})`, async () => {
    const network = new MemoryNetwork({ packetBytesMax: 2000 });
    const limits = { messageBytesMax: 300_000 };
    const groups = await members(["P1", "P2"], { network, limits, order });
    const readers = groups.map((group) => new Reader(group));
    const value = Uint8Array.from({ length: 300_000 }, (_, index) => index * 7);
    const receipt = await groups[0].send(value);
    await groups[0].send("behind it");
    await receipt.stable;
    await until("all of it", () => readers.every(({ values }) => values.length === 2));
    for (const { values } of readers) assert.equal(values, [value, "behind it"]);
    await fails("TooLarge", () => groups[0].send(new Uint8Array(300_001)), /the limit is 300000/);
  });
}

test("a message of more pieces than the window has room for is ordered like any other", async () => {
  const limits = { windowMessages: 4, bundleBytes: 1200 };
  const groups = await members(["P1", "P2"], { limits, order: "total" });
  const readers = groups.map((group) => new Reader(group));
  for (const group of groups) await group.send(new Uint8Array(30_000));
  await until("both", () => readers.every(({ values }) => values.length === 2));
});

test("what is compressed arrives as it was, and who does not compress is refused", async () => {
  const network = new MemoryNetwork();
  const compression = deflate({ aboveBytes: 100 });
  const groups = await members(["P1", "P2"], { network, compression });
  const readers = groups.map((group) => new Reader(group));
  const text = "all the same ".repeat(10_000);
  await (await groups[0].send(text)).stable;
  await (await groups[0].send("short")).stable;
  assert.equal(readers[1].values, [text, "short"]);
  assert.ok(groups[0].stats().bytesSent < text.length / 10);
  const other = await member("P3", ["P1", "P2"], { network, expect: 0 });
  await fails("Refused", () => other.ready({ deadline: DEADLINE_MS }), /its order is fifo/);
});

test("H47: what would be larger than any message once it is restored is not delivered", async () => {
  const honest = deflate({ aboveBytes: 64 });
  const liar = { ...honest, compress: () => honest.compress(new Uint8Array(5_000_000)) };
  const [group] = await members(["P1"], { limits: { messageBytesMax: 1_000_000 }, compression: liar });
  const reader = new Reader(group);
  await group.send(new Uint8Array(100_000).fill(1));
  await group.send("fine");
  await until("the next one", () => reader.values.includes("fine"));
  assert.equal(reader.values, ["fine"]);
  assert.is(group.stats().undecodable, 1);
});

test("the options of compression are checked", () => {
  for (const options of [{ aboveBytes: 63 }, { aboveBytes: 1e9 }, { level: 0 }, { level: 2.5 }]) {
    assert.throws(() => deflate(options), /use a whole number from/);
  }
});

test.run();

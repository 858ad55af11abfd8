/**
 * A group over UDP multicast: every order when a fifth of the packets is lost, and while somebody attacks its sockets.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random } from "../../core/base/random.ts";
import type { Group } from "../../core/runtime/group.ts";
import { join } from "../../core/runtime/join.ts";
import type { JoinOptions } from "../../core/runtime/options.ts";
import type { TraceLine } from "../../core/runtime/trace.ts";
import type { Transport } from "../../core/runtime/transport.ts";
import { checkTrace, TOTAL_ORDER_PROPERTIES, type TraceProperty } from "../../core/testing/checkers/mod.ts";
import { lossy } from "../../core/testing/lossy_transport.ts";
import { udp } from "../../transports/udp/mod.ts";
import { freeUdp } from "./free_endpoints.ts";
import { closeAll, GROUP, raw, until } from "./udp_members.ts";

const test = suite("udp group");
test.after.each(closeAll);

/** What holds in any order, and what a receipt means besides. */
const COMMON: readonly TraceProperty[] = [
  "integrity",
  "validity",
  "agreement",
  "fifo",
  "views",
  "view-synchrony",
];
const FIFO: readonly TraceProperty[] = [...COMMON, "stability"];
const CAUSAL: readonly TraceProperty[] = [...FIFO, "causal"];
const TOTAL: readonly TraceProperty[] = [...COMMON, ...TOTAL_ORDER_PROPERTIES.safe];
const FAULTS = { lossRate: 0.2, duplicateRate: 0.1, reorderRate: 0.1, reorderDelayMs: 15 };
const DEADLINE_MS = 60_000;

/** A group of three over UDP. */
class Trio {
  readonly groups: Group[] = [];
  readonly delivered: string[][] = [];
  readonly endpoints: string[] = [];
  readonly #lines: TraceLine[] = [];
  readonly #options: Partial<JoinOptions>;

  constructor(options: Partial<JoinOptions>) {
    this.#options = options;
  }

  async open(wrap: (transport: Transport) => Transport): Promise<void> {
    for (let index = 0; index < 3; index++) this.endpoints.push(await freeUdp());
    for (const [index, listen] of this.endpoints.entries()) {
      const ids: string[] = [];
      this.delivered.push(ids);
      const group = await join({
        group: "udp-group",
        name: `P${index + 1}`,
        transport: wrap(udp({ listen, multicast: GROUP })),
        peers: this.endpoints.filter((other) => other !== listen),
        onMessages: (messages) => {
          for (const { id } of messages) ids.push(id);
        },
        trace: (line) => void this.#lines.push(line),
        ...this.#options,
      });
      this.groups.push(group);
    }
    await Promise.all(this.groups.map((group) => group.ready({ deadline: DEADLINE_MS })));
  }

  /** Every member sends; resolves when all members have everything. */
  async talk(count: number, bytes: (random: Random) => number): Promise<void> {
    const sent = await Promise.all(this.groups.map(async (group, member) => {
      const random = new Random(member + 1);
      const receipts = [];
      for (let index = 0; index < count; index++) {
        receipts.push(await group.send(new Uint8Array(bytes(random)), { deadline: DEADLINE_MS }));
        if (index % 8 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
      }
      return receipts;
    }));
    await Promise.all(sent.flat().map((receipt) => receipt.stable));
    const counts = (): number[] => this.delivered.map(({ length }) => length);
    await until(
      () => counts().every((length) => length >= 3 * count),
      () => `${counts()} were delivered`,
      DEADLINE_MS,
    );
  }

  /** What must hold in the end. */
  judge(count: number, properties: readonly TraceProperty[]): void {
    for (const ids of this.delivered) assert.is(ids.length, 3 * count);
    const names = this.groups.map(({ name }) => name);
    assert.equal(checkTrace([...this.#lines, { e: "end", correct: names }], { properties }), []);
  }

  async close(): Promise<void> {
    await Promise.all(this.groups.map((group) => group.close({ deadline: 0 })));
  }
}

for (const order of ["fifo", "causal"] as const) {
  test(`all members deliver everything in ${order} order when a fifth of the packets is lost`, async () => {
    let seed = 0;
    const trio = new Trio({ order });
    try {
      await trio.open((transport) => lossy(transport, FAULTS, { seed: ++seed }));
      await trio.talk(150, (random) => random.uint32() % 3000);
      trio.judge(150, order === "causal" ? CAUSAL : FIFO);
    } finally {
      await trio.close();
    }
  });
}

for (const engine of ["sequencer", "lamport"] as const) {
  test(`all members deliver in one order (${engine}) when a fifth of the packets is lost`, async () => {
    let seed = 0;
    const trio = new Trio({ order: "total", engine });
    try {
      await trio.open((transport) => lossy(transport, FAULTS, { seed: ++seed }));
      await trio.talk(150, (random) => random.uint32() % 3000);
      trio.judge(150, TOTAL);
      const [first, ...others] = trio.delivered;
      for (const ids of others) assert.equal(ids, first);
    } finally {
      await trio.close();
    }
  });
}

test("a group under fire, by noise and by its own datagrams cut, altered and repeated, loses nothing", async () => {
  const trio = new Trio({ order: "causal" });
  const listener = await raw(GROUP);
  const attacker = await raw();
  const random = new Random(5);
  let over = false;
  try {
    await trio.open((transport) => transport);
    const fire = (async (): Promise<number> => {
      let shots = 0;
      while (!over || shots < 3000) {
        const caught = listener.got[random.uint32() % Math.max(1, listener.got.length)]?.bytes;
        if (listener.got.length > 500) listener.got.splice(0, 250);
        let bytes = Uint8Array.from({ length: random.uint32() % 1400 }, () => random.uint32() & 255);
        if (caught !== undefined && shots % 4 !== 0) {
          bytes = caught.slice(0, shots % 4 === 1 ? random.uint32() % caught.length : caught.length);
          if (shots % 4 === 2) bytes[random.uint32() % bytes.length] ^= 1 << (random.uint32() & 7);
        }
        const target = random.uint32() % 4;
        await attacker.send(bytes, target === 3 ? GROUP : trio.endpoints[target]);
        shots++;
      }
      return shots;
    })();
    await trio.talk(200, (random) => random.uint32() % 5000);
    over = true;
    assert.ok(await fire >= 3000);
    trio.judge(200, CAUSAL);
    for (const group of trio.groups) {
      const { transport, malformed } = group.stats();
      assert.ok(transport.foreignDatagrams + transport.unknownSenders + transport.ownDatagrams > 100);
      assert.is(malformed, 0, "what came from elsewhere reached the group");
      assert.is(transport.losses, 0, "a peer was lost");
    }
    const reports = await Promise.all(trio.groups.map((group) => group.close()));
    for (const { unconfirmed } of reports) assert.is(unconfirmed, 0);
  } finally {
    over = true;
    await trio.close();
  }
});

test.run();

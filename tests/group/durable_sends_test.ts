/** What leaves a durable member is on its disk before, whenever the application sends it. */
import * as assert from "uvu/assert";
import { type Group, type LogBatch, memoryStore, type Store } from "@tutti/tutti";
import { memory, MemoryNetwork } from "@tutti/tutti/memory";
import { PacketReader } from "../../core/wire/packet_reader.ts";
import { ENTRY_FIXED_BYTES } from "../../core/group/transfer.ts";
import { groupSuite, member, until } from "./members.ts";

const test = groupSuite("group/durable_sends");
const NAMES = ["P1", "P2", "P3"];
const BYTES = 1000;
const DISK_MS = 3;

/** A store that takes its time, and a network that is asked whether what is sent through it is in that store. */
class Observed {
  readonly early: string[] = [];
  group: Group | undefined = undefined;
  #logged = 0;
  readonly #reader = new PacketReader();

  store(): Store {
    const inner = memoryStore();
    return {
      load: () => inner.load(),
      write: async (write) => {
        const copy = structuredClone(write);
        await new Promise((written) => setTimeout(written, DISK_MS));
        await inner.write(copy);
        for (const batch of copy.log ?? []) this.#note(batch);
      },
    };
  }

  sent(packet: Uint8Array): void {
    const last = this.#lastOf(packet);
    if (last > this.#logged) this.early.push(`message ${last}, on disk through ${this.#logged}`);
  }

  #note({ bytes }: LogBatch): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.length;) {
      const end = at + ENTRY_FIXED_BYTES + view.getUint32(at + 4);
      this.#logged = Math.max(this.#logged, this.#lastOf(bytes.slice(at + ENTRY_FIXED_BYTES, end)));
      at = end;
    }
  }

  /** The last own message in a packet; 0 if there is none. */
  #lastOf(packet: Uint8Array): number {
    if (this.#reader.open(packet.slice()) !== "") return 0;
    return this.#reader.incarnation === this.group?.incarnation ? this.#reader.dataLast : 0;
  }
}

async function durable(
  onMessage: (group: Group, value: unknown) => void,
): Promise<{ groups: Group[]; p1: Observed }> {
  const network = new MemoryNetwork();
  const p1 = new Observed();
  const groups = await Promise.all(NAMES.map((name) => {
    const transport = memory(name, network);
    if (name === "P1") {
      const multicast = transport.multicast.bind(transport);
      transport.multicast = (packet) => {
        p1.sent(packet);
        return multicast(packet);
      };
    }
    return member(name, NAMES, {
      network,
      transport,
      order: "total",
      level: "durable",
      store: name === "P1" ? p1.store() : memoryStore(),
      onMessages: (messages) => {
        if (name !== "P1" || p1.group === undefined) return;
        for (const { value } of messages) onMessage(p1.group, value);
      },
    });
  }));
  p1.group = groups[0];
  await Promise.all(groups.map((group) => group.ready({ members: NAMES.length })));
  return { groups, p1 };
}

test("packets that are full before the turn ends, of what is sent when a message is delivered", async () => {
  let delivered = 0;
  const { groups, p1 } = await durable((group, value) => {
    if (value !== "go") return void delivered++;
    for (let count = 0; count < 300; count++) group.offer(new Uint8Array(BYTES));
  });
  groups[1].offer("go");
  await until("all were delivered", () => delivered === 300);
  assert.equal(p1.early, []);
});

test("packets that are full before the turn ends, of what has waited for room", async () => {
  let delivered = 0;
  const { groups, p1 } = await durable(() => void delivered++);
  const sends = Array.from({ length: 14_000 }, () => groups[0].send(new Uint8Array(BYTES)));
  await Promise.all(sends);
  await until("all were delivered", () => delivered === sends.length);
  assert.equal(p1.early, []);
});

test.run();

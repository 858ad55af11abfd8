/** What every store must do: what was written is there again, whole, and nothing else. */
import type { LogBatch, Store, Stored, StoredSnapshot, StoreWrite } from "../../runtime/store.ts";
import { Random } from "../../base/random.ts";
import { check } from "./probe.ts";
import type { ConformanceCase } from "./types.ts";

/** A place for one store, for example a path. */
export interface StorePlace {
  /** A store that keeps things there. The suite closes it before it opens the next one, as a process that is started again. */
  open(): Store;
  /** Removes what is there. Called at the end of a case. */
  remove?(): void | PromiseLike<void>;
}

/**
 * How the suite makes stores.
 *
 * @example
 * ```ts
 * import { memoryStore } from "@tutti/tutti";
 * import { type StoreHarness, storeConformance } from "@tutti/tutti/testing";
 *
 * const harness: StoreHarness = {
 *   name: "memory",
 *   create: () => {
 *     const store = memoryStore();
 *     return { open: () => store };
 *   },
 * };
 * for (const { run } of storeConformance(harness)) await run();
 * ```
 */
export interface StoreHarness {
  /** The first word of every case's name. */
  readonly name: string;
  /** A place at which nothing was ever written. */
  create(): StorePlace | PromiseLike<StorePlace>;
}

type StoreCase = readonly [name: string, body: (bench: StoreBench) => Promise<void>];

/**
 * The cases that a store must pass. What it does when files are damaged, disks are full or processes are killed depends on where it
 * keeps things, so that is for its own tests.
 *
 * @param harness Makes stores.
 * @returns Independent cases, to be run one after the other by any test runner.
 */
export function storeConformance(harness: StoreHarness): ConformanceCase[] {
  return cases.map(([name, body]) => ({
    name: `${harness.name}: ${name}`,
    run: async (): Promise<void> => {
      const place = await harness.create();
      const bench = new StoreBench(place);
      try {
        await body(bench);
      } finally {
        await bench.close();
        await place.remove?.();
      }
    },
  }));
}

/** A store, and what it must hold. */
class StoreBench {
  readonly #place: StorePlace;
  readonly #random = new Random(20);
  #store: Store | undefined;
  #isEmpty = true;
  #record: Uint8Array | undefined;
  #snapshot: StoredSnapshot | undefined;
  /** All batches ever written, in order. */
  readonly #batches: LogBatch[] = [];

  constructor(place: StorePlace) {
    this.#place = place;
  }

  /** Bytes that are like no others. */
  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.#random.int(0, 255));
  }

  /** The next batch of a log. */
  batch(first: number, last: number, length: number): LogBatch {
    return { first, last, bytes: this.bytes(length) };
  }

  /** Writes, and spoils the bytes as soon as the call has returned. */
  async write(write: StoreWrite): Promise<void> {
    const store = await this.#open();
    this.#isEmpty = Object.keys(write).length === 0 && this.#isEmpty;
    if (write.record !== undefined) this.#record = copy(write.record);
    if (write.snapshot !== undefined) {
      this.#snapshot = { ...write.snapshot, bytes: copy(write.snapshot.bytes) };
    }
    for (const batch of write.log ?? []) this.#batches.push({ ...batch, bytes: copy(batch.bytes) });
    const done = store.write(write);
    write.record?.fill(0xaa);
    write.snapshot?.bytes.fill(0xaa);
    for (const { bytes } of write.log ?? []) bytes.fill(0xaa);
    await done;
  }

  /** Closes it, opens it again, and checks that it holds what was written; spoils what it gave. */
  async reopen(): Promise<void> {
    await this.close();
    this.#store = this.#place.open();
    const stored = await this.#store.load();
    if (this.#isEmpty) return check(stored === undefined, "something is stored, and nothing was written");
    check(stored !== undefined, "nothing is stored");
    check(same(stored.record, this.#record), "the record is not the one that was written last");
    check(stored.snapshot?.through === this.#snapshot?.through, "the snapshot goes through another entry");
    check(
      same(stored.snapshot?.bytes, this.#snapshot?.bytes),
      "the snapshot is not the one that was written last",
    );
    this.#checkLog(stored.log);
    spoil(stored);
  }

  async close(): Promise<void> {
    const store = this.#store;
    this.#store = undefined;
    await store?.close?.();
  }

  async #open(): Promise<Store> {
    if (this.#store === undefined) await this.reopen();
    return this.#store as Store;
  }

  /** Batches may have been put together, so that more of them is left than needed; what is there must be what was written. */
  #checkLog(log: readonly LogBatch[]): void {
    const through = this.#snapshot?.through ?? -Infinity;
    const needed = this.#batches.filter(({ last }) => last > through);
    if (log.length === 0) return check(needed.length === 0, `the log lacks ${needed.length} batches`);
    const from = this.#batches.findIndex(({ first }) => first === log[0].first);
    const kept = this.#batches.slice(from);
    check(from >= 0, `the log begins with entry ${log[0].first}, with which no batch began`);
    check(kept.length >= needed.length, `the log lacks the entries from ${needed[0]?.first} on`);
    check(log[log.length - 1].last > through, "the snapshot covers batches that are still in the log");
    for (let index = 0; index < log.length; index++) {
      const { first, last } = log[index];
      check(first <= last, `a batch goes from entry ${first} to ${last}`);
      check(
        index === 0 || first === log[index - 1].last + 1,
        `entries before ${first} are missing or repeated`,
      );
    }
    check(
      log[log.length - 1].last === kept[kept.length - 1].last,
      "the log does not end with the last entry",
    );
    check(same(joined(log), joined(kept)), "the log does not hold what was written");
  }
}

const cases: readonly StoreCase[] = [
  ["nothing is there when nothing was written, however often it is opened", async (bench) => {
    for (let round = 0; round < 3; round++) await bench.reopen();
  }],
  ["a write of nothing is no write", async (bench) => {
    await bench.write({});
    await bench.reopen();
  }],
  ["a record is there again, and replaces the one before", async (bench) => {
    for (const length of [300, 0, 1, 70_000, 20]) {
      await bench.write({ record: bench.bytes(length) });
      await bench.write({ record: bench.bytes(length) });
      await bench.reopen();
    }
  }],
  ["a log is there again in order, when it was written in one piece", async (bench) => {
    await bench.write({ log: [bench.batch(1, 3, 50), bench.batch(4, 4, 0), bench.batch(5, 900, 20_000)] });
    await bench.reopen();
  }],
  ["a log is there again in order, when it grows over many writes and openings", async (bench) => {
    let next = 1;
    for (let round = 0; round < 5; round++) {
      for (let count = 0; count < 40; count++) {
        const last = next + (count % 4);
        await bench.write({ log: [bench.batch(next, last, (count * 37) % 3000)] });
        next = last + 1;
      }
      await bench.reopen();
    }
  }],
  ["a log may begin with any number, up to the largest", async (bench) => {
    await bench.write({ log: [bench.batch(Number.MAX_SAFE_INTEGER - 9, Number.MAX_SAFE_INTEGER - 5, 10)] });
    await bench.write({ log: [bench.batch(Number.MAX_SAFE_INTEGER - 4, Number.MAX_SAFE_INTEGER, 10)] });
    await bench.reopen();
  }],
  ["a log may begin with 0", async (bench) => {
    await bench.write({ log: [bench.batch(0, 0, 10)] });
    await bench.write({ log: [bench.batch(1, 1, 10)] });
    await bench.reopen();
    await bench.write({ snapshot: { through: 0, bytes: bench.bytes(5) } });
    await bench.reopen();
  }],
  ["a snapshot is there again, and replaces the one before", async (bench) => {
    for (const [round, length] of [20_000, 0, 1, 3_000_000, 100].entries()) {
      await bench.write({ snapshot: { through: 10 * round, bytes: bench.bytes(length) } });
      await bench.reopen();
    }
  }],
  ["a snapshot takes the place of the batches that it covers, and of no others", async (bench) => {
    for (let first = 1; first <= 91; first += 10) {
      await bench.write({ log: [bench.batch(first, first + 9, 700)] });
    }
    for (const through of [0, 9, 10, 35, 49, 50, 89]) {
      await bench.write({ snapshot: { through, bytes: bench.bytes(90) } });
      await bench.reopen();
    }
    await bench.write({ log: [bench.batch(101, 120, 700)] });
    await bench.reopen();
    await bench.write({ snapshot: { through: 120, bytes: bench.bytes(90) } });
    await bench.reopen();
    await bench.write({ log: [bench.batch(121, 121, 700)] });
    await bench.reopen();
  }],
  ["a snapshot from beyond the log leaves none, and the log goes on behind it", async (bench) => {
    await bench.write({ log: [bench.batch(1, 10, 100)] });
    await bench.write({ snapshot: { through: 500, bytes: bench.bytes(100) } });
    await bench.reopen();
    await bench.write({ log: [bench.batch(501, 510, 100)] });
    await bench.reopen();
  }],
  ["record, log and snapshot are all there when they were written at once", async (bench) => {
    await bench.write({
      record: bench.bytes(200),
      log: [bench.batch(1, 5, 500), bench.batch(6, 9, 500)],
      snapshot: { through: 5, bytes: bench.bytes(400) },
    });
    await bench.reopen();
    await bench.write({
      record: bench.bytes(200),
      log: [bench.batch(10, 20, 500)],
      snapshot: { through: 20, bytes: bench.bytes(400) },
    });
    await bench.reopen();
  }],
  ["one part stays as it is when another one is written", async (bench) => {
    await bench.write({ record: bench.bytes(200) });
    await bench.reopen();
    await bench.write({ snapshot: { through: 5, bytes: bench.bytes(400) } });
    await bench.reopen();
    await bench.write({ log: [bench.batch(6, 9, 500)] });
    await bench.reopen();
    await bench.write({ record: bench.bytes(210) });
    await bench.reopen();
  }],
  ["bytes are taken as they are when they are a part of something larger", async (bench) => {
    const large = new Part(bench.bytes(1000));
    const part = (from: number): Uint8Array => large.subarray(from, from + 100);
    await bench.write({
      record: part(0),
      log: [{ first: 1, last: 1, bytes: part(300) }],
      snapshot: { through: 0, bytes: part(600) },
    });
    await bench.reopen();
  }],
];

/** Bytes whose `slice` shares memory, as that of a Node `Buffer` does. */
class Part extends Uint8Array {
  override slice(start?: number, end?: number): Uint8Array<ArrayBuffer> {
    return this.subarray(start, end) as Uint8Array<ArrayBuffer>;
  }
}

function copy(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

function joined(batches: readonly LogBatch[]): Uint8Array {
  return Uint8Array.from(batches.flatMap(({ bytes }) => [...bytes]));
}

function same(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** What was given belongs to the caller: a store that gave what it holds will be found out by the next opening. */
function spoil({ record, snapshot, log }: Stored): void {
  record?.fill(0x55);
  snapshot?.bytes.fill(0x55);
  for (const { bytes } of log) bytes.fill(0x55);
}

/** The memory network: the shared conformance suite without faults, and what only this network can do . */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { TuttiError } from "../../core/base/errors.ts";
import type { Address } from "../../core/base/ids.ts";
import type { Transport } from "../../core/runtime/transport.ts";
import { transportConformance } from "../../core/testing/conformance/mod.ts";
import { lossy } from "../../core/testing/lossy_transport.ts";
import {
  type LinkFaults,
  memory,
  MemoryNetwork,
  type MemoryNetworkOptions,
  realScheduler,
  VirtualScheduler,
} from "../../transports/memory/mod.ts";

const test = suite("transports/memory");

// ---- the shared suite, in real time ----

const configurations: readonly (readonly [name: string, options: MemoryNetworkOptions, wrap?: LinkFaults])[] =
  [
    ["memory", {}],
    ["memory with delays", { faults: { delayMs: [0, 3] }, reachableDelayMs: 2 }],
    ["memory with backpressure", { queuePacketsMax: 256 }],
    ["memory with a small packet limit", { packetBytesMax: 2048 }],
    ["memory in the lossy wrapper", {}, { delayMs: [0, 3] }],
  ];

configurations.forEach(([name, options, wrap], configuration) => {
  const network = new MemoryNetwork(options);
  let next = 0;
  const make = (address: Address): { transport: Transport; address: Address } => {
    const transport = network.transport(address);
    return { transport: wrap === undefined ? transport : lossy(transport, wrap), address };
  };
  const cases = transportConformance({
    name,
    create: () => Promise.resolve(make(`memory:c${configuration}-${++next}` as Address)),
    recreate: (address) => Promise.resolve(make(address)),
    addresses: {
      same: [["memory:P1", "memory:P1"]],
      malformed: [
        "memory:",
        "P1",
        "tcp://127.0.0.1:1",
        "Memory:P1",
        `memory:${"x".repeat(65)}`,
        "memory:\ud800",
      ],
      unused: "memory:nobody",
    },
  });
  for (const { name: caseName, run } of cases) test(caseName, run);
});

// ---- virtual time: what the faults do ----

interface Recorder {
  readonly transport: Transport;
  readonly address: Address;
  readonly packets: number[];
  readonly times: number[];
  readonly changes: string[];
  drains: number;
}

/** A network on virtual time whose members are all connected. */
class Bench {
  readonly scheduler: VirtualScheduler = new VirtualScheduler();
  readonly network: MemoryNetwork;

  constructor(options: MemoryNetworkOptions = {}) {
    this.network = new MemoryNetwork({ scheduler: this.scheduler, ...options });
  }

  open(name: string): Recorder {
    const transport = this.network.transport(`memory:${name}`);
    const address = `memory:${name}` as Address;
    const recorder: Recorder = { transport, address, packets: [], times: [], changes: [], drains: 0 };
    void transport.open({
      packet: (bytes) => {
        recorder.packets.push(bytes[0]);
        recorder.times.push(this.scheduler.now());
      },
      drain: () => recorder.drains++,
      reachable: (peer, up) => recorder.changes.push(`${peer} ${up}`),
    });
    return recorder;
  }

  mesh(...names: string[]): Recorder[] {
    const members = names.map((name) => this.open(name));
    for (const a of members) for (const b of members) a.transport.connect(b.address);
    this.run(100);
    return members;
  }

  run(ms: number): void {
    this.scheduler.runUntil(this.scheduler.now() + ms);
  }
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const packet = (number: number): Uint8Array => new Uint8Array([number]);

test("a link keeps the order when delays and spikes are random", () => {
  const bench = new Bench({ faults: { delayMs: [0, 30], spikeRate: 0.1, spikeMs: 500 }, seed: 5 });
  const [a, b] = bench.mesh("a", "b");
  for (const number of numbers(100)) {
    a.transport.multicast(packet(number));
    bench.run(1);
  }
  bench.run(10_000);
  assert.equal(b.packets, numbers(100));
});

test("a link breaks the order only when reorder faults are on", () => {
  const bench = new Bench({ faults: { reorderRate: 0.2, reorderDelayMs: 20 } });
  const [a, b] = bench.mesh("a", "b");
  for (const number of numbers(100)) {
    a.transport.multicast(packet(number));
    bench.run(1);
  }
  bench.run(100);
  assert.not.equal(b.packets, numbers(100));
  assert.equal(b.packets.toSorted((x, y) => x - y), numbers(100));
  assert.ok(bench.network.stats().reordered > 5);
});

test("loss and duplication come at their rates", () => {
  const bench = new Bench({ faults: { lossRate: 0.3, duplicateRate: 0.5 } });
  const [a, b] = bench.mesh("a", "b");
  for (let count = 0; count < 10_000; count++) a.transport.multicast(packet(1));
  bench.run(100);
  assert.ok(Math.abs(b.packets.length - 10_500) < 400, `${b.packets.length} arrived`);
});

test("one seed gives one run, byte for byte, and another seed another", () => {
  const run = (seed: number): string => {
    const bench = new Bench({
      seed,
      faults: { delayMs: [1, 9], lossRate: 0.1, duplicateRate: 0.2, reorderRate: 0.2, reorderDelayMs: 9 },
    });
    const members = bench.mesh("a", "b", "c");
    for (const number of numbers(200)) {
      members[number % 3].transport.multicast(packet(number));
      bench.run(1);
    }
    bench.run(100);
    return JSON.stringify(members.map(({ packets, times }) => [packets, times]));
  };
  assert.is(run(7), run(7));
  assert.is.not(run(7), run(8));
});

test("packets share no memory with their sender or among receivers", () => {
  const bench = new Bench();
  const received: Uint8Array[] = [];
  const [a] = bench.mesh("a");
  for (const name of ["b", "c"]) {
    const transport = bench.network.transport(`memory:${name}`);
    void transport.open({ packet: (bytes) => received.push(bytes), drain: () => {}, reachable: () => {} });
    transport.connect(a.address);
    a.transport.connect(`memory:${name}` as Address);
  }
  bench.run(100);
  const bytes = packet(1);
  a.transport.multicast(bytes);
  bytes[0] = 2;
  bench.run(100);
  received[0][0] = 3;
  assert.equal([received.length, received[1][0]], [2, 1]);
  assert.is.not(received[0].buffer, received[1].buffer);
});

test("bandwidth spreads packets over time", () => {
  const bench = new Bench({ faults: { bytesPerMs: 10 } });
  const [a, b] = bench.mesh("a", "b");
  const start = bench.scheduler.now();
  for (let count = 0; count < 3; count++) a.transport.multicast(new Uint8Array(50));
  bench.run(100);
  assert.equal(b.times.map((time) => time - start), [5, 10, 15]);
});

test("a link's own faults replace those of the network in one direction", () => {
  const bench = new Bench();
  const [a, b] = bench.mesh("a", "b");
  bench.network.setLinkFaults("memory:a", "memory:b", { lossRate: 1 });
  a.transport.multicast(packet(1));
  b.transport.multicast(packet(2));
  bench.run(10);
  assert.equal([a.packets, b.packets], [[2], []]);
  bench.network.setLinkFaults("memory:a", "memory:b", undefined);
  a.transport.multicast(packet(3));
  bench.run(10);
  assert.equal(b.packets, [3]);
});

test("a clogged link delivers in order and before later packets when it is unclogged", () => {
  const bench = new Bench();
  const [a, b] = bench.mesh("a", "b");
  bench.network.clog("memory:a", "memory:b");
  for (const number of numbers(5)) a.transport.multicast(packet(number));
  bench.run(100);
  assert.equal(b.packets, []);
  bench.network.unclog("memory:a", "memory:b");
  a.transport.multicast(packet(5));
  bench.run(1);
  assert.equal(b.packets, numbers(6));
  assert.equal(b.changes, ["memory:a true"]);
});

test("a clogged link drops the oldest packets one past its limit and counts them", () => {
  const bench = new Bench({ heldPacketsMax: 3 });
  const [a, b] = bench.mesh("a", "b");
  bench.network.clog("memory:a", "memory:b");
  for (const number of numbers(3)) a.transport.multicast(packet(number));
  bench.run(1);
  assert.is(bench.network.stats().clogDropped, 0);
  a.transport.multicast(packet(3));
  bench.run(1);
  bench.network.unclog("memory:a", "memory:b");
  bench.run(1);
  assert.equal([b.packets, bench.network.stats().clogDropped], [[1, 2, 3], 1]);
});

test("a partition loses packets both ways, also those on their way, and tells nobody", () => {
  const bench = new Bench({ faults: { delayMs: [10, 10] } });
  const [a, b, c] = bench.mesh("a", "b", "c");
  a.transport.multicast(packet(1));
  bench.network.partition(["memory:a"], ["memory:b"]);
  b.transport.multicast(packet(2));
  bench.run(100);
  assert.equal([a.packets, b.packets, c.packets], [[], [], [1, 2]]);
  assert.equal(a.changes.length + b.changes.length, 4);
  bench.network.heal();
  a.transport.multicast(packet(3));
  bench.run(100);
  assert.equal(b.packets, [3]);
});

test("a blocked link loses packets in one direction only", () => {
  const bench = new Bench();
  const [a, b] = bench.mesh("a", "b");
  bench.network.block("memory:a", "memory:b");
  a.transport.multicast(packet(1));
  b.transport.multicast(packet(2));
  bench.run(10);
  assert.equal([a.packets, b.packets], [[2], []]);
});

test("a crashed member's packets arrive, those to it are lost, and its handler hears nothing", () => {
  const bench = new Bench({ faults: { delayMs: [10, 10] } });
  const [a, b] = bench.mesh("a", "b");
  a.transport.multicast(packet(1));
  b.transport.multicast(packet(2));
  bench.network.crash("memory:a");
  bench.run(100);
  assert.equal([a.packets, b.packets], [[], [1]]);
  assert.equal(a.changes, ["memory:b true"]);
  assert.equal(b.changes, ["memory:a true", "memory:a false"]);
  assert.is(a.transport.multicast(packet(3)), "unreachable");
  assert.is(b.transport.unicast(a.address, packet(3)), "unreachable");
});

test("a restarted member gets nothing that was meant for its former life", () => {
  const bench = new Bench({ faults: { delayMs: [50, 50] }, reachableDelayMs: 1 });
  const [a, b] = bench.mesh("a", "b");
  b.transport.multicast(packet(1));
  bench.network.crash("memory:a");
  const again = bench.open("a");
  again.transport.connect(b.address);
  bench.run(10);
  b.transport.multicast(packet(2));
  bench.run(100);
  assert.equal([a.packets, again.packets], [[], [2]]);
  assert.equal(b.changes, ["memory:a true", "memory:a false", "memory:a true"]);
});

test("a paused member gets everything in order when it is resumed", () => {
  const bench = new Bench();
  const [a, b, c] = bench.mesh("a", "b", "c");
  bench.network.pause("memory:b");
  for (const number of numbers(5)) a.transport.multicast(packet(number));
  bench.network.crash("memory:c");
  bench.run(100);
  assert.equal([b.packets.length, b.changes.length, c.packets.length], [0, 2, 0]);
  bench.network.resume("memory:b");
  a.transport.multicast(packet(5));
  bench.run(1);
  assert.equal([b.packets, b.changes.at(-1)], [numbers(6), "memory:c false"]);
});

test("a paused member loses packets one past the limit, and they are counted", () => {
  const bench = new Bench({ heldPacketsMax: 2 });
  const [a, b] = bench.mesh("a", "b");
  bench.network.pause("memory:b");
  for (const number of numbers(3)) a.transport.multicast(packet(number));
  bench.run(10);
  bench.network.resume("memory:b");
  bench.run(10);
  assert.equal([b.packets, bench.network.stats().pauseDropped], [[0, 1], 1]);
});

test("a send is full one past the queue's limit, and drain follows when there is room", () => {
  const bench = new Bench({ queuePacketsMax: 2, faults: { delayMs: [5, 5] } });
  const [a, b, c] = bench.mesh("a", "b", "c");
  const send = (number: number): string => a.transport.multicast(packet(number));
  assert.equal([send(0), send(1), send(2), a.drains], ["sent", "sent", "full", 0]);
  bench.run(10);
  assert.ok(a.drains >= 1);
  assert.is(send(3), "sent");
  bench.run(10);
  assert.equal([b.packets, c.packets], [[0, 1, 3], [0, 1, 3]]);
});

test("drain follows a full when the slow peer crashes or is disconnected", () => {
  const crash = (bench: Bench): void => bench.network.crash("memory:b");
  const disconnect = (_bench: Bench, a: Recorder, b: Recorder): void => a.transport.disconnect(b.address);
  for (const end of [crash, disconnect]) {
    const bench = new Bench({ queuePacketsMax: 1 });
    const [a, b] = bench.mesh("a", "b");
    bench.network.clog("memory:a", "memory:b");
    a.transport.multicast(packet(0));
    assert.is(a.transport.multicast(packet(1)), "full");
    bench.run(10);
    assert.is(a.drains, 0);
    end(bench, a, b);
    bench.run(10);
    assert.is(a.drains, 1);
  }
});

test("a packet one byte past the limit is dropped and counted", () => {
  const bench = new Bench({ packetBytesMax: 4 });
  const [a, b] = bench.mesh("a", "b");
  assert.is(a.transport.multicast(new Uint8Array(4)), "sent");
  assert.is(a.transport.multicast(new Uint8Array(5)), "unreachable");
  assert.is(a.transport.unicast(b.address, new Uint8Array(5)), "unreachable");
  bench.run(10);
  assert.equal([b.packets.length, a.transport.stats().oversize], [1, 2]);
});

test("calm ends every fault", () => {
  const bench = new Bench({ faults: { lossRate: 1 } });
  const [a, b] = bench.mesh("a", "b");
  bench.network.partition([a.address], [b.address]);
  bench.network.clog(a.address, b.address);
  bench.network.setLinkFaults(a.address, b.address, { lossRate: 1 });
  bench.network.pause(b.address);
  bench.network.calm();
  a.transport.multicast(packet(1));
  bench.run(1);
  assert.equal(b.packets, [1]);
});

test("a fault out of range is refused", () => {
  const wrong: LinkFaults[] = [{ lossRate: 1.1 }, { lossRate: NaN }, { delayMs: [2, 1] }, { spikeMs: -1 }, {
    bytesPerMs: 0,
  }];
  for (const faults of wrong) {
    assert.throws(
      () => new MemoryNetwork({ faults }),
      (error: unknown) => error instanceof TuttiError && error.code === "InvalidArgument",
    );
  }
});

test("memory() gives members of one network of the process", async () => {
  const [a, b] = [memory("process-a"), memory("process-b")];
  const arrived = new Promise<number>((resolve) => {
    const deaf = { packet: (): void => {}, drain: (): void => {} };
    void a.open({ ...deaf, reachable: (peer) => a.unicast(peer, packet(9)) });
    void b.open({ ...deaf, packet: (bytes) => resolve(bytes[0]), reachable: () => {} });
  });
  a.connect("memory:process-b" as Address);
  b.connect("memory:process-a" as Address);
  assert.is(await arrived, 9);
  await Promise.all([a.close(0), b.close(0)]);
});

test("what a handler throws reaches onHandlerError, and the network goes on", () => {
  const errors: unknown[] = [];
  const bench = new Bench({ onHandlerError: (error) => errors.push(error) });
  const [a, b] = bench.mesh("a", "b");
  b.packets.push = () => {
    throw new Error("no");
  };
  a.transport.multicast(packet(1));
  a.transport.multicast(packet(2));
  bench.run(10);
  assert.equal([errors.length, b.transport.stats().handlerErrors], [2, 2]);
});

// ---- the schedulers ----

test("a virtual scheduler runs callbacks by time, then in the order of the calls, and not cancelled ones", () => {
  const scheduler = new VirtualScheduler();
  const ran: number[] = [];
  const cancels = [5, 3, 5, 1, 3].map((time, index) => scheduler.at(time, () => ran.push(index)));
  cancels[2]();
  cancels[2]();
  scheduler.at(2, () => scheduler.at(0, () => ran.push(9)));
  assert.is(scheduler.runUntil(3), 5);
  assert.equal([ran, scheduler.now(), scheduler.nextTime()], [[3, 9, 1, 4], 3, 5]);
  assert.ok(scheduler.step());
  assert.not.ok(scheduler.step());
  assert.equal([ran.at(-1), scheduler.now()], [0, 5]);
});

test("a virtual scheduler keeps the order of ten thousand callbacks with a third cancelled", () => {
  const scheduler = new VirtualScheduler();
  const ran: number[] = [];
  let expected = 0;
  for (let index = 0; index < 10_000; index++) {
    const time = (index * 7919) % 1009;
    const cancel = scheduler.at(time, () => ran.push(time * 10_000 + index));
    if (index % 3 === 0) cancel();
    else expected++;
  }
  scheduler.runUntil(2000);
  assert.is(ran.length, expected);
  assert.equal(ran, ran.toSorted((x, y) => x - y));
});

test("a virtual scheduler refuses to be moved by its own callbacks", () => {
  const scheduler = new VirtualScheduler();
  scheduler.at(1, () => scheduler.step());
  assert.throws(() => scheduler.runUntil(2), /Invariant|bug/);
});

test("the real scheduler keeps the order of times less than a millisecond apart", async () => {
  const scheduler = realScheduler();
  const ran: number[] = [];
  const start = scheduler.now() + 5;
  await new Promise<void>((resolve) => {
    for (const part of [9, 3, 7, 1, 5]) scheduler.at(start + part / 10, () => ran.push(part));
    scheduler.at(start + 3, resolve);
    scheduler.at(start + 2, () => ran.push(99))();
  });
  assert.equal(ran, [1, 3, 5, 7, 9]);
});

// ---- the lossy wrapper ----

test("a lossy transport loses, repeats and reorders what it receives", async () => {
  const scheduler = new VirtualScheduler();
  const network = new MemoryNetwork({ scheduler });
  const received: number[] = [];
  const deaf = { packet: (): void => {}, drain: (): void => {}, reachable: (): void => {} };
  const a = network.transport("memory:a");
  const b = lossy(
    network.transport("memory:b"),
    { lossRate: 0.1, duplicateRate: 0.1, reorderRate: 0.2, reorderDelayMs: 10, delayMs: [0, 2] },
    { scheduler, seed: 3 },
  );
  await a.open(deaf);
  await b.open({ ...deaf, packet: (bytes) => received.push(bytes[0]) });
  a.connect("memory:b" as Address);
  b.connect("memory:a" as Address);
  scheduler.runUntil(50);
  for (const number of numbers(250)) {
    a.multicast(packet(number));
    scheduler.runUntil(scheduler.now() + 1);
  }
  scheduler.runUntil(scheduler.now() + 100);
  const { faultLost, faultDuplicated, faultReordered } = b.stats();
  assert.ok(faultLost > 5 && faultDuplicated > 5 && faultReordered > 5);
  assert.is(received.length, 250 - faultLost + faultDuplicated);
  assert.not.equal(received, received.toSorted((x, y) => x - y));
  assert.equal([b.traits.lossy, b.traits.name], [true, "lossy(memory)"]);
  a.multicast(packet(1));
  await b.close(0);
  const count = received.length;
  scheduler.runUntil(scheduler.now() + 100);
  assert.is(received.length, count);
});

test.run();

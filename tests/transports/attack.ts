/** A group that carries traffic while somebody attacks it, and what must hold afterwards. */
import * as assert from "uvu/assert";
import process from "node:process";
import { Context, Dealer } from "zeromq";
import { Random } from "../../core/base/random.ts";
import type { WarningEvent } from "../../core/group/events.ts";
import type { Group } from "../../core/runtime/group.ts";
import { join } from "../../core/runtime/join.ts";
import type { Receipt } from "../../core/runtime/receipt.ts";
import type { TraceLine } from "../../core/runtime/trace.ts";
import type { Transport, TransportHandler } from "../../core/runtime/transport.ts";
import { checkTrace } from "../../core/testing/checkers/mod.ts";
import { Kind } from "../../core/wire/message.ts";
import { PacketReader } from "../../core/wire/packet_reader.ts";
import { zeromq } from "../../transports/zeromq/mod.ts";
import { freePort } from "./free_endpoints.ts";

const BLOCKED_MS_MAX = 50;
const SILENCE_MS = 1500;

/** A member of the group under attack. */
export interface Member {
  readonly name: string;
  readonly group: Group;
  readonly ports: readonly [router: number, publisher: number];
  readonly delivered: string[];
  readonly warnings: WarningEvent[];
}

/** The group under attack. */
export interface Target {
  readonly members: readonly Member[];
  /** The member that most attacks are aimed at. */
  readonly victim: Member;
  /** Real packets with one message each, by kind, as the victim got them. */
  readonly samples: ReadonlyMap<number, Uint8Array>;
  readonly random: Random;
  /** Frames to the victim's ROUTER, each one message. */
  throwAt(messages: Iterable<Uint8Array | Uint8Array[]>): Promise<number>;
  /** Waits for a condition. */
  until(condition: () => boolean, text: string | (() => string)): Promise<void>;
}

function turn(milliseconds = 0): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

async function until(condition: () => boolean, text: string | (() => string)): Promise<void> {
  const end = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(typeof text === "string" ? text : text());
    await turn(2);
  }
}

/**
 * The longest time that the library kept the event loop: from a call of the handler to the end of the turn that it brings
 * about. The lesser of wall time and of CPU time of the process, so that a busy machine is not the library's fault.
 */
class Stopwatch {
  slowestMs = 0;
  #running = false;

  time(call: () => void): void {
    if (this.#running) return call();
    this.#running = true;
    const cpu = process.cpuUsage();
    const started = performance.now();
    call();
    queueMicrotask(() => {
      this.#running = false;
      const wallMs = performance.now() - started;
      if (wallMs <= this.slowestMs) return;
      const { user, system } = process.cpuUsage(cpu);
      this.slowestMs = Math.max(this.slowestMs, Math.min(wallMs, (user + system) / 1000));
    });
  }
}

/** A transport whose handler is timed, and whose packets are looked at. */
function watched(
  inner: Transport,
  stopwatch: Stopwatch,
  samples: Map<number, Uint8Array> | undefined,
): Transport {
  const reader = new PacketReader();
  const sample = (bytes: Uint8Array): void => {
    if (samples === undefined || bytes.length > 2000 || reader.open(bytes) !== "" || !reader.next()) return;
    if (reader.bodyEnd === bytes.length && !samples.has(reader.kind)) samples.set(reader.kind, bytes.slice());
  };
  return {
    traits: inner.traits,
    open: (handler: TransportHandler) =>
      inner.open({
        packet: (bytes) => {
          sample(bytes);
          stopwatch.time(() => handler.packet(bytes));
        },
        drain: () => stopwatch.time(() => handler.drain()),
        reachable: (peer, up) => stopwatch.time(() => handler.reachable(peer, up)),
        stranger: (peer) => stopwatch.time(() => handler.stranger?.(peer)),
      }),
    canonical: (address) => inner.canonical(address),
    connect: (peer) => inner.connect(peer),
    disconnect: (peer) => inner.disconnect(peer),
    multicast: (packet) => inner.multicast(packet),
    unicast: (to, packet) => inner.unicast(to, packet),
    stats: () => inner.stats(),
    close: (deadlineMs) => inner.close(deadlineMs),
  };
}

/** Runs an attack on a group of three that carries traffic all the time, and asserts that it did no harm. */
export async function underAttack(seed: number, attack: (target: Target) => Promise<void>): Promise<void> {
  const stopwatch = new Stopwatch();
  const samples = new Map<number, Uint8Array>();
  const lines: TraceLine[] = [];
  const members: Member[] = [];
  const ports: [number, number][] = [];
  for (let index = 0; index < 3; index++) ports.push([await freePort(), await freePort()]);
  const endpoints = ports.map(([router]) => `tcp://127.0.0.1:${router}`);
  for (const [index, own] of ports.entries()) {
    const delivered: string[] = [];
    const group = await join({
      group: "under-attack",
      name: `P${index + 1}`,
      transport: watched(
        zeromq({
          listen: endpoints[index],
          publish: `tcp://127.0.0.1:${own[1]}`,
          silenceMs: SILENCE_MS,
          packetBytesMax: 1 << 20,
        }),
        stopwatch,
        index === 0 ? samples : undefined,
      ),
      peers: endpoints.filter((_, other) => other !== index),
      onMessages: (messages) => {
        for (const { id } of messages) delivered.push(id);
      },
      trace: (line) => void lines.push(line),
    });
    const warnings: WarningEvent[] = [];
    void (async () => {
      for await (const event of group) if (event.type === "warning") warnings.push(event);
    })();
    members.push({ name: group.name, group, ports: own, delivered, warnings });
  }
  const context = new Context();
  let over = false;
  let traffic: Promise<Receipt[]>[] = [];
  try {
    await Promise.all(members.map(({ group }) => group.ready()));
    // Of the views before only greetings: they belong to none.
    for (const kind of [...samples.keys()]) if (kind !== Kind.hello) samples.delete(kind);
    traffic = members.map(async ({ group }) => {
      const receipts: Receipt[] = [];
      for (let index = 0; !over; index++) {
        receipts.push(await group.send({ index, text: "x".repeat(index % 500) }));
        await turn(1);
      }
      return receipts;
    });
    const kinds = [Kind.data, Kind.ack, Kind.heartbeat, Kind.hello];
    await until(() => kinds.every((kind) => samples.has(kind)), "no samples of all kinds came");
    const [victim] = members;
    const throwAt = async (messages: Iterable<Uint8Array | Uint8Array[]>): Promise<number> => {
      const dealer = new Dealer({ context, linger: 1000, sendTimeout: 10_000 });
      dealer.connect(endpoints[0]);
      let count = 0;
      for (const message of messages) {
        await dealer.send(message);
        count++;
      }
      dealer.close();
      return count;
    };
    await attack({ members, victim, samples, random: new Random(seed), throwAt, until });
    over = true;
    const receipts = (await Promise.all(traffic)).flat();
    await Promise.all(receipts.map((receipt) => receipt.stable));
    for (const { name, delivered } of members) {
      assert.is(delivered.length, receipts.length, `${name} lacks messages, or has too many`);
    }
    const violations = checkTrace([...lines, { e: "end", correct: members.map(({ name }) => name) }], {
      properties: ["integrity", "validity", "agreement", "fifo", "stability", "views", "view-synchrony"],
    });
    assert.equal(violations, []);
    assert.ok(stopwatch.slowestMs < BLOCKED_MS_MAX, `the loop was blocked for ${stopwatch.slowestMs} ms`);
    const reports = await Promise.all(members.map(({ group }) => group.close()));
    for (const { unconfirmed } of reports) assert.is(unconfirmed, 0);
  } finally {
    over = true;
    await Promise.allSettled(traffic);
    await Promise.all(members.map(({ group }) => group.close({ deadline: 0 })));
  }
}

/** Bytes of a random size. */
export function noise(random: Random, bytesMax: number): Uint8Array {
  const bytes = new Uint8Array(random.uint32() % (bytesMax + 1));
  for (let offset = 0; offset < bytes.length; offset++) bytes[offset] = random.uint32();
  return bytes;
}

/** A sample with something written into it. */
export function altered(sample: Uint8Array, change: (view: DataView) => void): Uint8Array {
  const copy = sample.slice();
  change(new DataView(copy.buffer));
  return copy;
}

/** Parts, one behind the other. */
export function concat(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

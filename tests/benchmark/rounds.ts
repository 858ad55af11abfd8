/** One round of each kind: fresh processes, latency on the idle machine first, then throughput, then all are ended. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../transports/free_endpoints.ts";
import { Child } from "./child_process.ts";
import type { MemberSettings, Promised } from "./member.ts";
import type { Latency, Throughput } from "./usage.ts";

/** Size of a raw frame, and of the group's bundles. */
const FRAME_BYTES = 64 * 1024;
/** Messages before latency is measured, at most. */
const WARM_UP_COUNT = 2000;
/** Traffic before throughput is measured, in milliseconds, at most. */
const WARM_UP_MS = 1000;
/** Pause before each message at light load, in milliseconds: what a message leads to has come to rest by then. */
const PAUSE_MS = 2;
/** Raw PUB/SUB has no handshake: subscriptions need a moment to arrive. */
const SUBSCRIBE_MS = 200;

/** What is measured: raw zeromq.js, or a group that promises something. */
export interface Subject {
  readonly promised: Promised | null;
  /** Members of the group; raw: one publisher, the others subscribers. */
  readonly members: number;
  readonly payloadBytes: number;
}

/** What one round gave. */
export interface Round {
  /** Messages delivered at the slowest member, in one second. */
  readonly messagesPerSecond: number;
  /** All processes together, for a million messages that all got. */
  readonly cpuSecondsPerMillion: number;
  /** From sending to delivery at another member, one message after the other. */
  readonly p50Us: number;
  readonly p99Us: number;
  /** The same at light load: after a pause. */
  readonly lightP50Us: number;
  readonly lightP99Us: number;
  /** From sending to the receipt that tells the place; `NaN` without total order. */
  readonly receiptP50Us: number;
  readonly receiptP99Us: number;
  /** Of the largest process. */
  readonly rssMiB: number;
}

/** Measures one subject once. */
export async function playRound(
  subject: Subject,
  command: readonly string[],
  seconds: number,
): Promise<Round> {
  const { promised, members } = subject;
  if (promised === null) return await playRaw(subject, command, seconds);
  return await withGroup(
    promised,
    members,
    command,
    "group_process.ts",
    (children) => playGroup(subject, children, seconds),
  );
}

/**
 * Starts a group, waits until it is complete, and ends it afterwards. Stores are in a folder that is removed.
 *
 * @param use Is given the members; the first leads.
 */
export async function withGroup<T>(
  promised: Promised,
  members: number,
  command: readonly string[],
  module: string,
  use: (children: readonly Child[]) => Promise<T>,
): Promise<T> {
  const endpoints = await freeEndpoints(members);
  const folder = promised.level === "durable" ? mkdtempSync(join(tmpdir(), "tutti-bench-")) : null;
  const children: Child[] = [];
  try {
    for (const [index, listen] of endpoints.entries()) {
      const name = `P${index + 1}`;
      const peers = endpoints.filter((endpoint) => endpoint !== listen);
      const store = folder === null ? null : join(folder, `${name}.db`);
      const settings: MemberSettings = { name, listen, peers, store, ...promised };
      children.push(new Child(command, module, settings));
    }
    await askAll(children, "ready");
    const { leader } = await children[0].ask("leader");
    const rank = children.findIndex((_, index) => leader === `P${index + 1}`);
    return await use([...children.slice(rank), ...children.slice(0, rank)]);
  } finally {
    await Promise.all(children.map((child) => child.end()));
    if (folder !== null) rmSync(folder, { recursive: true });
  }
}

async function playRaw(
  { members, payloadBytes }: Subject,
  command: readonly string[],
  seconds: number,
): Promise<Round> {
  const endpoints = await freeEndpoints(members);
  const children = endpoints.map((listen) => new Child(command, "raw_process.ts", { listen }));
  try {
    const [first, second, ...others] = children;
    await second.ask("subscribe", { to: endpoints[0] });
    await first.ask("subscribe", { to: endpoints[1] });
    await second.ask("echo");
    await pause(SUBSCRIBE_MS);
    const latency = await measurePingPong(first, payloadBytes, seconds);
    await second.ask("count");
    await askAll(others, "subscribe", { to: endpoints[0] });
    await pause(SUBSCRIBE_MS);
    const perFrame = Math.floor(FRAME_BYTES / payloadBytes);
    await first.ask("flood", { frameBytes: perFrame * payloadBytes });
    const used = await measure(children, seconds);
    return { ...summary(used, used.slice(1), perFrame), ...latency, receiptP50Us: NaN, receiptP99Us: NaN };
  } finally {
    await Promise.all(children.map((child) => child.end()));
  }
}

async function playGroup(
  { promised, payloadBytes }: Subject,
  children: readonly Child[],
  seconds: number,
): Promise<Round> {
  const [leader, follower] = children;
  await leader.ask("echo", { to: await nameOf(follower) });
  const latency = await measurePingPong(follower, payloadBytes, seconds);
  await leader.ask("quiet");
  const receipt = promised?.order === "total"
    ? await measureLatency(follower, "receipts", payloadBytes, seconds)
    : { p50Us: NaN, p99Us: NaN };
  await askAll(children, "flood", { payloadBytes });
  const used = await measure(children, seconds);
  const receipts = { receiptP50Us: receipt.p50Us, receiptP99Us: receipt.p99Us };
  return { ...summary(used, used, 1), ...latency, ...receipts };
}

async function nameOf(child: Child): Promise<unknown> {
  return (await child.ask("name")).name;
}

async function measurePingPong(
  child: Child,
  payloadBytes: number,
  seconds: number,
): Promise<Pick<Round, "p50Us" | "p99Us" | "lightP50Us" | "lightP99Us">> {
  const pressed = await measureLatency(child, "ping", payloadBytes, seconds);
  const light = await measureLatency(child, "ping", payloadBytes, seconds, PAUSE_MS);
  return { ...pressed, lightP50Us: light.p50Us, lightP99Us: light.p99Us };
}

async function measureLatency(
  child: Child,
  what: "ping" | "receipts",
  payloadBytes: number,
  seconds: number,
  pauseMs: number = 0,
): Promise<Latency> {
  const warmUp = pauseMs > 0 ? 0 : WARM_UP_COUNT; // what comes after a pause is warm already
  const settings = { payloadBytes, seconds: seconds / 2, warmUp, pauseMs };
  return await child.ask(what, settings) as unknown as Latency;
}

async function measure(children: readonly Child[], seconds: number): Promise<Throughput[]> {
  await pause(Math.min(WARM_UP_MS, seconds * 1000));
  await askAll(children, "begin");
  await pause(seconds * 1000);
  return await askAll(children, "end") as unknown as Throughput[];
}

function summary(
  used: readonly Throughput[],
  receivers: readonly Throughput[],
  perCount: number,
): Pick<Round, "messagesPerSecond" | "cpuSecondsPerMillion" | "rssMiB"> {
  const messagesPerSecond = Math.min(...receivers.map(({ count, seconds }) => count * perCount / seconds));
  const cpuPerSecond = used.reduce((sum, { cpuSeconds, seconds }) => sum + cpuSeconds / seconds, 0);
  return {
    messagesPerSecond,
    cpuSecondsPerMillion: cpuPerSecond / messagesPerSecond * 1e6,
    rssMiB: Math.max(...used.map(({ rssPeakMiB }) => rssPeakMiB)),
  };
}

async function freeEndpoints(count: number): Promise<string[]> {
  const endpoints: string[] = [];
  for (let index = 0; index < count; index++) endpoints.push(`tcp://127.0.0.1:${await freePort()}`);
  return endpoints;
}

/** Gives all the same command. */
export function askAll(
  children: readonly Child[],
  name: string,
  settings: Record<string, unknown> = {},
): Promise<Record<string, unknown>[]> {
  return Promise.all(children.map((child) => child.ask(name, settings)));
}

/** Waits. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

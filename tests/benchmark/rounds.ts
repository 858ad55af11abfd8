/** One round of each kind: fresh processes, latency on the idle machine first, then throughput, then all are ended. */
import type { OrderName } from "../../mod.ts";
import { freePort } from "../transports/free_endpoints.ts";
import { Child } from "./child_process.ts";
import type { Throughput } from "./usage.ts";

/** Size of a raw frame, and of the group's bundles. */
const FRAME_BYTES = 64 * 1024;
/** Members of the group; raw: one publisher and two subscribers. */
export const MEMBERS = 3;
/** Messages before latency is measured. */
const PING_WARM_UP = 2000;
/** Traffic before throughput is measured, in milliseconds. */
const FLOOD_WARM_UP_MS = 1000;
/** Raw PUB/SUB has no handshake: subscriptions need a moment to arrive. */
const SUBSCRIBE_MS = 200;

/** What is measured. */
export interface Subject {
  readonly kind: "raw" | "group";
  readonly order: OrderName | null;
  readonly payloadBytes: number;
}

/** What one round gave. */
export interface Round {
  /** Messages delivered at the slowest member, in one second. */
  readonly messagesPerSecond: number;
  /** All processes together, for a million messages that all got. */
  readonly cpuSecondsPerMillion: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Of the largest process. */
  readonly rssMiB: number;
}

interface Latency {
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Measures one subject once. */
export async function playRound(
  subject: Subject,
  command: readonly string[],
  seconds: number,
): Promise<Round> {
  const endpoints: string[] = [];
  for (let index = 0; index < MEMBERS; index++) endpoints.push(`tcp://127.0.0.1:${await freePort()}`);
  const children: Child[] = [];
  try {
    return subject.kind === "raw"
      ? await playRaw(subject.payloadBytes, command, seconds, endpoints, children)
      : await playGroup(subject, command, seconds, endpoints, children);
  } finally {
    await Promise.all(children.map((child) => child.end()));
  }
}

async function playRaw(
  payloadBytes: number,
  command: readonly string[],
  seconds: number,
  endpoints: readonly string[],
  children: Child[],
): Promise<Round> {
  for (const listen of endpoints) children.push(new Child(command, "raw_process.ts", { listen }));
  const [first, second, third] = children;
  await second.ask("subscribe", { to: endpoints[0] });
  await first.ask("subscribe", { to: endpoints[1] });
  await second.ask("echo");
  await pause(SUBSCRIBE_MS);
  const latency = await first.ask("ping", { payloadBytes, seconds: seconds / 2, warmUp: PING_WARM_UP });
  await second.ask("count");
  await third.ask("subscribe", { to: endpoints[0] });
  await pause(SUBSCRIBE_MS);
  const perFrame = Math.floor(FRAME_BYTES / payloadBytes);
  await first.ask("flood", { frameBytes: perFrame * payloadBytes });
  const used = await measure(children, seconds);
  return summary(
    used.map((one) => ({ ...one, count: one.count * perFrame })),
    used.slice(1),
    perFrame,
    latency,
  );
}

async function playGroup(
  { payloadBytes, order }: Subject,
  command: readonly string[],
  seconds: number,
  endpoints: readonly string[],
  children: Child[],
): Promise<Round> {
  endpoints.forEach((listen, index) => {
    const peers = endpoints.filter((endpoint) => endpoint !== listen);
    children.push(new Child(command, "group_process.ts", { name: `P${index + 1}`, listen, peers, order }));
  });
  await all(children, "ready");
  const [first, second] = children;
  await second.ask("echo", { to: "P1" });
  const latency = await first.ask("ping", { payloadBytes, seconds: seconds / 2, warmUp: PING_WARM_UP });
  await second.ask("quiet");
  await all(children, "flood", { payloadBytes });
  const used = await measure(children, seconds);
  return summary(used, used, 1, latency);
}

async function measure(children: readonly Child[], seconds: number): Promise<Throughput[]> {
  await pause(FLOOD_WARM_UP_MS);
  await all(children, "begin");
  await pause(seconds * 1000);
  return await all(children, "end") as unknown as Throughput[];
}

function summary(
  used: readonly Throughput[],
  receivers: readonly Throughput[],
  perCount: number,
  latency: Record<string, unknown>,
): Round {
  const messagesPerSecond = Math.min(...receivers.map(({ count, seconds }) => count * perCount / seconds));
  const cpuPerSecond = used.reduce((sum, { cpuSeconds, seconds }) => sum + cpuSeconds / seconds, 0);
  return {
    messagesPerSecond,
    cpuSecondsPerMillion: cpuPerSecond / messagesPerSecond * 1e6,
    ...latency as unknown as Latency,
    rssMiB: Math.max(...used.map(({ rssPeakMiB }) => rssPeakMiB)),
  };
}

function all(
  children: readonly Child[],
  name: string,
  settings: Record<string, unknown> = {},
): Promise<Record<string, unknown>[]> {
  return Promise.all(children.map((child) => child.ask(name, settings)));
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/**
 * One member of the soak: sends numbered messages flat out, and holds every message that is delivered against the one
 * that must come next. A payload carries its sender's rank, its life and its number, so that what is checked is what an
 * application would see.
 */
import { type Group, join, type Message } from "../../mod.ts";
import { zeromq } from "../../transports/zeromq/mod.ts";
import { serve, settings } from "./command_loop.ts";
import { cpuSeconds, rssMiB } from "./usage.ts";

const { rank, life, endpoints } = settings<{
  readonly rank: number;
  /** Number of this process among those at the same endpoint, from 1. */
  readonly life: number;
  readonly endpoints: readonly string[];
}>();

const PAYLOAD_BYTES = 100;
/** Messages delivered after which memory is measured for the first time: 100,000 from each of the three members. */
const EARLY_COUNT = 300_000;
const FAULTS_MAX = 10;

/** Last number delivered of each life of each member, by "rank/life". */
const last = new Map<string, number>();
const faults: string[] = [];
let faultCount = 0;
let delivered = 0;
let rssEarlyMiB = 0;
let sent = 0;
let sending = false;

function check(message: Message): void {
  const value = message.value as Uint8Array;
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  const key = `${view.getUint32(0)}/${view.getUint32(4)}`;
  const number = view.getUint32(8);
  const before = last.get(key) ?? 0;
  if (value.length !== PAYLOAD_BYTES || message.sender !== `P${view.getUint32(0)}`) {
    fault(`${key}: a wrong payload`);
  }
  if (number !== before + 1 || message.sequence !== number) fault(`${key}: ${number} after ${before}`);
  last.set(key, Math.max(before, number));
}

function fault(text: string): void {
  faultCount++;
  if (faults.length < FAULTS_MAX) faults.push(text);
}

const group: Group = await join({
  group: "soak",
  name: `P${rank}`,
  transport: zeromq({ listen: endpoints[rank] }),
  peers: endpoints.filter((_, index) => index !== rank),
  onMessages: (messages) => {
    for (const message of messages) {
      check(message);
      if (++delivered === EARLY_COUNT) rssEarlyMiB = rssMiB();
    }
  },
});

async function send(count: number): Promise<void> {
  const payload = new Uint8Array(PAYLOAD_BYTES);
  const view = new DataView(payload.buffer);
  view.setUint32(0, rank);
  view.setUint32(4, life);
  while (sending && sent < count) {
    view.setUint32(8, sent + 1);
    if (group.offer(payload) === undefined) await group.writable({ deadline: Infinity });
    else sent++;
  }
  sending = false;
}

await serve({
  ready: async () => {
    await group.ready();
  },
  send: ({ count }) => {
    sending = true;
    send(Number(count ?? Infinity)).catch((error) => {
      fault(String(error));
      sending = false;
    });
  },
  stop: () => {
    sending = false;
  },
  report: () => ({
    delivered,
    sent,
    sending,
    stable: group.stats().messagesStable,
    last: Object.fromEntries(last),
    faults,
    faultCount,
    rssEarlyMiB,
    rssMiB: rssMiB(),
    cpuSeconds: cpuSeconds(),
    atMs: performance.now(),
    resent: group.stats().messagesResent,
  }),
});

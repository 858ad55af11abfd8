/** One member of the measured group: sends flat out, or plays ping-pong with another member. */
import { type Group, join, type Message, type OrderName } from "../../mod.ts";
import { zeromq } from "../../transports/zeromq/mod.ts";
import { serve, settings } from "./command_loop.ts";
import { Meter, percentile } from "./usage.ts";

const { name, listen, peers, order } = settings<{
  readonly name: string;
  readonly listen: string;
  readonly peers: readonly string[];
  readonly order: OrderName;
}>();

const meter = new Meter();
let delivered = 0;
let flooding = false;
let take: ((message: Message) => void) | undefined = undefined;

const group: Group = await join({
  group: "benchmark",
  name,
  order,
  transport: zeromq({ listen }),
  peers,
  onMessages: (messages) => {
    delivered += messages.length;
    if (take !== undefined) { for (const message of messages) take(message); }
  },
});

async function flood(payload: Uint8Array): Promise<void> {
  while (flooding) {
    while (group.offer(payload) !== undefined) {
      // Until the window is full.
    }
    await group.writable({ deadline: Infinity });
  }
}

/** One message at a time, there and back. @returns One-way times in microseconds. */
async function pingPong(payloadBytes: number, seconds: number, warmUp: number): Promise<number[]> {
  const payload = new Uint8Array(payloadBytes);
  const samples: number[] = [];
  let count = -warmUp;
  let endMs = Infinity;
  let sentMs = 0;
  await new Promise<void>((resolve) => {
    const send = (): void => {
      sentMs = performance.now();
      group.offer(payload);
    };
    take = (message) => {
      if (message.own) return;
      const nowMs = performance.now();
      if (count === 0) endMs = nowMs + seconds * 1000;
      if (count++ > 0) samples.push((nowMs - sentMs) * 500);
      if (nowMs < endMs) send();
      else resolve();
    };
    send();
  });
  take = undefined;
  return samples;
}

await serve({
  ready: async () => {
    await group.ready();
  },
  echo: ({ to }) => {
    take = (message) => {
      if (message.sender === to) group.offer(message.value);
    };
  },
  quiet: () => {
    take = undefined;
  },
  ping: async ({ payloadBytes, seconds, warmUp }) => {
    const samples = await pingPong(Number(payloadBytes), Number(seconds), Number(warmUp));
    return { p50Us: percentile(samples, 0.5), p99Us: percentile(samples, 0.99) };
  },
  flood: ({ payloadBytes }) => {
    flooding = true;
    flood(new Uint8Array(Number(payloadBytes))).catch((error) => {
      console.error(String(error));
      flooding = false;
    });
  },
  begin: () => meter.begin(delivered),
  end: () => ({ ...meter.end(delivered), stats: group.stats() }),
});

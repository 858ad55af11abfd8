/** One member of the measured group: sends flat out, plays ping-pong with another member, or waits for its receipts. */
import type { Group, Message } from "../../mod.ts";
import { serve, settings } from "./command_loop.ts";
import { joinMeasured, type MemberSettings } from "./member.ts";
import { type Latency, Meter, Stopwatch } from "./usage.ts";

const meter = new Meter();
let delivered = 0;
let flooding = false;
let take: ((message: Message) => void) | undefined = undefined;

const group: Group = await joinMeasured(settings<MemberSettings>(), {
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

/** One message at a time, there and back, and a pause. @returns One-way times. */
async function pingPong(payload: Uint8Array, watch: Stopwatch, pauseMs: number): Promise<Latency> {
  await new Promise<void>((resolve) => {
    const send = (): void => {
      watch.start();
      group.offer(payload);
    };
    take = (message) => {
      if (message.own) return;
      if (!watch.stop()) resolve();
      else if (pauseMs > 0) setTimeout(send, pauseMs);
      else send();
    };
    send();
  });
  take = undefined;
  return watch.latency(2);
}

/** One message at a time, in total order. @returns Times from the call to the receipt that tells the message's place. */
async function receipts(payload: Uint8Array, watch: Stopwatch): Promise<Latency> {
  do {
    watch.start();
    const receipt = await group.send(payload);
    await receipt.placed;
  } while (watch.stop());
  return watch.latency(1);
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
  ping: ({ payloadBytes, seconds, warmUp, pauseMs }) =>
    pingPong(
      new Uint8Array(Number(payloadBytes)),
      new Stopwatch(Number(seconds), Number(warmUp)),
      Number(pauseMs),
    ),
  receipts: ({ payloadBytes, seconds, warmUp }) =>
    receipts(new Uint8Array(Number(payloadBytes)), new Stopwatch(Number(seconds), Number(warmUp))),
  name: () => ({ name: group.name }),
  leader: () => ({ leader: group.view?.members[group.view.leader].name }),
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

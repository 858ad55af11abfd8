/**
 * One process of the yardstick: zeromq.js alone, PUB to SUB, as fast as it goes. Nothing is copied, decoded, ordered,
 * confirmed or repaired. Frames beyond a subscriber's high-water mark are lost; what arrives is what counts.
 *
 * Receiving is done in the best way for each runtime: a pending `receive` on Node; on Deno, where that can hang, the
 * socket is drained while readable and looked at again after each `setImmediate`.
 */
import { setImmediate } from "node:timers";
import { Publisher, Subscriber } from "zeromq";
import { serve, settings } from "./command_loop.ts";
import { type Latency, Meter, Stopwatch } from "./usage.ts";

const FRAMES_PER_TURN = 64;
const { listen } = settings<{ readonly listen: string }>();
const onDeno = "Deno" in globalThis;

const publisher = new Publisher({ linger: 0, sendTimeout: 0 });
const meter = new Meter();
let frames = 0;
let flooding = false;
let take = (_frame: Uint8Array): void => {
  frames++;
};

async function receive(subscriber: Subscriber): Promise<void> {
  for (;;) {
    for (let budget = 256; budget > 0 && (!onDeno || subscriber.readable); budget--) {
      const [frame] = await subscriber.receive();
      take(frame);
    }
    if (onDeno) await turn();
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function flood(frame: Uint8Array): Promise<void> {
  while (flooding) {
    for (let count = 0; count < FRAMES_PER_TURN; count++) await publisher.send(frame);
    await turn();
  }
}

/** One message at a time, there and back, and a pause. @returns One-way times. */
async function pingPong(payload: Uint8Array, watch: Stopwatch, pauseMs: number): Promise<Latency> {
  await new Promise<void>((resolve) => {
    const send = (): void => {
      watch.start();
      void publisher.send(payload);
    };
    take = () => {
      if (!watch.stop()) resolve();
      else if (pauseMs > 0) setTimeout(send, pauseMs);
      else send();
    };
    send();
  });
  return watch.latency(2);
}

await publisher.bind(listen);
await serve({
  subscribe: ({ to }) => {
    const subscriber = new Subscriber({ ...(onDeno ? { receiveTimeout: 0 } : {}), linger: 0 });
    subscriber.subscribe();
    subscriber.connect(String(to));
    void receive(subscriber);
  },
  echo: () => {
    take = (frame) => void publisher.send(frame);
  },
  ping: ({ payloadBytes, seconds, warmUp, pauseMs }) =>
    pingPong(
      new Uint8Array(Number(payloadBytes)),
      new Stopwatch(Number(seconds), Number(warmUp)),
      Number(pauseMs),
    ),
  flood: ({ frameBytes }) => {
    flooding = true;
    void flood(new Uint8Array(Number(frameBytes)));
  },
  count: () => {
    take = () => {
      frames++;
    };
  },
  begin: () => meter.begin(frames),
  end: () => meter.end(frames),
});

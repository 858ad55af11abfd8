/**
 * Two ways of receiving behind one interface.
 *
 * `pending` waits in `receive()`: right wherever libuv polls file descriptors properly (Node). `polling` never leaves a
 * receive pending, because under Deno such a one can hang for ever (denoland/deno#36317): it looks whether a socket is
 * readable, drains it, goes round by `setImmediate` while messages come, and then sleeps: in poll(2) on the sockets'
 * own descriptors where that is possible, else on short timers.
 */
import { setImmediate, setTimeout } from "node:timers";
import { openSleeper } from "./sleep.ts";

/** What receiving needs of a zeromq.js socket. */
export interface ReceivingSocket {
  readonly readable: boolean;
  readonly closed: boolean;
  receive(): Promise<Uint8Array[]>;
}

/** A socket and what to do with its messages. */
export interface Source {
  readonly socket: ReceivingSocket;
  /**
   * Takes a message; must not throw. Says whether it was a packet, so that more may follow soon.
   *
   * @param more Whether another one is here already, and comes next.
   */
  take(parts: Uint8Array[], more: boolean): boolean;
}

/** A running reception. */
export interface Reception {
  /** Takes no more messages; resolves when the sockets may be closed. */
  stop(): Promise<void>;
}

/** How messages are awaited. */
export type ReceiveStrategy = "pending" | "polling";

/** Most messages taken as belonging together: what many packets lead to is not to wait for ever more of them. */
const RUN = 8;
/** Most messages taken before the event loop gets a turn. */
const BATCH = 256;
/** Longest time of one batch, in milliseconds. */
const BATCH_MS = 4;
/**
 * How long to go round by `setImmediate` after a packet, when packets come closer together than that; else a group's own
 * heartbeats would keep a core warm. With the cheap wake-up not at all: with more members than cores, going round takes
 * the core from the very member that one waits for (measured: median round trip 260 us, against 300 to 1,400).
 */
const SPIN_MS = { poll: 0, timer: 20 } as const;

/** Starts receiving. */
export function startReception(strategy: ReceiveStrategy, sources: readonly Source[]): Reception {
  return strategy === "pending" ? receivePending(sources) : receivePolling(sources);
}

function receivePending(sources: readonly Source[]): Reception {
  let stopped = false;
  const loop = async ({ socket, take }: Source): Promise<void> => {
    for (let run = 1; !stopped;) {
      try {
        const parts = await socket.receive();
        if (stopped) return;
        const more = run < RUN && socket.readable;
        run = more ? run + 1 : 1;
        take(parts, more);
      } catch {
        // Closing a socket fails its pending receive; anything else passes, but must not spin.
        if (stopped || socket.closed) return;
        await new Promise<void>((resolve) => setTimeout(resolve, 1));
      }
    }
  };
  for (const source of sources) void loop(source);
  return {
    stop: () => {
      stopped = true;
      return Promise.resolve();
    },
  };
}

function receivePolling(sources: readonly Source[]): Reception {
  let stopped = false;
  const sleeper = openSleeper(sources.map(({ socket }) => socket));
  const spinMs = SPIN_MS[sleeper.kind];

  const drain = async (): Promise<"packets" | "frames" | "nothing"> => {
    const endMs = performance.now() + BATCH_MS;
    let outcome: "packets" | "frames" | "nothing" = "nothing";
    let budget = BATCH;
    for (const { socket, take } of sources) {
      let more = socket.readable;
      while (budget > 0 && !stopped && more) {
        const parts = await socket.receive();
        if (stopped) return "nothing";
        budget--;
        if ((budget & 15) === 0 && performance.now() > endMs) budget = 0;
        more = socket.readable;
        if (take(parts, more && budget % RUN !== 0)) outcome = "packets";
        else if (outcome === "nothing") outcome = "frames";
      }
      budget = Math.max(budget, BATCH >> 2); // A flood on one socket leaves the other its share.
    }
    return outcome;
  };

  const loop = async (): Promise<void> => {
    let trafficMs = -Infinity;
    let gapMs = Infinity;
    while (!stopped) {
      let outcome: "packets" | "frames" | "nothing" = "frames";
      try {
        outcome = await drain();
      } catch {
        // A message that went away between `readable` and `receive`.
      }
      const nowMs = performance.now();
      if (outcome === "packets") {
        gapMs = nowMs - trafficMs;
        trafficMs = nowMs;
      }
      if (outcome !== "nothing" || (gapMs < spinMs && nowMs - trafficMs < spinMs)) {
        await new Promise<void>((resolve) => setImmediate(resolve));
      } else {
        await sleeper.sleep(nowMs - trafficMs);
      }
    }
    sleeper.close();
  };
  const done = loop();
  return {
    stop: () => {
      stopped = true;
      return done;
    },
  };
}

/**
 * How an idle `polling` reception sleeps.
 *
 * On Deno with the permission for FFI (which zeromq needs anyway) it sleeps in poll(2) on a thread of Deno's pool, on
 * the descriptors that ZeroMQ signals (ZMQ_FD): awake within microseconds and free while nothing comes. That is sound
 * here because both sockets only receive: ZeroMQ's descriptor is edge-triggered, and a send on the same socket could
 * swallow the edge. Everywhere else, and beyond a few adapters in one process (the pool is small), it sleeps on timers
 * of 1 to 8 ms.
 */
import { setTimeout } from "node:timers";

/** Something to sleep on. */
export interface Sleeper {
  readonly kind: "poll" | "timer";
  /** Resolves when something may have come. */
  sleep(quietMs: number): Promise<void>;
  close(): void;
}

const ZMQ_FD = 14;
/** Longest sleep in poll(2): the bound for `stop`. */
const POLL_MS = 100;
/** Most threads of Deno's pool to hold. */
const POLLERS_MAX = 4;
let pollers = 0;

/** Opens the best sleeper that this runtime has. */
export function openSleeper(sockets: readonly object[]): Sleeper {
  return openPollSleeper(sockets) ?? timerSleeper;
}

const timerSleeper: Sleeper = {
  kind: "timer",
  sleep: (quietMs) => {
    const delayMs = quietMs < 100 ? 1 : quietMs < 1000 ? 4 : 8;
    return new Promise<void>((resolve) => setTimeout(resolve, delayMs));
  },
  close: () => {},
};

interface PollLibrary {
  readonly symbols: { poll(descriptors: Uint8Array, count: bigint, timeoutMs: number): Promise<number> };
  close(): void;
}

interface DenoLike {
  readonly build: { readonly os: string };
  readonly permissions: { querySync(wanted: { name: "ffi"; path: string }): { readonly state: string } };
  dlopen(path: string, symbols: Record<string, unknown>): PollLibrary;
}

function openPollSleeper(sockets: readonly object[]): Sleeper | undefined {
  const deno = (globalThis as unknown as { Deno?: DenoLike }).Deno;
  if (deno?.dlopen === undefined || pollers >= POLLERS_MAX || deno.build.os !== "linux") return undefined;
  const path = "libc.so.6";
  try {
    // Never let an optional optimisation ask the user a question.
    if (deno.permissions.querySync({ name: "ffi", path }).state !== "granted") return undefined;
    const descriptors = sockets.map(descriptorOf);
    const library = deno.dlopen(path, {
      poll: { parameters: ["buffer", "u64", "i32"], result: "i32", nonblocking: true },
    });
    pollers++;
    return pollSleeper(library, descriptors);
  } catch {
    return undefined;
  }
}

function descriptorOf(socket: object): number {
  const { getInt32Option } = socket as { getInt32Option?: (option: number) => number };
  const descriptor = getInt32Option?.call(socket, ZMQ_FD);
  if (descriptor === undefined || descriptor < 0) throw new Error("no descriptor");
  return descriptor;
}

function pollSleeper(library: PollLibrary, descriptors: readonly number[]): Sleeper {
  // struct pollfd { int fd; short events; short revents; }
  const table = new Uint8Array(8 * descriptors.length);
  const view = new DataView(table.buffer);
  const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  const POLLIN = 1;
  descriptors.forEach((descriptor, index) => {
    view.setInt32(8 * index, descriptor, littleEndian);
    view.setInt16(8 * index + 4, POLLIN, littleEndian);
  });
  return {
    kind: "poll",
    sleep: async () => {
      const ready = await library.symbols.poll(table, BigInt(descriptors.length), POLL_MS);
      if (ready < 0) await timerSleeper.sleep(0); // Interrupted by a signal, or worse: do not spin.
    },
    close: () => {
      pollers--;
      library.close();
    },
  };
}

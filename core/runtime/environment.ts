/** What a driver needs of the world around it besides a transport: time. Real here, virtual in the simulator. */
import type { Incarnation } from "../base/ids.ts";

/** A source of time and turns. */
export interface Environment {
  /** Milliseconds of a monotonic clock; never the wall clock (W23). */
  now(): number;
  /** Calls back once at or after a time. @returns Calls it off. */
  at(time: number, callback: () => void): () => void;
  /** Calls back when the running code has finished, before any timer or input. */
  defer(callback: () => void): void;
}

const TIMER_MS_MAX = 0x7fff_ffff;

/** The environment of a real process. */
export function realEnvironment(): Environment {
  return {
    now: () => performance.now(),
    at: (time, callback) => {
      const delayMs = Math.min(Math.max(0, Math.ceil(time - performance.now())), TIMER_MS_MAX);
      const timer = setTimeout(callback, delayMs);
      return () => clearTimeout(timer);
    },
    defer: (callback) => queueMicrotask(callback),
  };
}

/** A random whole number from 1 to 2^52: for names that must not come twice, not for secrets. */
export function randomNumber(): number {
  return 1 + Math.floor(Math.random() * 2 ** 52);
}

/** This life's number: later than that of any former life, and unlike that of any other member. */
export function newIncarnation(): Incarnation {
  return Date.now() * 1024 + Math.floor(Math.random() * 1024) as Incarnation;
}

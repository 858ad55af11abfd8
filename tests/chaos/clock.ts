/**
 * One monotonic clock for all processes of the machine, in nanoseconds: the `t` of trace lines, so that lines of different
 * processes can be put into the order in which things happened. The runtime's own clocks begin with the process.
 */
import process from "node:process";

/** Where the system's clock is found, and the number of its monotonic clock. */
const CLOCKS: Readonly<Record<string, readonly [library: string, clock: number]>> = {
  linux: ["libc.so.6", 1],
  darwin: ["libSystem.B.dylib", 6],
};

/** Nanoseconds of a second. */
const SECOND_NS = 1e9;

/**
 * Opens the clock.
 *
 * @returns Reads it: nanoseconds, the same for every process.
 * @throws {Error} On other systems.
 */
export function openClock(): () => number {
  if (!Object.hasOwn(CLOCKS, process.platform)) {
    throw new Error(
      `Cannot read one clock from several processes on ${process.platform}; use linux or darwin`,
    );
  }
  const [library, clock] = CLOCKS[process.platform];
  const { symbols } = Deno.dlopen(library, {
    clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  });
  const time = new BigInt64Array(2);
  return () => {
    symbols.clock_gettime(clock, time);
    return Number(time[0]) * SECOND_NS + Number(time[1]);
  };
}

/** How a program is asked to end: by signals. */
import process from "node:process";

/** How much later a second signal must come to mean "at once", in milliseconds. */
const SECOND_STOP_MS = 500;

/** Signals ask the process to leave; when it takes too long, another one makes it end at once. */
export function stopSwitch(): { readonly stopped: Promise<string>; readonly stop: (why: string) => void } {
  let askedAt = Infinity;
  const { promise: stopped, resolve } = Promise.withResolvers<string>();
  const stop = (why: string): void => {
    // One Ctrl+C may arrive twice: from the terminal, and passed on by whatever started this process.
    if (performance.now() - askedAt > SECOND_STOP_MS) process.exit(1);
    askedAt = Math.min(askedAt, performance.now());
    resolve(why);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop(signal));
  return { stopped, stop };
}

/** Leaves nothing behind when a person has seen enough of a demo. @param clear Clears up; the process then ends. */
export function onInterrupt(clear: () => void): { readonly release: () => void } {
  const stop = (): void => {
    clear();
    process.exit(130);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, stop);
  return {
    release: () => {
      for (const signal of signals) process.off(signal, stop);
    },
  };
}

/** Much work in many steps, without holding up the event loop. */
import type { Environment } from "./environment.ts";

/** How long the event loop is held up at a time, in milliseconds. */
const SLICE_MS = 8;

/**
 * Runs steps to their end, some at once, the rest when others have had their turns.
 *
 * @returns What they return: at once if they took no longer than one turn may take.
 */
export function inSlices<T>(steps: Iterator<void, T>, environment: Environment): T | Promise<T> {
  const until = environment.now() + SLICE_MS;
  for (let step = steps.next();; step = steps.next()) {
    if (step.done === true) return step.value;
    if (environment.now() >= until) return later(steps, environment);
  }
}

async function later<T>(steps: Iterator<void, T>, environment: Environment): Promise<T> {
  await new Promise<void>((resolve) => void environment.at(environment.now(), resolve));
  return await inSlices(steps, environment);
}

/** Options that are numbers within bounds. */
import { TuttiError } from "../base/errors.ts";

/**
 * Fills in defaults, and checks the rest.
 *
 * @param what What cannot be done with wrong ones, after "Cannot".
 * @param prefix What the names of the options begin with, for people: `sessions.` for example.
 * @throws {TuttiError} `InvalidArgument` naming the option, its value and its bounds
 */
export function completeBounds<T extends object>(
  what: string,
  prefix: string,
  defaults: T,
  given: Partial<T> | undefined,
  bounds: Record<keyof T, readonly [low: number, high: number]>,
): T {
  const result = { ...defaults };
  if (given === null || (given !== undefined && typeof given !== "object")) {
    throw new TuttiError("InvalidArgument", `Cannot ${what}: ${prefix || "the options"} is no object`);
  }
  for (const [key, value] of Object.entries(given ?? {})) {
    if (value === undefined) continue;
    if (!Object.hasOwn(bounds, key)) {
      const names = Object.keys(bounds).join(", ");
      throw new TuttiError(
        "InvalidArgument",
        `Cannot ${what}: ${prefix}${key} is unknown; use one of ${names}`,
      );
    }
    const [low, high] = bounds[key as keyof T];
    if (!Number.isInteger(value) || (value as number) < low || (value as number) > high) {
      const text = `${prefix}${key} is ${String(value)}; use a whole number from ${low} to ${high}`;
      throw new TuttiError("InvalidArgument", `Cannot ${what}: ${text}`);
    }
    result[key as keyof T] = value as T[keyof T];
  }
  return result;
}

/** What keeps a callback of the application from doing harm beyond itself. */
import { TuttiError } from "../base/errors.ts";
import type { TraceLine } from "./trace.ts";

/** A trace that throws stops the member, like any callback. */
export function guardTrace(
  trace: (line: TraceLine) => void,
  fail: (error: TuttiError) => void,
): (line: TraceLine) => void {
  return (line) => {
    try {
      trace(line);
    } catch (cause) {
      const text = `Cannot go on: trace failed: ${String(cause)}; mend it and join again`;
      fail(new TuttiError("CallbackFailed", text, { cause }));
    }
  };
}

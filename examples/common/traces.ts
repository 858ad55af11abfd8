/** Judges processes by the traces that they leave. */
import { readFileSync } from "node:fs";
import { checkTrace, parseTrace, type TraceLine, type TraceProperty } from "@tutti/tutti/testing";
import { LineFile } from "./line_file.ts";

/** Writes down that a process was killed, in the place where it happened; a line that the kill cut off goes first. */
export function markCrash(path: string, name: string, group?: string): void {
  const file = new LineFile(path);
  file.start();
  file.append({ n: name, e: "crash", g: group });
  file.close();
}

/** Reads the traces of several processes, one after the other. */
export function readTraces(paths: readonly string[]): TraceLine[] {
  return paths.flatMap((path) => parseTrace(readFileSync(path, "utf8")));
}

/** Asks the library's checkers; the texts say what is broken. */
export function violations(lines: readonly TraceLine[], properties: readonly TraceProperty[]): string[] {
  return checkTrace(lines, { properties }).map(({ property, text }) => `${property}: ${text}`);
}

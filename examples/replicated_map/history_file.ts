/** Writes a client history into a file. */
import { closeSync, openSync, writeSync } from "node:fs";
import { formatHistoryLine, HistoryRecorder } from "@tutti/tutti/testing";

/** A history that is being written. */
export interface HistoryFile {
  readonly recorder: HistoryRecorder;
  close(): void;
}

/** Opens a file for a new history: what was in it is gone. */
export function openHistory(path: string): HistoryFile {
  const handle = openSync(path, "w");
  const recorder = new HistoryRecorder({
    model: "kv",
    now: microseconds,
    write: (line) => void writeSync(handle, `${formatHistoryLine(line)}\n`),
  });
  return { recorder, close: () => closeSync(handle) };
}

/** Never goes back within a process; between processes of a machine as good as its clock when they were started. */
export function microseconds(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}

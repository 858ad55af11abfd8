/**
 * The client history: what clients called and what they got back, one JSON object on each line.
 *
 * The first line names the model, which is what the service claims to be. The others stand in the order of time: a call before
 * another one's call or outcome in the list was made before it. The reader tolerates what later versions may add: unknown
 * fields and unknown events are skipped.
 */
import { TuttiError } from "../../base/errors.ts";

/** What a service can claim to be. */
export const HISTORY_MODELS = [
  "register",
  "kv",
  "counter",
  "set",
  "log",
  "queue",
  "tasks",
  "lock",
  "fence",
] as const;

/** What a service claims to be. */
export type HistoryModel = typeof HISTORY_MODELS[number];

/** The first line. */
export interface ModelLine {
  /** What the service claims to be. */
  readonly model: HistoryModel;
}

/** A client is about to call. */
export interface CallLine {
  /** Time, read before the call is made, in whatever unit; never falls. */
  readonly t: number;
  /** The client. */
  readonly p: string;
  /** Joins the call to its outcome; unique in the history. */
  readonly id: number;
  /** What happened. */
  readonly e: "call";
  /** Name of the operation; the model says which there are. */
  readonly op: string;
  /** The object that is called, where the service has several. */
  readonly key?: string;
  /** The argument, a JSON value; the model says which. */
  readonly in?: unknown;
}

/** It happened, and this came back. */
export interface ReturnLine {
  /** Time, read after the answer is in. */
  readonly t: number;
  /** The call. */
  readonly id: number;
  /** What happened. */
  readonly e: "ret";
  /** The answer, a JSON value; left out for `null`. */
  readonly out?: unknown;
}

/** It certainly did not happen (`fail`), or nobody knows (`info`): a timeout, a crash. */
export interface NoReturnLine {
  /** Time at which the client gave up. */
  readonly t: number;
  /** The call. */
  readonly id: number;
  /** What happened. */
  readonly e: "fail" | "info";
}

/** A line of a client history behind the first. */
export type HistoryEventLine = CallLine | ReturnLine | NoReturnLine;

/** One line of a client history. */
export type HistoryLine = ModelLine | HistoryEventLine;

/** The keys in the order in which they are written. */
const FIELDS = ["model", "t", "p", "id", "e", "op", "key", "in", "out"] as const;

/**
 * Writes one line of a client history.
 *
 * @param line What happened. `in` and `out` must be JSON values.
 * @returns JSON without a line feed; the keys always in the same order.
 *
 * @example
 * ```ts
 * import { formatHistoryLine } from "@tutti/tutti/testing";
 *
 * const text = formatHistoryLine({ e: "call", op: "get", key: "x", id: 7, p: "client-1", t: 12 });
 * console.assert(text === '{"t":12,"p":"client-1","id":7,"e":"call","op":"get","key":"x"}');
 * ```
 */
export function formatHistoryLine(line: HistoryLine): string {
  const fields = line as unknown as Readonly<Record<string, unknown>>;
  const written = FIELDS.flatMap((name) => fields[name] === undefined ? [] : [[name, fields[name]] as const]);
  return JSON.stringify(Object.fromEntries(written));
}

/**
 * Reads a client history. Empty lines, unknown events and unknown fields are skipped, and so is a last line that was cut off
 * (it has no line feed): a client that was killed may leave one.
 *
 * @param text The lines.
 * @returns The lines, the model first.
 * @throws {TuttiError} `InvalidArgument` for a malformed line, with its number, and when the model is missing
 *
 * @example
 * ```ts
 * import { parseHistory } from "@tutti/tutti/testing";
 *
 * const text = '{"model":"register"}\n{"t":12,"p":"a","id":1,"e":"call","op":"write","in":5}\n';
 * console.assert(parseHistory(text).length === 2);
 * ```
 */
export function parseHistory(text: string): HistoryLine[] {
  const rows = text.split("\n");
  const lines: HistoryLine[] = [];
  for (let index = 0; index < rows.length; index++) {
    const row = rows[index].trim();
    if (row === "") continue;
    let value: unknown;
    try {
      value = JSON.parse(row);
    } catch (cause) {
      if (index === rows.length - 1) break;
      throw malformed(index, "it is not JSON", cause);
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw malformed(index, "it is not an object");
    }
    const fields = value as Readonly<Record<string, unknown>>;
    if (lines.length === 0) lines.push(toModelLine(fields, index));
    else lines.push(...toEventLine(fields, index));
  }
  if (lines.length === 0) throw malformed(0, "the model is missing");
  return lines;
}

function toModelLine({ model }: Readonly<Record<string, unknown>>, index: number): ModelLine {
  const known = HISTORY_MODELS.find((name) => name === model);
  if (known !== undefined) return { model: known };
  throw malformed(index, `"model" is ${JSON.stringify(model)}, not one of ${HISTORY_MODELS.join(", ")}`);
}

/** The line, or nothing for an event of a later version. */
function toEventLine(fields: Readonly<Record<string, unknown>>, index: number): HistoryEventLine[] {
  const { t, p, id, e, op, key } = fields;
  if (typeof e !== "string") throw malformed(index, `"e" is ${JSON.stringify(e)}`);
  if (e !== "call" && e !== "ret" && e !== "fail" && e !== "info") return [];
  if (typeof t !== "number" || typeof id !== "number") throw malformed(index, '"t" or "id" is no number');
  if (e === "call") {
    if (typeof p !== "string" || typeof op !== "string") throw malformed(index, '"p" or "op" is no text');
    if (key !== undefined && typeof key !== "string") throw malformed(index, '"key" is no text');
    return [{
      t,
      p,
      id,
      e,
      op,
      ...(key === undefined ? {} : { key }),
      ...(fields.in === undefined ? {} : { in: fields.in }),
    }];
  }
  if (e === "ret") return [{ t, id, e, ...(fields.out === undefined ? {} : { out: fields.out }) }];
  return [{ t, id, e }];
}

function malformed(index: number, what: string, cause?: unknown): TuttiError {
  return new TuttiError(
    "InvalidArgument",
    `Cannot read the history: line ${
      index + 1
    } is malformed, ${what}; write the model and then one JSON object on each line`,
    { cause },
  );
}

/**
 * Merges what several processes recorded with one clock. Where times are equal nobody knows what came first: calls are put
 * before outcomes, so that the operations overlap. Ids are given anew; clients must have different names in different processes.
 *
 * @param histories The histories, all of one model.
 * @returns One history in the order of time.
 * @throws {TuttiError} `InvalidArgument` when there is none, or the models differ
 *
 * @example
 * ```ts
 * import { mergeHistories, parseHistory } from "@tutti/tutti/testing";
 *
 * const one = parseHistory('{"model":"register"}\n{"t":1,"p":"a","id":1,"e":"call","op":"read"}');
 * const two = parseHistory('{"model":"register"}\n{"t":0,"p":"b","id":1,"e":"call","op":"read"}');
 * const [, first] = mergeHistories(one, two);
 * console.assert("p" in first && first.p === "b");
 * ```
 */
export function mergeHistories(...histories: readonly (readonly HistoryLine[])[]): HistoryLine[] {
  const models = histories.map(([first]) => first !== undefined && "model" in first ? first.model : "none");
  if (models.length === 0 || models.some((model) => model !== models[0])) {
    throw new TuttiError(
      "InvalidArgument",
      `Cannot merge the histories: their models are ${models.join(", ")}; merge histories of one model`,
    );
  }
  let last = 0;
  const events = histories.flatMap((lines) => {
    const ids = new Map<number, number>();
    return lines.flatMap((line): HistoryEventLine[] => {
      if ("model" in line) return [];
      let id = ids.get(line.id);
      if (id === undefined) ids.set(line.id, id = ++last);
      return [{ ...line, id }];
    });
  });
  const rank = ({ e }: HistoryEventLine): number => e === "call" ? 0 : 1;
  return [histories[0][0], ...events.sort((a, b) => a.t - b.t || rank(a) - rank(b))];
}

/**
 * The node trace: what every member sent, delivered and installed, one JSON object on each line.
 *
 * A node's own lines stand in the order in which the events happened; between nodes the order of a merged trace says
 * something only where one program wrote it (a simulation). The reader tolerates what later versions may add: unknown
 * fields and unknown events are skipped.
 */
import { TuttiError } from "../base/errors.ts";

/** What the line of a node's event carries besides the event. */
export interface TraceOrigin {
  /** The node's id, the same after a restart. */
  readonly n: string;
  /** Nanoseconds of one monotonic clock of the machine. */
  readonly t?: number;
  /** The group; left out when there is one. */
  readonly g?: string;
}

/** The application hands over message `m`, unique in the run. */
export interface SendLine extends TraceOrigin {
  /** What happened. */
  readonly e: "send";
  /** The message. */
  readonly m: string;
  /** The send was rejected to its caller. */
  readonly failed?: boolean;
}

/** Just before the application's callback gets message `m`. */
export interface DeliverLine extends TraceOrigin {
  /** What happened. */
  readonly e: "deliver";
  /** The message. */
  readonly m: string;
  /** The node that sent it. */
  readonly from: string;
  /** Its position, for total order. */
  readonly i?: number;
  /** A restart delivers again what was delivered before. */
  readonly replay?: boolean;
}

/** The sender's receipt resolves at the level asked for. */
export interface AckedLine extends TraceOrigin {
  /** What happened. */
  readonly e: "acked";
  /** The message. */
  readonly m: string;
}

/**
 * Why a member of one view is not in the next: it asked to leave (`left`), did not answer (`crashed`), held up others
 * (`slow`), or its process came back as a new life (`restarted`).
 */
export type DepartureReason = "left" | "crashed" | "slow" | "restarted";

/** A view is installed; `v` grows by one within a membership. */
export interface ViewLine extends TraceOrigin {
  /** What happened. */
  readonly e: "view";
  /** Number of the view. */
  readonly v: number;
  /** The nodes in it, the most senior first. */
  readonly members: readonly string[];
  /** Members of the view before that are not in this one, and why. */
  readonly departed?: Readonly<Record<string, DepartureReason>>;
}

/**
 * The node starts from a state transfer, and the snapshot is in place: what came before is not asked of it. Deliveries before
 * its first view are the tail, which the giver delivered after the snapshot.
 */
export interface JoinLine extends TraceOrigin {
  /** What happened. */
  readonly e: "join";
}

/** A living node learns that it is no member any more; what it had sent without confirmation has an unknown fate. */
export interface EvictedLine extends TraceOrigin {
  /** What happened. */
  readonly e: "evicted";
  /** The last view of which it was a member. */
  readonly v: number;
}

/** The node leaves in good order and does nothing more in this life. */
export interface LeaveLine extends TraceOrigin {
  /** What happened. */
  readonly e: "leave";
}

/** A node accepts an epoch; its number is that of the view. */
export interface EpochLine extends TraceOrigin {
  /** What happened. */
  readonly e: "epoch";
  /** Number of the epoch. */
  readonly epoch: number;
  /** Who leads it, as this node was told. */
  readonly leader?: string;
}

/** A node acts as an epoch's leader for the first time. */
export interface LeaderLine extends TraceOrigin {
  /** What happened. */
  readonly e: "leader";
  /** The epoch that it leads. */
  readonly epoch: number;
}

/** An election of who should propose the next view has ended at a node; for people and statistics. */
export interface ElectionLine extends TraceOrigin {
  /** What happened. */
  readonly e: "election";
  /** The epoch in which it was held. */
  readonly epoch: number;
  /** Name of the strategy. */
  readonly strategy: string;
  /** The node elected. */
  readonly winner: string;
  /** How many messages it took. */
  readonly messages: number;
}

/** The node was killed; written by the harness that did it. */
export interface CrashLine extends TraceOrigin {
  /** What happened. */
  readonly e: "crash";
}

/** The caller holds a lock (`lock`), has given it up (`unlock`), or the service has taken it back (`expire`). */
export interface LockLine extends TraceOrigin {
  /** What happened. */
  readonly e: "lock" | "unlock" | "expire";
  /** Name of the lock. */
  readonly lock: string;
  /** Fencing token of the holder. */
  readonly token: number;
}

/** The guarded resource was used under a token. */
export interface UseLine extends TraceOrigin {
  /** What happened. */
  readonly e: "use";
  /** Name of the lock that guards the resource. */
  readonly lock: string;
  /** Fencing token under which it was used. */
  readonly token: number;
  /** Whether the resource let it happen. */
  readonly accepted: boolean;
}

/** A handler's effect took place (`effect`); its completion was confirmed (`done`). */
export interface EffectLine extends TraceOrigin {
  /** What happened. */
  readonly e: "effect" | "done";
  /** What was handled, unique in the run. */
  readonly id: string;
}

/** Once, at the end: the nodes that are up, joined and have had time to settle. */
export interface EndLine {
  /** The run is over. */
  readonly e: "end";
  /** The nodes that are asked to have delivered everything. */
  readonly correct: readonly string[];
}

/** A line of a node's own. */
export type NodeLine =
  | SendLine
  | DeliverLine
  | AckedLine
  | ViewLine
  | JoinLine
  | EvictedLine
  | LeaveLine
  | EpochLine
  | LeaderLine
  | ElectionLine
  | CrashLine
  | LockLine
  | UseLine
  | EffectLine;

/** One line of a node trace; switch on `e`. */
export type TraceLine = NodeLine | EndLine;

type Field = "text" | "number" | "boolean" | "texts" | "departures";
/** The types, for people. */
const EXPECTED: Readonly<Record<Field, string>> = {
  text: "a text",
  number: "a number",
  boolean: "true or false",
  texts: "a list of texts",
  departures: "reasons by name",
};
type FieldRule = readonly [name: string, type: Field, optional?: "optional"];

const MESSAGE: FieldRule = ["m", "text"];
const GROUP: FieldRule = ["g", "text", "optional"];
const EPOCH: FieldRule = ["epoch", "number"];
const LOCK: readonly FieldRule[] = [["lock", "text"], ["token", "number"], GROUP];

/** The fields of each event after `n`, `t` and `e`, in the order in which they are written. */
const FIELDS: Readonly<Record<TraceLine["e"], readonly FieldRule[]>> = {
  send: [MESSAGE, GROUP, ["failed", "boolean", "optional"]],
  deliver: [
    MESSAGE,
    ["from", "text"],
    GROUP,
    ["i", "number", "optional"],
    ["replay", "boolean", "optional"],
  ],
  acked: [MESSAGE, GROUP],
  view: [["v", "number"], ["members", "texts"], GROUP, ["departed", "departures", "optional"]],
  join: [GROUP],
  evicted: [["v", "number"], GROUP],
  leave: [GROUP],
  epoch: [EPOCH, GROUP, ["leader", "text", "optional"]],
  leader: [EPOCH, GROUP],
  election: [EPOCH, ["strategy", "text"], ["winner", "text"], ["messages", "number"], GROUP],
  crash: [GROUP],
  lock: LOCK,
  unlock: LOCK,
  expire: LOCK,
  use: [["lock", "text"], ["token", "number"], ["accepted", "boolean"], GROUP],
  effect: [["id", "text"], GROUP],
  done: [["id", "text"], GROUP],
  end: [["correct", "texts"]],
};

const DEPARTURES: ReadonlySet<unknown> = new Set<DepartureReason>(["left", "crashed", "slow", "restarted"]);

const NODE: readonly FieldRule[] = [["n", "text"], ["t", "number", "optional"]];

/**
 * Writes one line of a trace.
 *
 * @param line What happened.
 * @returns JSON without a line feed; the keys always in the same order: `n`, `t`, `e`, what the event carries, `g`, marks.
 *
 * @example
 * ```ts
 * import { formatTraceLine } from "@tutti/tutti/testing";
 *
 * console.assert(formatTraceLine({ e: "send", m: "m1", n: "a" }) === '{"n":"a","e":"send","m":"m1"}');
 * ```
 */
export function formatTraceLine(line: TraceLine): string {
  const fields = line as unknown as Readonly<Record<string, unknown>>;
  const written: Record<string, unknown> = {};
  if (line.e !== "end") {
    written.n = line.n;
    if (line.t !== undefined) written.t = line.t;
  }
  written.e = line.e;
  for (const [name] of FIELDS[line.e]) {
    if (fields[name] !== undefined) written[name] = fields[name];
  }
  return JSON.stringify(written);
}

/**
 * Reads a trace. Empty lines, unknown events and unknown fields are skipped, and so is a last line that was cut off (it has
 * no line feed): a node that was killed may leave one.
 *
 * @param text The lines.
 * @returns The events, in the order of the lines.
 * @throws {TuttiError} `InvalidArgument` for a malformed line, with its number
 *
 * @example
 * ```ts
 * import { parseTrace } from "@tutti/tutti/testing";
 *
 * const [line] = parseTrace('{"n":"a","e":"join"}\n');
 * console.assert(line.e === "join");
 * ```
 */
export function parseTrace(text: string): TraceLine[] {
  const rows = text.split("\n");
  const lines: TraceLine[] = [];
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
    const line = toLine(value, index);
    if (line !== undefined) lines.push(line);
  }
  return lines;
}

function toLine(value: unknown, index: number): TraceLine | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw malformed(index, "it is not an object");
  }
  const fields = value as Readonly<Record<string, unknown>>;
  const event = fields.e;
  if (typeof event !== "string") throw malformed(index, `"e" is ${JSON.stringify(event)}`);
  if (!Object.hasOwn(FIELDS, event)) return undefined;
  const rules = FIELDS[event as TraceLine["e"]];
  const read: Record<string, unknown> = { e: event };
  for (const [name, type, optional] of event === "end" ? rules : [...NODE, ...rules]) {
    const field = fields[name];
    if (field === undefined && optional !== undefined) continue;
    if (!hasType(field, type)) {
      throw malformed(
        index,
        `"${name}" of "${event}" is ${JSON.stringify(field) ?? "missing"}, not ${EXPECTED[type]}`,
      );
    }
    read[name] = field;
  }
  return read as unknown as TraceLine;
}

function hasType(value: unknown, type: Field): boolean {
  switch (type) {
    case "text":
      return typeof value === "string";
    case "number":
      return typeof value === "number";
    case "boolean":
      return typeof value === "boolean";
    case "texts":
      return Array.isArray(value) && value.every((item) => typeof item === "string");
    case "departures":
      return typeof value === "object" && value !== null && !Array.isArray(value) &&
        Object.values(value).every((reason) => DEPARTURES.has(reason));
  }
}

function malformed(index: number, what: string, cause?: unknown): TuttiError {
  return new TuttiError(
    "InvalidArgument",
    `Cannot read the trace: line ${index + 1} is malformed, ${what}; write one JSON object on each line`,
    { cause },
  );
}

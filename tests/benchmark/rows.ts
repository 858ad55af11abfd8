/** The rows of the benchmark, by name. */
import type { EngineName, LevelName } from "../../mod.ts";
import type { Promised } from "./member.ts";
import type { Subject } from "./rounds.ts";

/** A row of the result: a subject under its name. */
export interface Row extends Subject {
  readonly name: string;
  /** Whether it is about how fast a group is, or how fast it goes on once its leader is gone. */
  readonly kind: "pace" | "recovery";
}

const PAYLOADS = [100, 1024, 10_240] as const;
const SIZES: Readonly<Record<number, string>> = { 100: "100B", 1024: "1KB", 10_240: "10KB" };
const ENGINES: readonly EngineName[] = ["sequencer", "lamport"];
const LEVELS: readonly LevelName[] = ["agreed", "safe", "durable"];
/** Members in the rows that do not say how many. */
const MEMBERS = 3;
const MEMBERS_MORE = 5;

const FIFO: Promised = { order: "fifo", engine: null, level: null };
const TOTAL: readonly Promised[] = ENGINES.flatMap((engine) =>
  LEVELS.map((level) => ({ order: "total" as const, engine, level }))
);

/** Every row there is: first those whose group is to be compared with raw, by size of the messages and of the group. */
export const ROWS: readonly Row[] = [
  ...PAYLOADS.flatMap((payloadBytes) => [
    ...[null, FIFO, ...TOTAL].map((promised) => row("pace", promised, MEMBERS, payloadBytes)),
    ...[null, ...TOTAL].map((promised) => row("pace", promised, MEMBERS_MORE, payloadBytes)),
  ]),
  ...TOTAL.filter(({ level }) => level !== "agreed").map((promised) =>
    row("recovery", promised, MEMBERS, PAYLOADS[0])
  ),
];

/** Rows that `--only` names: by their whole names, or by how they begin. */
export function rowsNamed(only: string): readonly Row[] {
  return ROWS.filter(({ name }) => name === only || `${name}-`.startsWith(`${only}-`));
}

/** The row of raw zeromq.js with which another one is compared. */
export function rawFor({ members, payloadBytes }: Row): Row {
  return ROWS.find((raw) =>
    raw.promised === null && raw.members === members && raw.payloadBytes === payloadBytes
  ) as Row;
}

function row(kind: Row["kind"], promised: Promised | null, members: number, payloadBytes: number): Row {
  const subject = promised === null
    ? "raw"
    : promised.order === "total"
    ? `${promised.engine}-${promised.level}`
    : promised.order;
  const parts = [
    ...(kind === "recovery" ? [kind] : []),
    subject,
    ...(members === MEMBERS ? [] : [members]),
    ...(kind === "recovery" ? [] : [SIZES[payloadBytes]]),
  ];
  return { name: parts.join("-"), kind, promised, members, payloadBytes };
}

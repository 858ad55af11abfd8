/** A member of a measured group, as the processes of the benchmark start it. */
import {
  type EngineName,
  type Group,
  join,
  type JoinOptions,
  type LevelName,
  type OrderName,
} from "../../mod.ts";
import { sqliteStore } from "../../storage/sqlite/mod.ts";
import { zeromq } from "../../transports/zeromq/mod.ts";

/** What a group promises about order. */
export interface Promised {
  readonly order: OrderName;
  /** Only for the order `total`, as is the level. */
  readonly engine: EngineName | null;
  readonly level: LevelName | null;
}

/** What a process is told about its member. */
export interface MemberSettings extends Promised {
  readonly name: string;
  readonly listen: string;
  readonly peers: readonly string[];
  /** File of its store; `null` for none. */
  readonly store: string | null;
}

/** Joins over ZeroMQ, with the default limits and times. */
export async function joinMeasured(
  { name, listen, peers, order, engine, level, store }: MemberSettings,
  callbacks: Pick<JoinOptions, "onMessages">,
): Promise<Group> {
  return await join({
    group: "benchmark",
    name,
    order,
    ...(engine === null ? {} : { engine }),
    ...(level === null ? {} : { level }),
    // With a state, as small as it may be, the log is shortened now and then, as it would be in an application.
    ...(store === null ? {} : { store: sqliteStore(store), state: NOTHING }),
    transport: zeromq({ listen }),
    peers,
    ...callbacks,
  });
}

const NOTHING = { snapshot: (): Uint8Array => new Uint8Array(1), restore: (): void => {} };

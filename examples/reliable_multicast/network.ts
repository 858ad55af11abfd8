/** Joins the group over the transport that was asked for. */
import { mkdirSync } from "node:fs";
import { join as joinPath } from "node:path";
import { type Group, join, type JoinOptions } from "@tutti/tutti";
import { memory } from "@tutti/tutti/memory";
import { sqliteStore } from "@tutti/tutti/sqlite";
import { udp } from "@tutti/tutti/udp";
import { zeromq } from "@tutti/tutti/zeromq";
import type { Options } from "./options.ts";

/** A member of the group, and those that had to be brought along. */
export interface Membership {
  readonly group: Group;
  /** Which transport, for people. */
  readonly description: string;
  /** Leaves; `group` must have left before. */
  close(): Promise<void>;
}

/** What a process takes part with. */
export type Part = Pick<JoinOptions, "state" | "trace">;

/** How messages are ordered, as the library wants to be told. */
function ordering({ name, group, order, engine, level, store }: Options): Partial<JoinOptions> {
  if (order !== "total") return { order };
  if (store === undefined) return { order, engine, level };
  mkdirSync(store, { recursive: true });
  const path = joinPath(store, `${encodeURIComponent(name)}.db`);
  return { order, engine, level, store: sqliteStore(path, { group, member: name }) };
}

/**
 * Joins.
 *
 * @throws {TuttiError} `AddressInUse`, `InvalidAddress`, `InvalidArgument`, `StoreInUse`, `StoreFailed`, `Unsupported`
 */
export async function joinGroup(options: Options, part: Part): Promise<Membership> {
  const { name, group, election, expect, host, port, peers } = options;
  if (options.transport === "memory") return await joinInMemory(options, part);
  const overUdp = options.transport === "udp";
  const endpoint = (at: number): string => `${overUdp ? "udp" : "tcp"}://${host}:${at}`;
  const listen = endpoint(port);
  return {
    group: await join({
      name,
      group,
      ...ordering(options),
      election,
      expect,
      transport: overUdp ? udp({ listen }) : zeromq({ listen }),
      peers: peers.map(endpoint),
      ...part,
    }),
    description: `${options.transport} at ${listen}`,
    close: () => Promise.resolve(),
  };
}

/** Nobody outside of a process can be reached through its memory, so the peers run in here: they listen and confirm. */
async function joinInMemory(options: Options, part: Part): Promise<Membership> {
  const { name, group, election, expect, port, peers } = options;
  const ports = [port, ...peers];
  const members: Group[] = [];
  for (const at of ports) {
    members.push(
      await join({
        name: at === port ? name : `listener-${at}`,
        group,
        ...ordering(options),
        election,
        expect,
        transport: memory(String(at)),
        peers: ports.filter((other) => other !== at).map((other) => `memory:${other}`),
        ...(at === port ? part : { onMessages: () => {} }),
      }),
    );
  }
  return {
    group: members[0],
    description: `memory, which reaches no other process: the members at ${
      peers.join(", ")
    } are silent listeners in this one`,
    close: async () => {
      for (const listener of members.slice(1)) await listener.close({ deadline: 0 });
    },
  };
}

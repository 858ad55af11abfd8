/**
 * The space-time log for ShiViz: each event of a trace with a valid vector clock.
 *
 * Guarantee: hosts are the nodes; at every line of a host its own entry rises by one; a delivery's clock includes that of the send
 * of its message (Fidge 1988, Mattern 1989). Lines stand in an order in which causes come first, whatever order the trace was merged
 * in.
 */
import { compareNatural } from "../base/ids.ts";
import { VectorClock } from "../clock/vector.ts";
import { causalOrder } from "./checkers/causal_order.ts";
import type { NodeLine, TraceLine, ViewLine } from "../runtime/trace.ts";

/**
 * Writes a trace as pairs of lines, `host {"host":1,...}` and the event's text, as ShiViz reads them with its pattern
 * `(?<host>\S*) (?<clock>{.*})\n(?<event>.*)`.
 *
 * @param lines The trace, each node's lines in the order in which they happened; `end` is left out.
 * @returns The log; empty for an empty trace.
 *
 * @example
 * ```ts
 * import { formatShiViz } from "@tutti/tutti/testing";
 *
 * const log = formatShiViz([{ n: "a", e: "send", m: "m1" }, { n: "b", e: "deliver", m: "m1", from: "a" }]);
 * console.assert(log === 'a {"a":1}\nsend m1\nb {"a":1,"b":1}\ndeliver m1 from a\n');
 * ```
 */
export function formatShiViz(lines: readonly TraceLine[]): string {
  const hosts = [...new Set(lines.flatMap((line) => line.e === "end" ? [] : [line.n]))].sort(compareNatural);
  const indexOf = new Map(hosts.map((host, index) => [host, index]));
  const clocks = hosts.map(() => new VectorClock(hosts.length));
  const sent = new Map<string, VectorClock>();
  let log = "";
  for (const index of causalOrder(lines).order) {
    const line = lines[index];
    if (line.e === "end") continue;
    const host = indexOf.get(line.n)!;
    const clock = clocks[host];
    const cause = line.e === "deliver" ? sent.get(line.m) : undefined;
    if (cause !== undefined) clock.merge(cause);
    clock.tick(host);
    if (line.e === "send" && !sent.has(line.m)) sent.set(line.m, clock.copy());
    const entries = clock.toArray().flatMap((count, other) =>
      count > 0 ? [[hosts[other], count] as const] : []
    );
    log += `${line.n} ${JSON.stringify(Object.fromEntries(entries))}\n${describe(line)}\n`;
  }
  return log;
}

function describe(line: NodeLine): string {
  const group = line.g === undefined ? "" : ` in ${line.g}`;
  return `${event(line)}${group}`.replace(/\s/g, " ");
}

function event(line: NodeLine): string {
  switch (line.e) {
    case "send":
      return line.failed ? `send ${line.m} failed` : `send ${line.m}`;
    case "deliver": {
      const position = line.i === undefined ? "" : ` at ${line.i}`;
      return `${line.replay ? "replay" : "deliver"} ${line.m} from ${line.from}${position}`;
    }
    case "acked":
      return `acked ${line.m}`;
    case "view":
      return `view ${line.v} of ${line.members.join(", ")}${departures(line)}`;
    case "join":
    case "leave":
    case "crash":
      return line.e;
    case "evicted":
      return `evicted after view ${line.v}`;
    case "epoch":
      return `epoch ${line.epoch}${line.leader === undefined ? "" : ` led by ${line.leader}`}`;
    case "leader":
      return `leader ${line.epoch}`;
    case "election":
      return `election of ${line.winner} in epoch ${line.epoch} by ${line.strategy} with ${line.messages} messages`;
    case "lock":
    case "unlock":
    case "expire":
      return `${line.e} ${line.lock} with token ${line.token}`;
    case "use":
      return `use ${line.lock} with token ${line.token}: ${line.accepted ? "accepted" : "refused"}`;
    case "effect":
    case "done":
      return `${line.e} ${line.id}`;
  }
}

function departures({ departed = {} }: ViewLine): string {
  const gone = Object.entries(departed).map(([name, reason]) => `${name} ${reason}`);
  return gone.length === 0 ? "" : ` (${gone.join(", ")})`;
}

/**
 * Shows without a search that no order can be, for objects that hold one value: registers and places of a map. Where a value has one
 * maker, it is there from the first answer that says so to the last call that is answered with it, at least: its *zone*. Two values
 * cannot be there at once, so zones do not overlap, and nothing else takes place within one. (Gibbons and Korach 1997, "Testing
 * shared memories", where all values are different and there are only reads and writes, and this decides.)
 */
import type { Operation } from "./operations.ts";

/** What operations have to do with the one value of an object. */
export interface ValueModel {
  /** The value at the beginning, as text. */
  readonly start: string;
  /** The value that must be there when an operation takes place, where its answer says so. */
  readonly needs: (operation: Operation) => string | undefined;
  /** The value that is there when it has taken place; of a pending operation, that may be. */
  readonly makes: (operation: Operation) => string | undefined;
}

/** All operations that make one value, or need it. */
interface Cluster {
  readonly value: string;
  makerCount: number;
  makerCall: number;
  /** The first answer of one that needs it. */
  firstNeedEnd: number;
  /** The first answer, and the last call. */
  firstEnd: number;
  lastCall: number;
}

/**
 * Looks for a contradiction between zones.
 *
 * @param model What operations have to do with the value.
 * @param operations What was called.
 * @returns True when no order can be; false when that is not known.
 */
export function contradictsZones(model: ValueModel, operations: readonly Operation[]): boolean {
  const clusters = clustersOf(model, operations);
  const zones: Cluster[] = [];
  for (const cluster of clusters) {
    if (cluster.makerCount === 0) return true;
    if (cluster.makerCount > 1) continue;
    if (cluster.firstNeedEnd < cluster.makerCall) return true;
    if (cluster.firstEnd < cluster.lastCall) zones.push(cluster);
  }
  zones.sort((a, b) => a.firstEnd - b.firstEnd);
  if (zones.some(({ firstEnd }, place) => place > 0 && firstEnd < zones[place - 1].lastCall)) return true;
  const isWithin = (from: number, to: number, ...values: readonly (string | undefined)[]): boolean => {
    const zone = zoneBefore(zones, from);
    return zone !== undefined && to < zone.lastCall && !values.includes(zone.value);
  };
  return operations.some((operation) => {
    const need = model.needs(operation);
    const make = model.makes(operation);
    if (operation.pending || (need === undefined && make === undefined)) return false;
    return isWithin(operation.callIndex, operation.endIndex, need, make);
  }) || clusters.some(({ value, makerCount, firstEnd, lastCall }) =>
    // All of these have an instant in common, or surround the zone and cannot have been before and after it.
    makerCount === 1 && lastCall < firstEnd && isWithin(lastCall, firstEnd, value)
  );
}

function clustersOf(
  model: ValueModel,
  operations: readonly Operation[],
): Cluster[] {
  const clusters = new Map<string, Cluster>();
  const clusterOf = (value: string): Cluster => {
    let cluster = clusters.get(value);
    if (cluster === undefined) {
      cluster = {
        value,
        makerCount: 0,
        makerCall: -1,
        firstNeedEnd: Infinity,
        firstEnd: Infinity,
        lastCall: -1,
      };
      clusters.set(value, cluster);
    }
    return cluster;
  };
  const start = clusterOf(model.start);
  start.makerCount = 1;
  start.firstEnd = -1;
  for (const operation of operations) {
    const { callIndex, endIndex } = operation;
    const need = model.needs(operation);
    const make = model.makes(operation);
    for (const value of new Set([need, make])) {
      if (value === undefined) continue;
      const cluster = clusterOf(value);
      cluster.firstEnd = Math.min(cluster.firstEnd, endIndex);
      cluster.lastCall = Math.max(cluster.lastCall, callIndex);
    }
    if (need !== undefined) {
      const cluster = clusterOf(need);
      cluster.firstNeedEnd = Math.min(cluster.firstNeedEnd, endIndex);
    }
    if (make !== undefined) {
      const cluster = clusterOf(make);
      cluster.makerCount++;
      cluster.makerCall = callIndex;
    }
  }
  return [...clusters.values()];
}

/** The last zone that begins before a line; zones are sorted and do not overlap. */
function zoneBefore(zones: readonly Cluster[], line: number): Cluster | undefined {
  let low = 0;
  let high = zones.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (zones[middle].firstEnd < line) low = middle + 1;
    else high = middle;
  }
  return zones[low - 1];
}

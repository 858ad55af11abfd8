/**
 * What is said outside of any view, in CBOR: HELLO, WELCOME, REFUSE, OUT, HELD, PULL. Each names its sender's address, since
 * a packet outside of a view has no rank to know it by.
 */
import {
  type Address,
  GROUP_BYTES_MAX,
  isName,
  type MemberName,
  MEMBERS_MAX,
  NAME_BYTES_MAX,
} from "../base/ids.ts";
import { readMembers } from "../membership/proposal.ts";
import type { View } from "../membership/view.ts";
import { type ControlMap, isAddress, isCount, isCounts } from "../wire/control.ts";
import { PULL_RUNS_MAX } from "../wire/limits.ts";

/** Longest description of what is replicated, in UTF-16 code units. */
const REPLICAS_LENGTH_MAX = 512;

/** Who somebody is, how it is configured, and where it stands. */
export interface Hello {
  /** Name of the group. */
  readonly group: string;
  /** Own name. */
  readonly name: MemberName;
  /** Own address. */
  readonly address: Address;
  /** Own life. */
  readonly incarnation: number;
  /** Own order of delivery. */
  readonly order: string;
  /** Own strategy of election. */
  readonly election: string;
  /** How many messages of one sender it holds at the most. */
  readonly windowMessages: number;
  /** How many bytes of one sender's messages it holds at the most. */
  readonly windowBytes: number;
  /** Largest message that it sends, in bytes. */
  readonly messageBytesMax: number;
  /** How long it hears nothing before it suspects, in whole milliseconds: the same everywhere, or a leader's lease would mean nothing. */
  readonly suspectMinMs: number;
  /** Those with whom it would found a group, in natural order; empty if it only joins. */
  readonly founders: readonly Address[];
  /** What it replicates; `""` for nothing. */
  readonly replicas: string;
  /** Number of its view; 0 if it has none. */
  readonly view: number;
  /** Lineage of its view; 0 if it has none. */
  readonly lineage: number;
  /** The former life that it votes for; 0 for none. */
  readonly voter: number;
  /** If it has no view: number of the view with whose messages it has caught up, 0 for none. */
  readonly ready: number;
}

/** The present view of a member, for one that is not in it. */
export interface Welcome {
  /** Address of the member. */
  readonly from: Address;
  /** Life of the addressee. */
  readonly incarnation: number;
  /** The view. */
  readonly view: View;
  /** Whether the member hears no quorum of it, so that nobody can be let in. */
  readonly blocked: boolean;
}

/** Why a HELLO was refused. */
export interface Refusal {
  /** Address of who refuses. */
  readonly from: Address;
  /** For people: what differs. */
  readonly reason: string;
  /** The refused life. */
  readonly incarnation: number;
}

/** One that is in no view any more. */
export interface Out {
  /** Address of the member that says so. */
  readonly from: Address;
  /** The life that is over. */
  readonly incarnation: number;
  /** Lineage of the view. */
  readonly lineage: number;
}

/** A joiner holds a cut. */
export interface Held {
  /** Address of the joiner. */
  readonly from: Address;
}

/** A joiner asks for a part of a state transfer. */
export interface Pull {
  /** Address of the joiner. */
  readonly from: Address;
  /** Number of the transfer; 0 to start one. */
  readonly transfer: number;
  /** First byte wanted. */
  readonly offset: number;
  /** How many bytes are wanted at the most. */
  readonly bytes: number;
  /** From the first byte wanted on, how many bytes are missing, how many of those that follow are held, and so on in turn. */
  readonly runs: readonly number[];
}

/** Reads a HELLO. */
export function readHello(map: ControlMap | undefined): Hello | undefined {
  if (map === undefined) return undefined;
  const { group, name, address, incarnation, order, election, founders, view, lineage, ready, voter } = map;
  const { windowMessages, windowBytes, messageBytesMax, suspectMinMs, replicas } = map;
  if (!isCount(suspectMinMs)) return undefined;
  if (typeof replicas !== "string" || replicas.length > REPLICAS_LENGTH_MAX) return undefined;
  if (!isName(group, GROUP_BYTES_MAX) || !isName(name, NAME_BYTES_MAX) || !isAddress(address)) {
    return undefined;
  }
  if (!isName(order, NAME_BYTES_MAX) || !isName(election, NAME_BYTES_MAX)) return undefined;
  if (!isCount(incarnation) || incarnation === 0 || !isCount(view) || !isCount(lineage) || !isCount(ready)) {
    return undefined;
  }
  if (!isCount(windowMessages) || windowMessages === 0 || !isCount(windowBytes) || windowBytes === 0) {
    return undefined;
  }
  if (!isCount(voter) || !isCount(messageBytesMax) || (view === 0) !== (lineage === 0)) return undefined;
  if (!Array.isArray(founders) || founders.length > MEMBERS_MAX || !founders.every(isAddress)) {
    return undefined;
  }
  return {
    group,
    name: name as MemberName,
    address,
    incarnation,
    order,
    election,
    windowMessages,
    windowBytes,
    messageBytesMax,
    suspectMinMs,
    founders,
    replicas,
    view,
    lineage,
    voter,
    ready,
  };
}

/** Reads a WELCOME. */
export function readWelcome(map: ControlMap | undefined): Welcome | undefined {
  if (map === undefined) return undefined;
  const { from, incarnation, blocked } = map;
  const view = readView(map);
  if (!isAddress(from) || !isCount(incarnation) || typeof blocked !== "boolean" || view === undefined) {
    return undefined;
  }
  return view.members.some((member) => member.address === from)
    ? { from, incarnation, view, blocked }
    : undefined;
}

/** Reads a view. */
export function readView(map: ControlMap): View | undefined {
  const { number, lineage, leader } = map;
  const members = readMembers(map.members);
  if (!isCount(number) || number === 0 || !isCount(lineage) || lineage === 0) return undefined;
  if (members === undefined || !isCount(leader) || leader >= members.length) return undefined;
  return { number, lineage, members, leader };
}

/** Reads a REFUSE. */
export function readRefusal(map: ControlMap | undefined): Refusal | undefined {
  if (map === undefined) return undefined;
  const { from, reason, incarnation } = map;
  if (!isAddress(from) || typeof reason !== "string" || reason.length > 4096 || !isCount(incarnation)) {
    return undefined;
  }
  return { from, reason, incarnation };
}

/** Reads an OUT. */
export function readOut(map: ControlMap | undefined): Out | undefined {
  if (map === undefined) return undefined;
  const { from, incarnation, lineage } = map;
  if (!isAddress(from) || !isCount(incarnation) || !isCount(lineage)) return undefined;
  return { from, incarnation, lineage };
}

/** Reads a HELD. */
export function readHeld(map: ControlMap | undefined): Held | undefined {
  return map !== undefined && isAddress(map.from) ? { from: map.from } : undefined;
}

/** Reads a PULL. */
export function readPull(map: ControlMap | undefined): Pull | undefined {
  if (map === undefined) return undefined;
  const { from, transfer, offset, bytes, runs = [] } = map;
  if (!isAddress(from) || !isCount(transfer) || !isCount(offset) || !isCount(bytes)) return undefined;
  if (!isCounts(runs) || runs.length > PULL_RUNS_MAX || runs.length % 2 !== 0) return undefined;
  return { from, transfer, offset, bytes, runs };
}

/**
 * How large the packets of a group have to be: what cannot be split, with the largest numbers that travel. So a group grows as far
 * as its packets allow, and no member finds out in the middle of a view change.
 */
import type { Address, MemberName } from "../base/ids.ts";
import { encodeControl } from "../wire/control.ts";
import { MESSAGE_HEADER_BYTES, NUMBER_MAX, PACKET_HEADER_BYTES } from "../wire/limits.ts";
import { textBytes } from "../wire/text.ts";
import { type GroupConfig, orderLabel } from "./config.ts";
import type { Hello } from "./greeting.ts";

const HEADERS_BYTES: number = PACKET_HEADER_BYTES + MESSAGE_HEADER_BYTES;
/** The rest of a PROMISE with an accepted proposal, the longest of the messages that name all members. */
const PROMISE_BYTES = 128;
/** Of each member, beside its name and address: its life and windows, its places in `holds` and `cut`, and that it departs. */
const MEMBER_BYTES = 62;

/** Who somebody is, as views have it. */
export interface Named {
  /** Its address. */
  readonly address: Address;
  /** Its name. */
  readonly name: MemberName;
}

/** Bytes of a packet that has room for whatever is said of a view of some members, and of the next one. */
export function viewPacketBytes(members: readonly Named[]): number {
  return members.reduce((sum, member) => sum + memberBytes(member), HEADERS_BYTES + PROMISE_BYTES);
}

/** Bytes of the packet with which a process greets. @param founders Those with whom it would found a group. */
export function helloPacketBytes(config: GroupConfig, founders: readonly Address[]): number {
  const { group, name, address, election, replicas = "" } = config;
  const hello: Hello = {
    group,
    name,
    address,
    incarnation: NUMBER_MAX,
    order: orderLabel(config),
    election,
    windowMessages: NUMBER_MAX,
    windowBytes: NUMBER_MAX,
    messageBytesMax: NUMBER_MAX,
    suspectMinMs: NUMBER_MAX,
    founders,
    replicas,
    view: NUMBER_MAX,
    lineage: NUMBER_MAX,
    voter: NUMBER_MAX,
    ready: NUMBER_MAX,
  };
  return HEADERS_BYTES + encodeControl(hello).length;
}

/** Those newcomers, from the first on, for whom a view has room beside its members; one may take the place of a former life. */
export function roomFor<M extends Named>(
  members: readonly Named[],
  newcomers: readonly M[],
  packetBytesMax: number,
): M[] {
  let bytes = viewPacketBytes(members);
  return newcomers.filter((newcomer) => {
    if (members.some(({ address }) => address === newcomer.address)) return true;
    const more = memberBytes(newcomer);
    if (bytes + more > packetBytesMax) return false;
    bytes += more;
    return true;
  });
}

function memberBytes({ address, name }: Named): number {
  return MEMBER_BYTES + textBytes(address) + textBytes(name);
}

/**
 * Views: who is a member. Here the one view is the configured list; it is the same for every member because the
 * handshake refuses anybody whose list differs.
 */
import { type Address, compareNatural, type Incarnation, type MemberName } from "../base/ids.ts";

/** A member of a view. */
export interface Member {
  /** Where it is reached. The order of addresses is the order of members. */
  readonly address: Address;
  /** Its name; `undefined` until it was heard for the first time. */
  readonly name: MemberName | undefined;
  /** Which life of it; 0 until it was heard for the first time. */
  readonly incarnation: Incarnation;
}

/** A numbered list of members, in the one order that all agree on. */
export interface View {
  /** Grows with every view; 1 for the configured list. */
  readonly number: number;
  /** The members, by rank. */
  readonly members: readonly Member[];
}

/** Addresses in the order of members, each once. */
export function orderAddresses(addresses: Iterable<Address>): Address[] {
  return [...new Set(addresses)].sort(compareNatural);
}

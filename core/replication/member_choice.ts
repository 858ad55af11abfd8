/**
 * Which member a client asks: the one that served it last, or the leader that was named, as long as that does well; else the
 * others in turn. One that did not answer is left alone for a while, and so is one to which there is no path, if there is one to others.
 */
import type { Address } from "../base/ids.ts";
import type { Random } from "../base/random.ts";

/** Most members that a client knows. */
export const KNOWN_MEMBERS_MAX = 128;
/** How long a member that did not answer is left alone, in milliseconds. */
const REST_MS = 3000;

interface Known {
  readonly address: Address;
  /** Whether the application named it: it is never forgotten. */
  readonly configured: boolean;
  /** What it wants to be shown; 0 for nothing yet. */
  token: number;
  /** When it may be asked again. */
  restsUntil: number;
  /** Whether there is a path to it and back. */
  reached: boolean;
}

/** The members that a client knows. */
export class MemberChoice {
  readonly #known = new Map<Address, Known>();
  readonly #random: Random;
  #preferred: Address | undefined = undefined;
  /** Number of the view whose members these are; 0 for none. */
  view = 0;

  constructor(configured: readonly Address[], random: Random) {
    this.#random = random;
    for (const address of configured) this.#add(address, true);
  }

  /** Their addresses. */
  get addresses(): Address[] {
    return [...this.#known.keys()];
  }

  /** Whether somebody is known. */
  has(address: Address): boolean {
    return this.#known.has(address);
  }

  /** What a member wants to be shown. */
  token(address: Address): number {
    return this.#known.get(address)?.token ?? 0;
  }

  /** A member has said what it wants to be shown. */
  proves(address: Address, token: number): void {
    const known = this.#known.get(address);
    if (known !== undefined) known.token = token;
  }

  /** Whether there is a path to a member and back. */
  reaches(address: Address): boolean {
    return this.#known.get(address)?.reached === true;
  }

  /** Whom to ask. @param except Whom not, if there is anybody else. */
  pick(now: number, except: Address | undefined): Address {
    const all = [...this.#known.values()];
    const others = all.filter(({ address }) => address !== except);
    const candidates = others.length > 0 ? others : all;
    const rested = candidates.filter(({ restsUntil }) => restsUntil <= now);
    const reached = rested.filter(({ reached }) => reached);
    const best = reached.length > 0 ? reached : rested;
    const preferred = best.find(({ address }) => address === this.#preferred);
    if (preferred !== undefined) return preferred.address;
    if (best.length > 0) return this.#random.pick(best).address;
    return candidates.reduce((best, one) => one.restsUntil < best.restsUntil ? one : best).address;
  }

  /** A member has answered. @param leader Who leads, as it says. */
  answered(address: Address, leader: Address | undefined, now: number): void {
    const known = this.#known.get(address);
    if (known === undefined) return;
    known.restsUntil = now;
    this.hinted(leader, now);
    this.#preferred ??= address;
  }

  /** Somebody is said to lead: it is asked from now on, unless it did not answer a short while ago. */
  hinted(leader: Address | undefined, now: number): void {
    const leads = leader === undefined ? undefined : this.#known.get(leader);
    if (leads !== undefined && leads.restsUntil <= now) this.#preferred = leader;
  }

  /** There is a path to a member and back, so that it may be asked again, or there is none any more. */
  reachable(address: Address, up: boolean, now: number): void {
    const known = this.#known.get(address);
    if (known === undefined) return;
    known.reached = up;
    if (up) known.restsUntil = -Infinity;
    else this.failed(address, now);
  }

  /** A member did not answer, or cannot serve. */
  failed(address: Address, now: number): void {
    const known = this.#known.get(address);
    if (known !== undefined) known.restsUntil = now + REST_MS * this.#random.between(0.75, 1.25);
    if (this.#preferred === address) this.#preferred = undefined;
  }

  /**
   * There is a view with these members: they are known from now on, and those that were known by an older view only are not.
   *
   * @returns Addresses to reach for, and addresses to let go.
   */
  entered(
    view: number,
    members: readonly Address[],
  ): { readonly reach: Address[]; readonly leave: Address[] } {
    if (view <= this.view || members.length === 0) return { reach: [], leave: [] };
    this.view = view;
    const leave = [...this.#known.values()].filter(({ address, configured }) =>
      !configured && !members.includes(address)
    ).map(({ address }) => address);
    for (const address of leave) {
      this.#known.delete(address);
      if (this.#preferred === address) this.#preferred = undefined;
    }
    const reach = members.filter((address) => this.#add(address, false));
    return { reach, leave };
  }

  /** @returns Whether it is new. */
  #add(address: Address, configured: boolean): boolean {
    if (this.#known.has(address) || (this.#known.size >= KNOWN_MEMBERS_MAX && !configured)) return false;
    this.#known.set(address, { address, configured, token: 0, restsUntil: -Infinity, reached: false });
    return true;
  }
}

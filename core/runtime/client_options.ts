/** Options of `connect`, and their checks. */
import { TuttiError } from "../base/errors.ts";
import { GROUP_BYTES_MAX, isName } from "../base/ids.ts";
import { completeBounds } from "../replication/bounds.ts";
import { type ClientSettings, DEFAULT_CLIENT_SETTINGS } from "../replication/client_machine.ts";
import { KNOWN_MEMBERS_MAX } from "../replication/member_choice.ts";
import type { Transport } from "./transport.ts";

/** How to reach a group from outside. */
export interface ConnectOptions {
  /** Name of the group. */
  readonly group: string;
  /** How members are reached, and reach this process: an adapter of its own, with an address of its own. */
  readonly transport: Transport;
  /** Addresses of members, 1 to 128. One that is up is enough; it names the others. */
  readonly members: readonly string[];
  /** Times in milliseconds, and bounds, that differ from the defaults. */
  readonly settings?: Partial<ClientSettings>;
}

const OPTIONS: readonly string[] = [
  "group",
  "transport",
  "members",
  "settings",
] satisfies (keyof ConnectOptions)[];

/**
 * Fills in the default times and bounds, and checks the rest.
 *
 * @throws {TuttiError} `InvalidArgument` naming the option, its value and its bounds
 */
export function completeSettings(given: Partial<ClientSettings> | undefined): ClientSettings {
  return completeBounds("connect", "settings.", DEFAULT_CLIENT_SETTINGS, given, {
    attemptMs: [10, 600_000],
    backoffMs: [1, 60_000],
    pollMs: [10, 30_000],
    renewMs: [100, 3_600_000],
    outstandingMax: [1, 128],
    queueMax: [1, 1_000_000],
  });
}

/**
 * Checks what a type checker would have, and the rest.
 *
 * @throws {TuttiError} `InvalidArgument`
 */
export function checkConnectOptions(options: ConnectOptions): void {
  const refuse = (text: string): never => {
    throw new TuttiError("InvalidArgument", `Cannot connect: ${text}`);
  };
  if (typeof options !== "object" || options === null) refuse("there are no options");
  for (const key of Object.keys(options)) {
    if (!OPTIONS.includes(key)) refuse(`the option ${key} is unknown; use one of ${OPTIONS.join(", ")}`);
  }
  const { group, transport, members } = options;
  if (!isName(group, GROUP_BYTES_MAX)) {
    refuse(`the group's name is no printable text of 1 to ${GROUP_BYTES_MAX} bytes without spaces`);
  }
  if (typeof transport?.open !== "function" || typeof transport.canonical !== "function") {
    refuse("the option transport is not a transport; pass for example zeromq({ listen })");
  }
  const known = Array.isArray(members) && members.length > 0 && members.length <= KNOWN_MEMBERS_MAX;
  if (!known || !members.every((member) => typeof member === "string")) {
    refuse(`the option members is not a list of 1 to ${KNOWN_MEMBERS_MAX} addresses`);
  }
}

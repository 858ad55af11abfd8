import { TuttiError } from "../../core/base/errors.ts";
import { type Endpoint, IPC_PATH_BYTES_MAX, parseEndpoint } from "./endpoint.ts";
import type { ReceiveStrategy } from "./receive.ts";

/** Options of {@link zeromq}. */
export interface ZeroMqOptions {
  /** Where the ROUTER socket binds: `tcp://host:port` (the host may be `*` or `0.0.0.0`) or `ipc:///path`. */
  readonly listen: string;
  /** Under which endpoint peers reach this member. Default: `listen`; needed when that has a wildcard host. */
  readonly advertise?: string;
  /** Where the PUB socket binds. Default: a free port on the same host, or the ipc path with `.pub` behind it. */
  readonly publish?: string;
  /** Largest packet, in bytes, 1,024 to 1 GiB. Default 16 MiB. */
  readonly packetBytesMax?: number;
  /** Most packets queued for one peer on each of the two paths, 100 to 1,000,000. Default 65,536. */
  readonly queuePacketsMax?: number;
  /** After how many milliseconds of silence a peer counts as gone, 1,500 to 600,000. Default 4,000. */
  readonly silenceMs?: number;
  /**
   * How messages are awaited: `pending` (the default on Node) or `polling` (the default on Deno, where a pending
   * receive can hang: denoland/deno#36317).
   */
  readonly receive?: ReceiveStrategy;
}

/** Checked options. */
export interface Settings {
  readonly listen: Endpoint;
  readonly advertise: Endpoint;
  readonly publish: Endpoint | undefined;
  readonly packetBytesMax: number;
  readonly queuePacketsMax: number;
  readonly silenceMs: number;
  readonly receive: ReceiveStrategy;
}

/**
 * Checks options.
 *
 * @throws {TuttiError} `InvalidAddress`, `InvalidArgument`
 */
export function checkOptions(options: ZeroMqOptions): Settings {
  const listen = parseEndpoint(options.listen, "bind");
  const advertise = parseEndpoint(options.advertise ?? options.listen, "reach");
  const publish = options.publish === undefined
    ? defaultPublish(listen)
    : parseEndpoint(options.publish, "bind");
  const kind = publish?.kind ?? "tcp";
  if (listen.kind !== advertise.kind || listen.kind !== kind) {
    throw new TuttiError(
      "InvalidAddress",
      `Cannot use "${listen.text}": listen, advertise and publish are of different kinds; use only tcp or only ipc`,
    );
  }
  const receive = options.receive ?? ("Deno" in globalThis ? "polling" : "pending");
  if (receive !== "polling" && receive !== "pending") {
    throw new TuttiError(
      "InvalidArgument",
      `Cannot receive: "${receive}" is unknown; use "pending" or "polling"`,
    );
  }
  return {
    listen,
    advertise,
    publish,
    packetBytesMax: integer("packetBytesMax", options.packetBytesMax ?? 16 << 20, 1024, 1 << 30),
    queuePacketsMax: integer("queuePacketsMax", options.queuePacketsMax ?? 65_536, 100, 1_000_000),
    silenceMs: integer("silenceMs", options.silenceMs ?? 4000, 1500, 600_000),
    receive,
  };
}

function defaultPublish(listen: Endpoint): Endpoint | undefined {
  if (listen.kind === "tcp") return undefined;
  if (new TextEncoder().encode(listen.path).length + 4 > IPC_PATH_BYTES_MAX) {
    throw new TuttiError(
      "InvalidAddress",
      `Cannot use "${listen.text}": its path leaves no room for ".pub"; use a shorter path or set publish`,
    );
  }
  return parseEndpoint(`${listen.text}.pub`, "bind");
}

function integer(name: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new TuttiError(
    "InvalidArgument",
    `Cannot use ${name}: ${value} is not an integer from ${least} to ${most}`,
  );
}

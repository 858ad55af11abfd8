/**
 * Endpoints of this adapter: `tcp://host:port` and `ipc:///path`, checked and brought to one canonical form, so that two
 * spellings of one endpoint compare equal and nothing malformed ever reaches libzmq (H46, H61).
 */
import { type Address, ADDRESS_BYTES_MAX } from "../../core/base/ids.ts";
import { TuttiError } from "../../core/base/errors.ts";

/** Longest path of a Unix domain socket, in bytes: `sun_path` has 108, one of them the closing NUL. */
export const IPC_PATH_BYTES_MAX = 107;

/** A checked endpoint. */
export type Endpoint =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly text: Address }
  | { readonly kind: "ipc"; readonly path: string; readonly text: Address };

const WILDCARDS: ReadonlySet<string> = new Set(["*", "0.0.0.0", "[::]"]);
const HOSTNAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;
const IPV4 = /^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/;
const IPV6 = /^\[[0-9a-f:]{2,39}\]$/;
const IPC_PATH = /^\/[^\s\p{C}]+$/u;
const utf8 = new TextEncoder();

/**
 * Checks an endpoint.
 *
 * @param text What someone wrote.
 * @param use Whether it is for binding (wildcard hosts allowed) or for reaching someone.
 * @throws {TuttiError} `InvalidAddress`
 */
export function parseEndpoint(text: string, use: "bind" | "reach"): Endpoint {
  if (typeof text !== "string" || text.length === 0) throw refuse(text, "it is empty");
  if (text.length > ADDRESS_BYTES_MAX) {
    throw refuse(text, `it is longer than ${ADDRESS_BYTES_MAX} characters`);
  }
  if (/[\s\p{C}]/u.test(text)) throw refuse(text, "it contains a space or a control character");
  const scheme = /^([a-z]+):\/\//i.exec(text)?.[1].toLowerCase();
  if (scheme === "tcp") return parseTcp(text, use);
  if (scheme === "ipc") return parseIpc(text);
  throw refuse(text, scheme === undefined ? "it has no scheme" : `its scheme "${scheme}" is unknown`);
}

function parseTcp(text: string, use: "bind" | "reach"): Endpoint {
  const rest = text.slice("tcp://".length).toLowerCase().replace(/\/$/, "");
  const colon = rest.lastIndexOf(":");
  if (colon < 0 || rest.endsWith("]")) throw refuse(text, "its port is missing");
  const port = rest.slice(colon + 1);
  if (!/^[1-9]\d{0,4}$/.test(port) || Number(port) > 65_535) {
    throw refuse(text, `its port "${port}" is not a number from 1 to 65535`);
  }
  const written = rest.slice(0, colon);
  const host = written === "localhost" ? "127.0.0.1" : written === "*" ? "0.0.0.0" : written;
  if (WILDCARDS.has(host)) {
    if (use === "reach") throw refuse(text, `its host "${written}" is a wildcard that nobody can reach`);
  } else if (host.startsWith("[")) {
    if (!IPV6.test(host)) throw refuse(text, `its host "${written}" is not an IPv6 address`);
  } else if (/^[\d.]+$/.test(host)) {
    const valid = IPV4.test(host) && host.split(".").every((octet) => Number(octet) <= 255);
    if (!valid) throw refuse(text, `its host "${written}" is not an IPv4 address`);
  } else if (!HOSTNAME.test(host)) {
    throw refuse(text, `its host "${written}" is malformed`);
  }
  return { kind: "tcp", host, port: Number(port), text: `tcp://${host}:${Number(port)}` as Address };
}

function parseIpc(text: string): Endpoint {
  const written = text.slice("ipc://".length);
  if (!IPC_PATH.test(written)) throw refuse(text, "its path is not absolute");
  const path = written.replace(/\/+/g, "/").replace(/\/$/, "");
  if (path === "" || path.split("/").some((part) => part === "." || part === "..")) {
    throw refuse(text, "its path is not a plain absolute path");
  }
  const bytes = utf8.encode(path).length;
  if (bytes > IPC_PATH_BYTES_MAX) {
    throw refuse(
      text,
      `its path has ${bytes} bytes, more than the ${IPC_PATH_BYTES_MAX} that the system allows`,
    );
  }
  return { kind: "ipc", path, text: `ipc://${path}` as Address };
}

function refuse(text: unknown, why: string): TuttiError {
  const shown = String(text).slice(0, 80);
  return new TuttiError(
    "InvalidAddress",
    `Cannot use ${JSON.stringify(shown)}: ${why}; write tcp://host:port or ipc:///path`,
  );
}

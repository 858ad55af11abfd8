/**
 * Endpoints of this adapter: `udp://a.b.c.d:port`, checked and brought to one canonical form, so that two spellings of
 * one endpoint compare equal and nothing malformed ever reaches the system (H46, H61).
 *
 * Addresses are numbers, never names: a datagram must not wait for a name server, and a stranger must not make this
 * process ask one.
 */
import { type Address, ADDRESS_BYTES_MAX } from "../../core/base/ids.ts";
import { TuttiError } from "../../core/base/errors.ts";

/** A checked endpoint. */
export interface Endpoint {
  /** An IPv4 address in dotted form. */
  readonly host: string;
  readonly port: number;
  readonly text: Address;
}

/** What an endpoint is for: binding (wildcards allowed), reaching one member, or a multicast group. */
export type EndpointUse = "bind" | "reach" | "multicast";

const IPV4 = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;

/**
 * Checks an endpoint.
 *
 * @throws {TuttiError} `InvalidAddress`
 */
export function parseEndpoint(text: string, use: EndpointUse): Endpoint {
  if (typeof text !== "string" || text.length === 0) throw refuse(text, "it is empty");
  if (text.length > ADDRESS_BYTES_MAX) {
    throw refuse(text, `it is longer than ${ADDRESS_BYTES_MAX} characters`);
  }
  if (/[\s\p{C}]/u.test(text)) throw refuse(text, "it contains a space or a control character");
  const scheme = /^([a-z]+):\/\//i.exec(text)?.[1].toLowerCase();
  if (scheme === undefined) throw refuse(text, "it has no scheme");
  if (scheme !== "udp") throw refuse(text, `its scheme "${scheme}" is not udp`);
  const rest = text.slice("udp://".length).toLowerCase().replace(/\/$/, "");
  const colon = rest.lastIndexOf(":");
  if (colon < 0) throw refuse(text, "its port is missing");
  const port = rest.slice(colon + 1);
  if (!/^[1-9]\d{0,4}$/.test(port) || Number(port) > 65_535) {
    throw refuse(text, `its port "${port}" is not a number from 1 to 65535`);
  }
  const written = rest.slice(0, colon);
  const host = written === "localhost" ? "127.0.0.1" : written === "*" ? "0.0.0.0" : written;
  const fault = hostFault(host, use);
  if (fault !== "") throw refuse(text, `its host "${written}" is ${fault}`);
  return { host, port: Number(port), text: `udp://${host}:${Number(port)}` as Address };
}

/** Whether a text is the address of one interface of a machine. */
export function isUnicastHost(host: string): boolean {
  return hostFault(host, "reach") === "";
}

/** What is wrong with a host; `""` for nothing. */
function hostFault(host: string, use: EndpointUse): string {
  const octets = IPV4.exec(host)?.slice(1).map(Number);
  if (octets === undefined || octets.some((octet) => octet > 255)) return "not an IPv4 address";
  const [first, second, third] = octets;
  const multicast = first >= 224 && first < 240;
  if (use === "multicast") {
    if (!multicast) return "not a multicast address (224.0.1.0 to 239.255.255.255)";
    // RFC 5771: never forwarded, and used by routers among themselves.
    return first === 224 && second === 0 && third === 0 ? "reserved for routers" : "";
  }
  if (multicast) return "a multicast address, which is nobody's own";
  if (first >= 240) return "a broadcast or reserved address, which is nobody's own";
  if (first === 0 && !(use === "bind" && host === "0.0.0.0")) return "a wildcard that nobody can reach";
  return "";
}

/** A host as 32 bits. */
export function packHost(host: string): number {
  return host.split(".").reduce((bits, octet) => (bits << 8 | Number(octet)) >>> 0, 0);
}

/** The opposite of {@link packHost}. */
export function unpackHost(bits: number): string {
  return `${bits >>> 24}.${bits >>> 16 & 255}.${bits >>> 8 & 255}.${bits & 255}`;
}

function refuse(text: unknown, why: string): TuttiError {
  const shown = String(text).slice(0, 80);
  return new TuttiError(
    "InvalidAddress",
    `Cannot use ${JSON.stringify(shown)}: ${why}; write udp://a.b.c.d:port`,
  );
}

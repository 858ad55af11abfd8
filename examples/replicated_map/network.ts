/** How nodes and clients reach each other. */
import type { Transport } from "@tutti/tutti";
import { udp } from "@tutti/tutti/udp";
import { zeromq } from "@tutti/tutti/zeromq";
import { freePorts } from "../common/ports.ts";
import { UsageError } from "../common/usage.ts";

/** The transports that reach other processes. */
export const TRANSPORTS = ["zeromq", "udp"] as const;
/** One of them. */
export type TransportName = typeof TRANSPORTS[number];

/** What the map and, unless told otherwise, the group are called. */
export const MAP = "map";

/** Makes a transport. @throws {TuttiError} `InvalidAddress` */
export function transportAt(name: TransportName, listen: string): Transport {
  return name === "udp" ? udp({ listen }) : zeromq({ listen });
}

/** An address for a client, which nobody needs to know beforehand. */
export async function freeAddress(name: TransportName): Promise<string> {
  const [port] = await freePorts(1);
  return `${name === "udp" ? "udp" : "tcp"}://127.0.0.1:${port}`;
}

/** Reads a list of addresses. @throws {UsageError} */
export function addresses(option: string, text: string | undefined): string[] {
  const list = (text ?? "").split(",").map((address) => address.trim()).filter((address) => address !== "");
  if (list.length === 0) {
    throw new UsageError(`--${option} is missing: it takes addresses with commas between`);
  }
  return list;
}

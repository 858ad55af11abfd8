/**
 * What comes in over the sockets, sorted: packets for the group, frames for the links, and everything else dropped and
 * counted.
 *
 * Fault model: a peer, or whoever finds the port, sends anything at all. Nothing in here throws (H33 to H36, H49, H50).
 */
import type { Address } from "../../core/base/ids.ts";
import type { Counters } from "./counters.ts";
import { parseEndpoint } from "./endpoint.ts";
import { type Boot, decodeFrame, type Frame, isFrame } from "./frames.ts";
import type { Link } from "./link.ts";

/** Most senders whose address is remembered, for `disconnect` to hold. */
const ROUTES_MAX = 4096;
const SHUNNED_MAX = 1024;

/** What an intake asks of its adapter. */
export interface IntakePorts {
  /** The link to an address, while the adapter is open. */
  linkAt(address: Address): Link | undefined;
  /** The link to a peer's life. */
  linkOf(boot: Boot): Link | undefined;
  /** A packet for the group, and whether more is here already; says whether it was taken. */
  packet(bytes: Uint8Array, more: boolean): boolean;
  /** A peer has confirmed everything up to this adapter's farewell. */
  acknowledged(link: Link | undefined): void;
  /** A peer has said farewell by unicast. */
  left(link: Link): void;
  /** Somebody who is not known reaches for this adapter. */
  stranger(address: Address): void;
  /** A frame was taken: a deadline may have changed. */
  handled(): void;
}

/** Takes the messages of the ROUTER and the SUB socket. */
export class Intake {
  readonly #boot: Boot;
  readonly #packetBytesMax: number;
  readonly #counters: Counters;
  readonly #ports: IntakePorts;
  readonly #routes: Map<string, Address> = new Map();
  readonly #shunned: Set<Address> = new Set();

  constructor(boot: Boot, packetBytesMax: number, counters: Counters, ports: IntakePorts) {
    this.#boot = boot;
    this.#packetBytesMax = packetBytesMax;
    this.#counters = counters;
    this.#ports = ports;
  }

  /** Drops unicast packets of an address from now on, as far as it can be told whose they are. */
  shun(address: Address): void {
    if (this.#shunned.size >= SHUNNED_MAX) this.#shunned.clear();
    this.#shunned.add(address);
  }

  /** Ends {@link Intake.shun}. */
  welcome(address: Address): void {
    this.#shunned.delete(address);
  }

  /** Takes a message of the ROUTER; says whether it was a packet. */
  unicast(parts: Uint8Array[], more: boolean): boolean {
    if (parts.length !== 2) {
      this.#counters.foreignFrames++;
      return false;
    }
    const [route, bytes] = parts;
    if (isFrame(bytes)) {
      this.#takeFrame(bytes, route);
      return false;
    }
    if (this.#shunned.size > 0) {
      const address = this.#routes.get(routeKey(route));
      if (address !== undefined && this.#shunned.has(address)) {
        this.#counters.packetsDropped++;
        return false;
      }
    }
    return this.#deliver(bytes, more);
  }

  /** Takes a message of the SUB socket; says whether it was a packet. */
  multicast(parts: Uint8Array[], more: boolean): boolean {
    if (parts.length !== 1) {
      this.#counters.foreignFrames++;
      return false;
    }
    if (!isFrame(parts[0])) return this.#deliver(parts[0], more);
    this.#takeFrame(parts[0], undefined);
    return false;
  }

  #deliver(bytes: Uint8Array, more: boolean): boolean {
    if (bytes.byteLength > this.#packetBytesMax || bytes.byteLength === 0) {
      this.#counters.foreignFrames++;
      return false;
    }
    return this.#ports.packet(bytes, more);
  }

  #takeFrame(bytes: Uint8Array, route: Uint8Array | undefined): void {
    const frame = decodeFrame(bytes);
    const unicast = route !== undefined;
    // A bye comes on both paths; hello and ack only by unicast, a probe only by multicast.
    if (frame === undefined || (frame.kind !== "bye" && unicast === (frame.kind === "probe"))) {
      this.#counters.foreignFrames++;
      return;
    }
    const nowMs = performance.now();
    switch (frame.kind) {
      case "hello":
        this.#takeHello(frame, route as Uint8Array, nowMs);
        break;
      case "probe":
        this.#ports.linkOf(frame.boot)?.receiveProbe(frame.nonces, nowMs);
        break;
      case "bye":
        this.#takeBye(frame.boot, frame.final, unicast, nowMs);
        break;
      case "ack":
        if (frame.echo === this.#boot) this.#ports.acknowledged(this.#ports.linkOf(frame.boot));
        break;
    }
    this.#ports.handled();
  }

  #takeHello(frame: Frame & { readonly kind: "hello" }, route: Uint8Array, nowMs: number): void {
    let address: Address;
    let publish: string;
    try {
      const endpoint = parseEndpoint(frame.address, "reach");
      address = endpoint.text;
      if (endpoint.kind === "tcp") publish = `tcp://${endpoint.host}:${frame.publishPort}`;
      else publish = frame.publish;
      if (parseEndpoint(publish, "reach").kind !== endpoint.kind) throw new Error("another kind");
    } catch {
      this.#counters.foreignFrames++;
      return;
    }
    if (this.#routes.size >= ROUTES_MAX) this.#routes.delete(this.#routes.keys().next().value as string);
    this.#routes.set(routeKey(route), address);
    const link = this.#ports.linkAt(address);
    if (link === undefined) {
      this.#counters.unknownPeers++;
      this.#ports.stranger(address);
    } else link.receiveHello(frame, publish, nowMs);
  }

  #takeBye(boot: Boot, final: boolean, unicast: boolean, nowMs: number): void {
    const link = this.#ports.linkOf(boot);
    if (link === undefined) return;
    link.receiveBye(unicast ? "unicast" : "multicast", final, nowMs);
    if (unicast) this.#ports.left(link);
  }
}

function routeKey(route: Uint8Array): string {
  return String.fromCharCode(...route.subarray(0, 255));
}

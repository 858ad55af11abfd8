/**
 * What comes in over the sockets, sorted: packets for the group, frames for the links, and everything else dropped and
 * counted.
 *
 * Fault model: anybody sends anything at all, under any address, to the member and to the multicast group. Nothing in
 * here throws (H33 to H36, H49, H57 to H60).
 */
import type { Address } from "../../core/base/ids.ts";
import { Assembler } from "./assembly.ts";
import type { Counters } from "./counters.ts";
import { Doorman } from "./doorman.ts";
import { type Endpoint, parseEndpoint } from "./endpoint.ts";
import {
  type Boot,
  bootOf,
  type Control,
  decodeControl,
  decodeFragment,
  decodePacket,
  decodeProbe,
  Kind,
  kindOf,
  type Token,
} from "./frames.ts";
import type { Link, Source } from "./link.ts";
import type { Settings } from "./options.ts";

/** Most bytes of unfinished packets; or of eight, where they may be larger. */
const ASSEMBLY_BYTES = 8 << 20;

/** What an intake asks of its adapter. */
export interface IntakePorts {
  /** The link to an address. */
  linkAt(address: Address): Link | undefined;
  /** The link to a peer's life. */
  linkOf(boot: Boot): Link | undefined;
  /** A packet for the group. */
  packet(bytes: Uint8Array): void;
  /** Somebody who proved an address reaches for this adapter, and is not known. */
  stranger(address: Address): void;
  /** Sends what has to be said at once, to somebody who need not be known. */
  reply(kind: typeof Kind.answer | typeof Kind.ack, to: Endpoint, token: Token, echo: Token): void;
  /** A frame was taken: a deadline may have changed. */
  handled(): void;
}

/** Takes the datagrams of both sockets. */
export class Intake {
  readonly assembler: Assembler;
  readonly #doorman: Doorman = new Doorman();
  readonly #boot: Boot;
  readonly #own: Address;
  readonly #packetBytesMax: number;
  readonly #counters: Counters;
  readonly #ports: IntakePorts;

  constructor(boot: Boot, settings: Settings, counters: Counters, ports: IntakePorts) {
    const { packetBytesMax } = settings;
    this.assembler = new Assembler(Math.max(ASSEMBLY_BYTES, 8 * packetBytesMax), counters);
    this.#boot = boot;
    this.#own = settings.advertise.text;
    this.#packetBytesMax = packetBytesMax;
    this.#counters = counters;
    this.#ports = ports;
  }

  /** What a peer must repeat to prove that it is at an address. */
  tokenOf(address: Address): Token {
    return this.#doorman.tokenOf(address);
  }

  /** Takes a datagram. */
  take(bytes: Uint8Array, source: Source, path: "unicast" | "multicast"): void {
    this.#counters.datagramsReceived++;
    const kind = kindOf(bytes);
    if (kind === undefined) {
      this.#counters.foreignDatagrams++;
      return;
    }
    const boot = bootOf(bytes);
    if (boot === this.#boot) {
      this.#counters.ownDatagrams++;
      return;
    }
    if (kind === Kind.packet || kind === Kind.fragment) this.#takePacket(kind, boot, bytes, source, path);
    else if (kind === Kind.probe) this.#takeProbe(boot, bytes, source, path);
    else this.#takeControl(bytes, source, path);
  }

  #takePacket(
    kind: number,
    boot: Boot,
    bytes: Uint8Array,
    source: Source,
    path: "unicast" | "multicast",
  ): void {
    const link = this.#ports.linkOf(boot);
    if (link === undefined || !link.isFrom(source, path)) {
      this.#counters.unknownSenders++;
      return;
    }
    const nowMs = performance.now();
    if (path === "multicast") link.receiveMulticast(nowMs);
    if (kind === Kind.packet) {
      const packet = decodePacket(bytes);
      if (packet === undefined) this.#counters.foreignDatagrams++;
      else if (packet.length > this.#packetBytesMax) this.#counters.oversizeDatagrams++;
      else this.#ports.packet(packet);
      return;
    }
    const fragment = decodeFragment(bytes);
    if (fragment === undefined) this.#counters.foreignDatagrams++;
    else if (fragment.length > this.#packetBytesMax) this.#counters.oversizeDatagrams++;
    else {
      const packet = this.assembler.take(boot, fragment, nowMs);
      if (packet !== undefined) this.#ports.packet(packet);
    }
  }

  #takeProbe(boot: Boot, bytes: Uint8Array, source: Source, path: "unicast" | "multicast"): void {
    const nonces = path === "multicast" ? decodeProbe(bytes) : undefined;
    if (nonces === undefined) {
      this.#counters.foreignDatagrams++;
      return;
    }
    const link = this.#ports.linkOf(boot);
    if (link === undefined) {
      this.#counters.unknownSenders++;
      return;
    }
    link.receiveProbe(nonces, source, performance.now());
    this.#ports.handled();
  }

  #takeControl(bytes: Uint8Array, source: Source, path: "unicast" | "multicast"): void {
    const frame = path === "unicast" ? decodeControl(bytes) : undefined;
    const from = frame === undefined ? undefined : endpointOf(frame);
    if (frame === undefined || from === undefined || from.text === this.#own) {
      this.#counters.foreignDatagrams++;
      return;
    }
    const nowMs = performance.now();
    const link = this.#ports.linkAt(from.text);
    if (link !== undefined && frame.echo === link.token) this.#takeProven(link, frame, source, nowMs);
    else if (frame.kind === Kind.hello || frame.kind === Kind.bye) {
      this.#takeUnproven(frame, from, link, nowMs);
    } else this.#counters.unknownSenders++;
    this.#ports.handled();
  }

  /** What comes from a peer, and certainly from its address. */
  #takeProven(link: Link, frame: Control, source: Source, nowMs: number): void {
    switch (frame.kind) {
      case Kind.hello:
        link.receiveHello(frame, source, nowMs);
        break;
      case Kind.answer:
        link.receiveAnswer(frame, nowMs);
        break;
      case Kind.bye:
        link.receiveBye(frame.boot, frame.final, nowMs);
        this.#ports.reply(Kind.ack, link.endpoint, link.token, frame.token);
        break;
      case Kind.ack:
        link.acknowledged = true;
        break;
    }
  }

  /** A stranger, a peer that has just restarted, or somebody who only claims an address. */
  #takeUnproven(frame: Control, from: Endpoint, link: Link | undefined, nowMs: number): void {
    if (!this.#doorman.admits(nowMs)) {
      this.#counters.answersWithheld++;
      return;
    }
    const token = link?.token ?? this.#doorman.tokenOf(from.text);
    const proven = frame.echo === token;
    if (frame.kind === Kind.bye) {
      if (proven) this.#ports.reply(Kind.ack, from, token, frame.token);
    } else if (proven) {
      this.#counters.unknownPeers++;
      this.#ports.stranger(from.text);
    } else {
      this.#counters.answersSent++;
      this.#ports.reply(Kind.answer, from, token, frame.token);
    }
  }
}

/** Where a frame says that its sender is; `undefined` when nobody can be there. */
function endpointOf(frame: Control): Endpoint | undefined {
  try {
    return parseEndpoint(`udp://${frame.host}:${frame.port}`, "reach");
  } catch {
    return undefined;
  }
}

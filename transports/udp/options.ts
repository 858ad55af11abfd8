import { TuttiError } from "../../core/base/errors.ts";
import { type Endpoint, isUnicastHost, parseEndpoint } from "./endpoint.ts";
import { PACKET_HEADER_BYTES } from "./frames.ts";

/** Options of {@link udp}. */
export interface UdpOptions {
  /** Where this member's own socket binds: `udp://a.b.c.d:port`; the host may be `*` or `0.0.0.0`. */
  readonly listen: string;
  /** Under which endpoint peers reach this member. Default: `listen`; needed when that has a wildcard host. */
  readonly advertise?: string;
  /**
   * The multicast group and its port, or `false` to send a copy to each peer instead. Default
   * `udp://239.255.84.85:21589`. Groups that share one harm each other only by their load.
   */
  readonly multicast?: string | false;
  /** IPv4 address of the own network interface for multicast. Default: the host of `listen`, or the system's choice. */
  readonly interface?: string;
  /**
   * How many routers a multicast datagram may pass, plus one: 1 to 255; 0, for this machine only, not under Deno.
   * Default 1.
   */
  readonly ttl?: number;
  /** Whether members on the same machine hear this one's multicast. Default `true`; else they get copies. */
  readonly loopback?: boolean;
  /**
   * Largest datagram, without the headers of IP and UDP, in bytes, 512 to 65,507. Default 1,400, which fits Ethernet
   * with room for tunnels. Use the same at all members.
   */
  readonly datagramBytesMax?: number;
  /**
   * Largest packet, in bytes, 1,024 to 1 MiB. Default 61,440. What does not fit into a datagram is split, and lost as a
   * whole when one part is.
   */
  readonly packetBytesMax?: number;
  /**
   * Most bytes sent a second, 10,000 to 10,000,000,000, each datagram counted with 512 bytes more for what it costs
   * besides. Default 24 MiB.
   */
  readonly bytesPerSecond?: number;
  /** Most bytes sent at once, counted likewise, 4,096 to 16 MiB. Default 64 KiB, which fits any receiver's buffer. */
  readonly burstBytes?: number;
  /** Most bytes of packets that wait to be sent, 64 KiB to 1 GiB; beyond, sends are told `full`. Default 1 MiB. */
  readonly queueBytesMax?: number;
  /**
   * Buffer that the system is asked to keep for datagrams received, in bytes, 4,096 to 1 GiB. Default 4 MiB. The
   * system may give less. Under Deno only on Linux, with the permission for FFI.
   */
  readonly receiveBufferBytes?: number;
  /** Likewise for datagrams to be sent. Default 1 MiB. */
  readonly sendBufferBytes?: number;
  /** After how many milliseconds of silence a peer counts as gone, 1,500 to 600,000. Default 4,000. */
  readonly silenceMs?: number;
}

/** Checked options. */
export interface Settings {
  readonly listen: Endpoint;
  readonly advertise: Endpoint;
  /** `undefined` for copies to each peer. */
  readonly multicast: Endpoint | undefined;
  /** `undefined` for the system's choice. */
  readonly interface: string | undefined;
  readonly ttl: number;
  readonly loopback: boolean;
  readonly datagramBytesMax: number;
  readonly packetBytesMax: number;
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
  readonly queueBytesMax: number;
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  readonly silenceMs: number;
}

/** Organisation-local scope (RFC 2365), by default far from everybody else's. */
const MULTICAST = "udp://239.255.84.85:21589";
const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * Checks options.
 *
 * @throws {TuttiError} `InvalidAddress`, `InvalidArgument`
 */
export function checkOptions(options: UdpOptions): Settings {
  const listen = parseEndpoint(options.listen, "bind");
  const advertise = parseEndpoint(options.advertise ?? options.listen, "reach");
  const { multicast = MULTICAST, loopback = true } = options;
  if (typeof loopback !== "boolean") {
    throw new TuttiError("InvalidArgument", `Cannot use loopback: ${String(loopback)} is not true or false`);
  }
  const packetBytesMax = integer("packetBytesMax", options.packetBytesMax ?? 60 * KIB, 1024, MIB);
  return {
    listen,
    advertise,
    multicast: multicast === false ? undefined : parseEndpoint(multicast, "multicast"),
    interface: interfaceOf(options, listen),
    ttl: integer("ttl", options.ttl ?? 1, 0, 255),
    loopback,
    datagramBytesMax: integer("datagramBytesMax", options.datagramBytesMax ?? 1400, 512, 65_507),
    packetBytesMax,
    bytesPerSecond: integer("bytesPerSecond", options.bytesPerSecond ?? 24 * MIB, 10_000, 1e10),
    burstBytes: integer("burstBytes", options.burstBytes ?? 64 * KIB, 4 * KIB, 16 * MIB),
    queueBytesMax: integer("queueBytesMax", options.queueBytesMax ?? MIB, 64 * KIB, KIB * MIB),
    receiveBufferBytes: integer(
      "receiveBufferBytes",
      options.receiveBufferBytes ?? 4 * MIB,
      4 * KIB,
      KIB * MIB,
    ),
    sendBufferBytes: integer("sendBufferBytes", options.sendBufferBytes ?? MIB, 4 * KIB, KIB * MIB),
    silenceMs: integer("silenceMs", options.silenceMs ?? 4000, 1500, 600_000),
  };
}

/** Largest packet that is not split. */
export function wholeBytesMax(settings: Settings): number {
  return Math.min(settings.packetBytesMax, settings.datagramBytesMax - PACKET_HEADER_BYTES);
}

function interfaceOf(options: UdpOptions, listen: Endpoint): string | undefined {
  const given = options.interface;
  if (given === undefined) return listen.host === "0.0.0.0" ? undefined : listen.host;
  if (isUnicastHost(given)) return given;
  throw new TuttiError(
    "InvalidAddress",
    `Cannot use interface: ${
      JSON.stringify(String(given).slice(0, 80))
    } is not the IPv4 address of a network ` +
      `interface; give one of this machine's own`,
  );
}

function integer(name: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new TuttiError(
    "InvalidArgument",
    `Cannot use ${name}: ${value} is not an integer from ${least} to ${most}`,
  );
}

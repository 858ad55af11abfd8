/** Members over UDP, raw sockets beside them, and waits with a deadline, for the tests of the UDP adapter. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import * as assert from "uvu/assert";
import { type Address, type Transport, udp, type UdpOptions } from "../../transports/udp/mod.ts";
import { freeMulticast, freeUdp } from "./free_endpoints.ts";

/** A multicast group that belongs to this test process. */
export const GROUP: string = await freeMulticast();

/** An opened adapter, and what it told its handler. */
export interface Member {
  readonly transport: Transport;
  readonly address: Address;
  readonly port: number;
  readonly packets: Uint8Array[];
  readonly up: Set<Address>;
  readonly strangers: Address[];
  readonly drains: number;
  stat(name: string): number;
}

const opened: Transport[] = [];
const raws: Socket[] = [];

/** Closes everything that was opened here. */
export async function closeAll(): Promise<void> {
  await Promise.all(
    raws.splice(0).map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))),
  );
  await Promise.all(opened.splice(0).map((transport) => transport.close(300)));
}

/** Opens an adapter. */
export async function member(options: Partial<UdpOptions> = {}): Promise<Member> {
  const transport = udp({
    listen: options.listen ?? await freeUdp(),
    multicast: GROUP,
    silenceMs: 1500,
    ...options,
  });
  opened.push(transport);
  const packets: Uint8Array[] = [];
  const strangers: Address[] = [];
  const up = new Set<Address>();
  let drains = 0;
  const address = await transport.open({
    packet: (bytes) => packets.push(bytes),
    drain: () => drains++,
    reachable: (peer, isUp) => isUp ? up.add(peer) : up.delete(peer),
    stranger: (peer) => strangers.push(peer),
  });
  return {
    transport,
    address,
    port: Number(address.split(":")[2]),
    packets,
    up,
    strangers,
    get drains(): number {
      return drains;
    },
    stat: (name) => transport.stats()[name],
  };
}

/** Waits for a condition. */
export async function until(
  condition: () => boolean,
  what: string | (() => string),
  deadlineMs: number = 15_000,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > end) {
      throw new Error(`${typeof what === "string" ? what : what()}, within ${deadlineMs} ms`);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Connects members with each other, and waits until all reach all. */
export async function meet(...members: Member[]): Promise<void> {
  for (const a of members) for (const b of members) if (a !== b) a.transport.connect(b.address);
  await until(
    () => members.every((a) => members.every((b) => a === b || a.up.has(b.address))),
    "the members did not meet",
  );
}

let exchanges = 0;

/** Packets both ways, by multicast and unicast, sent again until they arrive. */
export async function exchange(a: Member, b: Member): Promise<void> {
  for (const [from, to] of [[a, b], [b, a]]) {
    for (
      const send of [
        (packet: Uint8Array) => from.transport.multicast(packet),
        (packet: Uint8Array) => from.transport.unicast(to.address, packet),
      ]
    ) {
      const mark = ++exchanges;
      const packet = Uint8Array.of(0x54, 0x55, mark >> 8, mark);
      let again = 0;
      await until(() => {
        if (performance.now() >= again) {
          assert.is(send(packet), "sent");
          again = performance.now() + 50;
        }
        return to.packets.some((got) => got.length === 4 && got[2] === packet[2] && got[3] === packet[3]);
      }, "packets did not pass");
    }
  }
}

/** A socket in the hands of a test, and what came in by it. */
export interface Raw {
  readonly port: number;
  readonly got: { readonly bytes: Uint8Array; readonly source: RemoteInfo }[];
  /** Sends; resolves when the system has taken it. */
  send(bytes: Uint8Array, endpoint: string): Promise<void>;
}

/** Opens a raw socket at any port, or one that hears a multicast group. */
export async function raw(multicast?: string): Promise<Raw> {
  const socket = createSocket({ type: "udp4", reuseAddr: multicast !== undefined });
  raws.push(socket);
  const [host, port] = multicast === undefined ? ["127.0.0.1", 0] : hostAndPort(multicast);
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, host, () => resolve());
  });
  if (multicast !== undefined) socket.addMembership(host, "127.0.0.1");
  else socket.setMulticastInterface("127.0.0.1");
  const got: { bytes: Uint8Array; source: RemoteInfo }[] = [];
  socket.on("message", (bytes, source) => got.push({ bytes: new Uint8Array(bytes), source }));
  let sent = 0;
  return {
    port: socket.address().port,
    got,
    send: async (bytes, endpoint) => {
      const [host, port] = hostAndPort(endpoint);
      await new Promise<void>((resolve, reject) => {
        socket.send(bytes, port, host, (error) => error ? reject(error) : resolve());
      });
      // Receivers in this process get their turn before their buffers are full.
      if (++sent % 16 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    },
  };
}

/** The parts of an endpoint. */
export function hostAndPort(endpoint: string): [host: string, port: number] {
  const [, host, port] = /^udp:\/\/(.*):(\d+)$/.exec(endpoint) as RegExpExecArray;
  return [host, Number(port)];
}

/** The sockets of one adapter: binding, the choice of every option, and closing. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import process from "node:process";
import { TuttiError } from "../../core/base/errors.ts";
import type { Endpoint } from "./endpoint.ts";
import { setBuffers } from "./kernel_buffer.ts";
import type { Source } from "./link.ts";
import type { Settings } from "./options.ts";

/** What an adapter wants to hear of its sockets. */
export interface SocketPorts {
  /** A datagram came; the bytes are the receiver's. */
  datagram(bytes: Uint8Array, source: Source, path: "unicast" | "multicast"): void;
  /** The system reported an error. */
  failed(): void;
}

/** The sockets of an open adapter. */
export interface Sockets {
  /** Sends a datagram; `done` is called once, later, with what the system said. */
  send(datagram: Uint8Array, to: Endpoint, done: (error: unknown) => void): void;
  /** Resolves when the addresses are free. */
  close(): Promise<void>;
}

/**
 * Binds the member's own socket, which sends everything, and one that hears the multicast group.
 *
 * @throws {TuttiError} `AddressInUse`, `InvalidAddress`, `Unsupported`
 */
export async function openSockets(settings: Settings, ports: SocketPorts): Promise<Sockets> {
  const { listen, multicast } = settings;
  const opened: Socket[] = [];
  const closeAll = async (): Promise<void> => {
    await Promise.all(opened.map(closed));
  };
  try {
    const own = await bind(listen, listen.host, false);
    opened.push(own);
    setBuffers(own, settings);
    hear(own, "unicast", ports);
    if (multicast !== undefined) {
      // Bound to the group's own address no other traffic of that port comes in; Windows does not know this.
      const heard = await bind(multicast, process.platform === "win32" ? "0.0.0.0" : multicast.host, true);
      opened.push(heard);
      setBuffers(heard, settings);
      joinGroup(own, heard, multicast, settings);
      hear(heard, "multicast", ports);
    }
    return {
      send: (datagram, to, done) => own.send(datagram, to.port, to.host, done),
      close: closeAll,
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function bind(endpoint: Endpoint, host: string, shared: boolean): Promise<Socket> {
  const socket = createSocket({
    type: "udp4",
    reuseAddr: shared,
    // Addresses are numbers: nothing to look up, and so nothing to wait for.
    lookup: (hostname, _options, callback) => callback(null, hostname, 4),
  });
  return new Promise((resolve, reject) => {
    const refuse = (cause: unknown): void => {
      void closed(socket);
      reject(bindError(endpoint, cause));
    };
    socket.once("error", refuse);
    try {
      socket.bind({ port: endpoint.port, address: host, exclusive: !shared }, () => {
        socket.off("error", refuse);
        resolve(socket);
      });
    } catch (cause) {
      refuse(cause); // Deno throws when the permission for the network is missing.
    }
  });
}

function hear(socket: Socket, path: "unicast" | "multicast", ports: SocketPorts): void {
  socket.on("error", () => ports.failed());
  socket.on("message", (bytes: Uint8Array, source: RemoteInfo) => ports.datagram(bytes, source, path));
}

function joinGroup(own: Socket, heard: Socket, multicast: Endpoint, settings: Settings): void {
  const { interface: networkInterface, ttl, loopback } = settings;
  try {
    own.setMulticastTTL(ttl);
  } catch (cause) {
    throw new TuttiError(
      "Unsupported",
      `Cannot open udp: a ttl of ${ttl} is refused by this runtime (${codeOf(cause)}); ` +
        `use 1, and the interface 127.0.0.1 to stay on this machine`,
      { cause },
    );
  }
  try {
    if (networkInterface !== undefined) own.setMulticastInterface(networkInterface);
    own.setMulticastLoopback(loopback);
    heard.addMembership(multicast.host, networkInterface);
  } catch (cause) {
    throw new TuttiError(
      "Unsupported",
      `Cannot open udp: multicast on the interface ${
        networkInterface ?? "of the system's choice"
      } is refused by ` +
        `the system (${codeOf(cause)}); set interface to an own address, or multicast to false`,
      { cause },
    );
  }
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.removeAllListeners("message");
    socket.removeAllListeners("error");
    socket.on("error", () => {});
    try {
      socket.close(() => resolve());
    } catch {
      resolve(); // It was never open.
    }
  });
}

function bindError(endpoint: Endpoint, cause: unknown): TuttiError {
  const code = codeOf(cause);
  if (code === "EADDRINUSE") {
    return new TuttiError(
      "AddressInUse",
      `Cannot listen on "${endpoint.text}": something else listens there; stop it or choose another endpoint`,
      { retryable: true, cause },
    );
  }
  return new TuttiError(
    "InvalidAddress",
    `Cannot listen on "${endpoint.text}": binding it is refused by the system (${code}); choose another endpoint`,
    { cause },
  );
}

function codeOf(cause: unknown): string {
  const { code, name } = (cause ?? {}) as { code?: unknown; name?: unknown };
  return String(code ?? name ?? cause);
}

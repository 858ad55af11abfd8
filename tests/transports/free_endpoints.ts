/** Free endpoints for tests that run side by side. */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Ports are drawn below those that systems give to sockets that ask for any: else one that was free a moment ago may be taken by
 * somebody's outgoing connection.
 */
const PORT_MIN = 10_000;
const PORT_MAX = 32_000;

const given = new Set<number>();

/** The next port to try. */
function drawn(): number {
  for (;;) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN));
    if (given.has(port)) continue;
    given.add(port);
    return port;
  }
}

/** A TCP port on which nobody listens, never the same twice. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = drawn();
    const isFree = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

/** A fresh TCP endpoint. */
export async function freeTcp(): Promise<string> {
  return `tcp://127.0.0.1:${await freePort()}`;
}

/** Makes fresh ipc endpoints in a directory of their own. */
export async function ipcEndpoints(): Promise<() => string> {
  const directory = await mkdtemp(join(tmpdir(), "tutti-"));
  let next = 0;
  return () => `ipc://${directory}/${next++}`;
}

/** A UDP port on which nobody listens, at any address, never the same twice. */
export async function freeUdpPort(): Promise<number> {
  for (;;) {
    const port = drawn();
    const isFree = await new Promise<boolean>((resolve) => {
      const socket = createSocket("udp4");
      socket.once("error", () => socket.close(() => resolve(false)));
      socket.bind(port, "0.0.0.0", () => socket.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

/** A fresh UDP endpoint. */
export async function freeUdp(): Promise<string> {
  return `udp://127.0.0.1:${await freeUdpPort()}`;
}

/** A multicast group that no other test uses at this time. */
export async function freeMulticast(): Promise<string> {
  return `udp://239.255.84.86:${await freeUdpPort()}`;
}

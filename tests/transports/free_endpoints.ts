/** Free endpoints for tests that run side by side. */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const given = new Set<number>();

/** A TCP port on which nobody listens, never the same twice. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = await new Promise<number>((resolve, reject) => {
      const server = createServer();
      server.once("error", reject);
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        const found = typeof address === "object" && address !== null ? address.port : 0;
        server.close(() => resolve(found));
      });
    });
    if (!given.has(port)) {
      given.add(port);
      return port;
    }
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
    const port = await new Promise<number>((resolve, reject) => {
      const socket = createSocket("udp4");
      socket.once("error", reject);
      socket.bind(0, "0.0.0.0", () => {
        const { port } = socket.address();
        socket.close(() => resolve(port));
      });
    });
    if (!given.has(port)) {
      given.add(port);
      return port;
    }
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

/** Free endpoints for tests that run side by side. */
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

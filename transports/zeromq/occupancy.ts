/**
 * Whether an endpoint is taken, before libzmq binds it, and free again, after libzmq has closed it.
 *
 * libzmq removes any file at an ipc path before it binds, also one that a living process listens on, or that is no
 * socket at all; and it frees endpoints from a thread of its own some time after `close`. Both are looked after here.
 */
import { connect, createServer } from "node:net";
import { lstat, unlink } from "node:fs/promises";
import { setTimeout } from "node:timers";
import { TuttiError } from "../../core/base/errors.ts";
import type { Endpoint } from "./endpoint.ts";

/**
 * Makes sure that an ipc endpoint may be bound: a socket file of a dead process may, a living one or another file not.
 *
 * @throws {TuttiError} `AddressInUse`, `InvalidAddress`
 */
export async function checkIpcPath(path: string): Promise<void> {
  const file = await lstat(path).catch(() => undefined);
  if (file === undefined) return;
  if (!file.isSocket()) {
    throw new TuttiError(
      "InvalidAddress",
      `Cannot listen on "ipc://${path}": the path is a file that is not a socket; choose another path`,
    );
  }
  if (await answers(path)) throw addressInUse(`ipc://${path}`);
}

/** The error for an endpoint where something else listens. */
export function addressInUse(endpoint: string, cause?: unknown): TuttiError {
  return new TuttiError(
    "AddressInUse",
    `Cannot listen on "${endpoint}": something else listens there; stop it or choose another endpoint`,
    { retryable: true, cause },
  );
}

/** Waits until an endpoint that this process has given up can be bound again, at most `deadlineMs`. */
export async function untilFree(endpoint: Endpoint, deadlineMs: number): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (performance.now() < endMs) {
    const free = endpoint.kind === "tcp"
      ? await canListen(endpoint.host, endpoint.port)
      : !await answers(endpoint.path);
    if (free) {
      // libzmq leaves the socket file behind. Nobody answers at it, so it is ours or a dead process'.
      if (endpoint.kind === "ipc") await unlink(endpoint.path).catch(() => {});
      return;
    }
    await new Promise<void>((resolve) => setTimeout(resolve, 2));
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const settle = (answer: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = globalThis.setTimeout(() => settle(true), 1000);
    socket.once("connect", () => settle(true));
    socket.once("error", () => settle(false));
  });
}

function canListen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: host.replace(/^\[|\]$/g, ""), port }, () => server.close(() => resolve(true)));
  });
}

/**
 * The system's buffer for datagrams received, and the size of the buffer that the runtime reads each one into.
 *
 * Under Node, `setRecvBufferSize` is about the former. Under Deno (2.9) it is about the latter: a fresh buffer of that
 * size for every datagram, and twice that on Linux, while the system's buffer stays as it is. Where Deno has the
 * permission for FFI the system is asked directly.
 */
import type { Socket } from "node:dgram";

/** More than any system grants a socket. */
const ABSURD_BYTES = 1 << 30;
/** What the runtime reads a datagram into: an ordinary one, with room to notice that it is larger. */
const READ_BYTES_MIN = 2048;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_SNDBUF = 7;

/** Sizes, in bytes. */
export interface BufferSizes {
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  readonly datagramBytesMax: number;
}

/**
 * Sets the buffers of a bound socket; what the system refuses is left as it is. Must run before the socket has read.
 */
export function setBuffers(socket: Socket, sizes: BufferSizes): void {
  const { receiveBufferBytes, sendBufferBytes, datagramBytesMax } = sizes;
  if (readsByThisSize(socket)) {
    attempt(() => socket.setRecvBufferSize(Math.max(READ_BYTES_MIN, datagramBytesMax + 1)));
    askSystem(socket, receiveBufferBytes, sendBufferBytes);
    return;
  }
  attempt(() => socket.setRecvBufferSize(receiveBufferBytes));
  attempt(() => socket.setSendBufferSize(sendBufferBytes));
}

/** Whether the size set is that of the runtime's own buffer: a system would not grant everything. */
function readsByThisSize(socket: Socket): boolean {
  if (!("Deno" in globalThis)) return false;
  let granted = false;
  attempt(() => {
    socket.setRecvBufferSize(ABSURD_BYTES);
    granted = socket.getRecvBufferSize() >= ABSURD_BYTES;
  });
  return granted;
}

interface Libc {
  readonly symbols: {
    setsockopt(fd: number, level: number, option: number, value: Uint8Array, bytes: number): number;
    close(fd: number): number;
  };
  close(): void;
}

interface DenoLike {
  readonly build: { readonly os: string };
  readonly permissions: { querySync(wanted: { name: "ffi"; path: string }): { readonly state: string } };
  dlopen(path: string, symbols: Record<string, unknown>): Libc;
}

function askSystem(socket: Socket, receiveBytes: number, sendBytes: number): void {
  const deno = (globalThis as unknown as { Deno: DenoLike }).Deno;
  const path = "libc.so.6";
  if (deno.build.os !== "linux" || deno.dlopen === undefined) return;
  attempt(() => {
    // Never let an optional improvement ask the user a question.
    if (deno.permissions.querySync({ name: "ffi", path }).state !== "granted") return;
    const fd = duplicateOf(socket);
    if (fd === undefined) return;
    const libc = deno.dlopen(path, {
      setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
      close: { parameters: ["i32"], result: "i32" },
    });
    for (const [option, bytes] of [[SO_RCVBUF, receiveBytes], [SO_SNDBUF, sendBytes]]) {
      libc.symbols.setsockopt(fd, SOL_SOCKET, option, new Uint8Array(Int32Array.of(bytes).buffer), 4);
    }
    libc.symbols.close(fd);
    libc.close();
  });
}

/** A second descriptor of the socket, which Deno makes for passing it to a child process. */
function duplicateOf(socket: Socket): number | undefined {
  for (const key of Object.getOwnPropertySymbols(socket)) {
    const state = (socket as unknown as Record<symbol, unknown>)[key];
    const handle = (state as { handle?: { fdForIpc?: () => number } } | undefined)?.handle;
    const fd = handle?.fdForIpc?.();
    if (typeof fd === "number" && fd > 2) return fd;
  }
  return undefined;
}

function attempt(step: () => void): void {
  try {
    step();
  } catch {
    // The socket works without it.
  }
}

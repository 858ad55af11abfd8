/**
 * Compression of large values by DEFLATE (RFC 1951), with the zlib that Deno and Node bring along.
 *
 * @module
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { TuttiError } from "../../core/base/errors.ts";
import type { Compression } from "../../core/base/compression.ts";

export type { Compression };

/** Options of {@link deflate}. */
export interface DeflateOptions {
  /** Values of so many encoded bytes or more are compressed, if that makes them smaller. 64 to 64 MiB. Default 4,096. */
  readonly aboveBytes?: number;
  /** How hard to try: 1 is fast, 9 is small. Default 1. */
  readonly level?: number;
}

/**
 * Compresses large values. All members of a group must be configured alike. It happens in the event loop: at some 100 MB/s, so it is
 * for networks that are slower than that.
 *
 * @param options From what size on, and how hard.
 * @returns For the option `compression` of `join`.
 * @throws {TuttiError} `InvalidArgument`
 *
 * @example
 * ```ts
 * import { join } from "@tutti/tutti";
 * import { deflate } from "@tutti/tutti/compression";
 * import { memory } from "@tutti/tutti/memory";
 *
 * await using group = await join({
 *   group: "demo",
 *   name: "P1",
 *   transport: memory("P1"),
 *   peers: [],
 *   compression: deflate({ aboveBytes: 1024 }),
 * });
 * ```
 */
export function deflate(options: DeflateOptions = {}): Compression {
  const { aboveBytes = 4096, level = 1 } = options;
  check("aboveBytes", aboveBytes, 64, 64 * 1024 * 1024);
  check("level", level, 1, 9);
  return {
    name: "deflate",
    aboveBytes,
    compress: (bytes) => plain(deflateRawSync(bytes, { level })),
    decompress: (bytes, bytesMax) => plain(inflateRawSync(bytes, { maxOutputLength: bytesMax })),
  };
}

/** Not a `Buffer`: what an application gets is a plain `Uint8Array`. */
function plain({ buffer, byteOffset, length }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length);
}

function check(name: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new TuttiError(
    "InvalidArgument",
    `Cannot compress: ${name} is ${String(value)}; use a whole number from ${low} to ${high}`,
  );
}

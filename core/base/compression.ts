/** The Compression port: what makes large values smaller on their way. */

/** A way to make values smaller, the same at all members. */
export interface Compression {
  /** Its name. */
  readonly name: string;
  /** Values of so many encoded bytes or more are compressed. */
  readonly aboveBytes: number;
  /** Makes bytes smaller; they are not kept. */
  compress(bytes: Uint8Array): Uint8Array;
  /** Restores them. Throws when they are damaged, or would be more than `bytesMax`. */
  decompress(bytes: Uint8Array, bytesMax: number): Uint8Array;
}

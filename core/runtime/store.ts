/**
 * The Store port: a place for what a member must not forget over a restart.
 *
 * Now that is one small record: what it promised in view changes. With a store, members that crash and come back count for
 * the agreement on the next view, so a group survives the crash of a majority as long as one member lives.
 */

/** The port. One store is for one member; two processes must not share one. */
export interface Store {
  /**
   * Reads what was saved.
   *
   * @returns What was saved last; `undefined` for nothing so far. What is damaged must be an error, never "nothing" (W15).
   */
  load(): Uint8Array | undefined | PromiseLike<Uint8Array | undefined>;
  /**
   * Replaces what was saved, as a whole or not at all. When it returns, or the promise it returned is fulfilled, the record
   * survives a crash. Calls come one after the other.
   *
   * @param record A few hundred bytes for each member; it must not be kept without copying.
   */
  save(record: Uint8Array): void | PromiseLike<void>;
}

/**
 * A store in memory: it survives the end of a group, not that of the process. For tests, and for members that are restarted within
 * one process.
 *
 * @example
 * ```ts
 * import { memoryStore } from "@tutti/tutti";
 *
 * const store = memoryStore();
 * store.save(new Uint8Array([1, 2, 3]));
 * console.assert((store.load() as Uint8Array).length === 3);
 * ```
 */
export function memoryStore(): Store {
  let saved: Uint8Array | undefined;
  return {
    load: () => saved === undefined ? undefined : new Uint8Array(saved),
    save: (record) => {
      saved = new Uint8Array(record);
    },
  };
}

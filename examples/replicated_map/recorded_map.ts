/** The calls of a client, written down: what was called and what came back is a client history (docs/trace.md). */
import { type RemoteMap, TuttiError, type WaitOptions } from "@tutti/tutti";
import type { HistoryRecorder, RecordedCall } from "@tutti/tutti/testing";

/** Errors that say that a command was refused: it has had no effect, and never will. */
const REFUSED: ReadonlySet<string> = new Set(["InvalidArgument", "TooLarge", "Unencodable"]);

/** A map as one client calls it, one call after the other. */
export class RecordedMap {
  readonly #map: RemoteMap<string, string>;
  readonly #client: string;
  readonly #recorder: HistoryRecorder | undefined;
  /** A client that does not know what became of a call may still have it running: it goes on by another name. */
  #unknown = 0;

  /**
   * @param client Its name in the history.
   * @param recorder Without one, nothing is written down.
   */
  constructor(map: RemoteMap<string, string>, client: string, recorder?: HistoryRecorder) {
    this.#map = map;
    this.#client = client;
    this.#recorder = recorder;
  }

  /** The value under a key; `null` when there is none. */
  get(key: string, options: WaitOptions): Promise<string | null> {
    return this.#record({ op: "get", key }, async () => await this.#map.get(key, options) ?? null);
  }

  /** Puts a value under a key. @returns Its version. */
  async put(key: string, value: string, options: WaitOptions): Promise<number> {
    let version = 0;
    await this.#record({ op: "put", key, in: value }, async () => {
      version = await this.#map.set(key, value, options);
      return null;
    });
    return version;
  }

  /** Removes a key. @returns Whether there was something. */
  delete(key: string, options: WaitOptions): Promise<boolean> {
    return this.#record({ op: "delete", key }, () => this.#map.delete(key, options));
  }

  /** Replaces one value by another; `null` is nothing there. @returns Whether the one expected was there. */
  cas(key: string, old: string | null, value: string | null, options: WaitOptions): Promise<boolean> {
    return this.#record({ op: "cas", key, in: [old, value] }, async () => {
      const expected = { value: old ?? undefined };
      return (await this.#map.compareAndSet(key, expected, value ?? undefined, options)).done;
    });
  }

  async #record<T>(call: RecordedCall, run: () => Promise<T>): Promise<T> {
    const name = this.#unknown === 0 ? this.#client : `${this.#client}.${this.#unknown}`;
    const id = this.#recorder?.call(name, call) ?? 0;
    try {
      const out = await run();
      this.#recorder?.returned(id, out);
      return out;
    } catch (error) {
      // What asks only has no effect, whatever became of it.
      if (call.op === "get" || hadNoEffect(error)) this.#recorder?.failed(id);
      else {
        this.#unknown++;
        this.#recorder?.unknown(id);
      }
      throw error;
    }
  }
}

/** Whether a command that was rejected certainly did nothing: it may be called again as it was. */
function hadNoEffect(error: unknown): boolean {
  return error instanceof TuttiError && (error.retryable || REFUSED.has(error.code));
}

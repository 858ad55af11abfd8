/** A store while a member has it: nobody else of this process can have it then. */
import { TuttiError } from "../base/errors.ts";
import type { Store, Stored, StoreWrite } from "./store.ts";

/** The stores that members of this process have. */
const held = new WeakSet<Store>();

/** An application's store, from when a member takes it over until the member lets it go. */
export class HeldStore implements Store {
  readonly #store: Store;
  /** Somebody else has what it keeps. */
  #inUse = false;

  /**
   * Takes it over.
   *
   * @throws {TuttiError} `StoreInUse`
   */
  constructor(store: Store) {
    if (held.has(store)) {
      const text =
        "Cannot join: another member of this process has the store; close that one, or use another store";
      throw new TuttiError("StoreInUse", text, { retryable: true });
    }
    held.add(store);
    this.#store = store;
  }

  /** @inheritdoc */
  async load(): Promise<Stored | undefined> {
    try {
      return await this.#store.load();
    } catch (cause) {
      this.#inUse = cause instanceof TuttiError && cause.code === "StoreInUse";
      if (cause instanceof TuttiError) throw cause;
      const text = `Cannot join: the store cannot be read: ${String(cause)}`;
      throw new TuttiError("StoreFailed", text, { cause });
    }
  }

  /** @inheritdoc */
  write(write: StoreWrite): void | PromiseLike<void> {
    return this.#store.write(write);
  }

  /** Lets it go. What somebody else has is not closed: that is theirs to do. */
  async close(): Promise<void> {
    try {
      if (!this.#inUse) await this.#store.close?.();
    } finally {
      held.delete(this.#store);
    }
  }
}

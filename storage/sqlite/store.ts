import { TuttiError } from "../../core/base/errors.ts";
import type { Store, Stored, StoreWrite } from "../../core/runtime/store.ts";
import { copyWrite } from "./calls.ts";
import type { Engine } from "./engine.ts";
import { openEngine } from "./open_engine.ts";
import type { Settings } from "./options.ts";
import { StoreThread } from "./thread.ts";

/** Where a store runs. */
interface Seat {
  /** Whether it is open: it was not in use, and was whole. */
  readonly isOpen: boolean;
  load(): Promise<Stored | undefined>;
  write(write: StoreWrite): Promise<void>;
  close(): Promise<void>;
}

/** The store that an application gets: it opens with the first call. */
export class SqliteStore implements Store {
  readonly #settings: Settings;
  #seat: Seat | undefined;
  #closing: Promise<void> | undefined;

  /** Opens nothing yet. */
  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** @inheritdoc */
  async load(): Promise<Stored | undefined> {
    return await this.#use((seat) => seat.load());
  }

  /** @inheritdoc */
  async write(write: StoreWrite): Promise<void> {
    const copy = copyWrite(write);
    await this.#use((seat) => seat.write(copy));
  }

  /** @inheritdoc */
  async close(): Promise<void> {
    await (this.#closing ??= this.#seat?.close() ?? Promise.resolve());
  }

  async #use<T>(call: (seat: Seat) => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) {
      throw new TuttiError("Closed", `Cannot use the store "${this.#settings.path}": it is closed`);
    }
    const seat = this.#seat ??= this.#settings.thread === "own"
      ? new StoreThread(this.#settings)
      : new CallerSeat(this.#settings);
    try {
      return await call(seat);
    } catch (error) {
      // What could not be opened leaves nothing behind, and may be tried again.
      if (!seat.isOpen && this.#seat === seat) {
        this.#seat = undefined;
        await seat.close();
      }
      throw error;
    }
  }
}

/** The thread of the caller. */
class CallerSeat implements Seat {
  readonly #engine: Promise<Engine>;
  isOpen = false;

  constructor(settings: Settings) {
    this.#engine = openEngine(settings);
    this.#engine.then(() => this.isOpen = true, () => {}); // Every call says what went wrong.
  }

  async load(): Promise<Stored | undefined> {
    return (await this.#engine).load();
  }

  async write(write: StoreWrite): Promise<void> {
    const engine = await this.#engine;
    engine.write(write);
    engine.tidy();
  }

  async close(): Promise<void> {
    const engine = await this.#engine.catch(() => undefined);
    engine?.close();
  }
}

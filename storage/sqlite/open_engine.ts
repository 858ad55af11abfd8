import { TuttiError } from "../../core/base/errors.ts";
import { Engine } from "./engine.ts";
import type { Sqlite } from "./opening.ts";
import type { Settings } from "./options.ts";

/**
 * Loads SQLite and opens a store.
 *
 * @throws {TuttiError} `Unsupported`, `StoreInUse`, `StoreFailed`
 */
export async function openEngine(settings: Settings): Promise<Engine> {
  let sqlite: Sqlite;
  try {
    sqlite = await import("node:sqlite");
  } catch (cause) {
    const text = `Cannot open the store "${settings.path}": this runtime has no node:sqlite; ` +
      "use Deno from 2.2 or Node from 22.13";
    throw new TuttiError("Unsupported", text, { cause });
  }
  return new Engine(sqlite, settings);
}

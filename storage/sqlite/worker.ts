/** The thread that a store runs in. `StoreThread` starts it, with the settings of the store. */
import { parentPort, workerData } from "node:worker_threads";
import { TuttiError } from "../../core/base/errors.ts";
import type { Stored } from "../../core/runtime/store.ts";
import { type Answer, buffersOf, type Call, pack, packError, unpackWrite } from "./calls.ts";
import type { Engine } from "./engine.ts";
import { openEngine } from "./open_engine.ts";
import type { Settings } from "./options.ts";

const port = parentPort;
const settings = workerData as Settings;
let engine: Engine | undefined;
/** One call after the other: opening takes more than one turn. */
let last: Promise<void> = Promise.resolve();

function say(answer: Answer, buffers: ArrayBuffer[] = []): void {
  port?.postMessage(answer, buffers);
}

async function serve(call: Call): Promise<void> {
  let stored: Stored | undefined;
  try {
    if (call.kind === "close") engine?.close();
    else {
      engine ??= await openEngine(settings);
      if (call.kind === "load") stored = engine.load();
      else engine.write(unpackWrite(call.parts));
    }
  } catch (error) {
    return say({ kind: "failed", error: packError(asTuttiError(error)) });
  }
  if (stored === undefined) say({ kind: "done" });
  else {
    const parts = pack(stored);
    say({ kind: "done", parts }, buffersOf(parts));
  }
  if (call.kind === "write") engine?.tidy();
}

function asTuttiError(error: unknown): TuttiError {
  if (error instanceof TuttiError) return error;
  return new TuttiError("StoreFailed", `Cannot use the store: ${String(error)}; this is a bug`, {
    cause: error,
  });
}

port?.on("message", (call: Call) => {
  last = last.then(() => serve(call));
});
say({ kind: "ready" });

/** The caller's side of a store that runs in a thread of its own. */
import { Worker } from "node:worker_threads";
import { TuttiError } from "../../core/base/errors.ts";
import type { Stored, StoreWrite } from "../../core/runtime/store.ts";
import { type Answer, buffersOf, type Call, pack, unpackError, unpackStored } from "./calls.ts";
import type { Settings } from "./options.ts";

interface Waiting {
  readonly resolve: (stored: Stored | undefined) => void;
  readonly reject: (error: TuttiError) => void;
}

/** A thread with a store in it. It keeps the process alive only while a call is on its way. */
export class StoreThread {
  readonly #path: string;
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  #isReady = false;
  #isOpen = false;
  #end: TuttiError | undefined;

  /**
   * Starts it.
   *
   * @throws {TuttiError} `Unsupported`
   */
  constructor(settings: Settings) {
    this.#path = settings.path;
    try {
      this.#worker = new Worker(workerUrl(), { workerData: settings, name: "tutti store" });
    } catch (cause) {
      throw cannotStart(settings.path, cause);
    }
    this.#worker.on("message", (answer: Answer) => this.#take(answer));
    this.#worker.on("error", (cause: unknown) => this.#ended(cause));
    this.#worker.on("exit", () => this.#ended(undefined));
    this.#worker.unref();
  }

  /** Whether the store in it is open. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** What is stored. */
  load(): Promise<Stored | undefined> {
    return this.#call({ kind: "load" });
  }

  /** Writes something; its bytes are handed over. */
  async write(write: StoreWrite): Promise<void> {
    const parts = pack(write);
    await this.#call({ kind: "write", parts }, buffersOf(parts));
  }

  /** Closes the store and ends the thread. */
  async close(): Promise<void> {
    try {
      if (this.#end === undefined) await this.#call({ kind: "close" });
    } finally {
      this.#end ??= new TuttiError("Closed", `Cannot use the store "${this.#path}": it is closed`);
      await this.#worker.terminate();
    }
  }

  #call(call: Call, buffers: ArrayBuffer[] = []): Promise<Stored | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#end !== undefined) return reject(this.#end);
      if (this.#waiting.push({ resolve, reject }) === 1) this.#worker.ref();
      this.#worker.postMessage(call, buffers);
    });
  }

  #take(answer: Answer): void {
    if (answer.kind === "ready") {
      this.#isReady = true;
      return;
    }
    const waiting = this.#waiting.shift();
    if (this.#waiting.length === 0) this.#worker.unref();
    if (answer.kind === "done") {
      this.#isOpen = true;
      waiting?.resolve(answer.parts === undefined ? undefined : unpackStored(answer.parts));
    } else waiting?.reject(unpackError(answer.error));
  }

  /** The thread is gone, which only `close` may cause. */
  #ended(cause: unknown): void {
    this.#end ??= this.#isReady
      ? new TuttiError(
        "StoreFailed",
        `Cannot go on with the store "${this.#path}": its thread has ended; open it again`,
        { cause },
      )
      : cannotStart(this.#path, cause);
    for (const { reject } of this.#waiting.splice(0)) reject(this.#end);
  }
}

function cannotStart(path: string, cause: unknown): TuttiError {
  const text =
    `Cannot open the store "${path}": its thread cannot be started; keep the file ${workerUrl()}, ` +
    'or use the option thread: "caller"';
  return new TuttiError("Unsupported", text, { cause });
}

/** The module that runs in the thread. It is loaded by its place beside this one, so a bundle of one file does not have it. */
function workerUrl(): URL {
  const url = new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url);
  if (url.protocol === "file:") return url;
  // From elsewhere, as Deno loads packages: a thread starts from a file or from what stands in its address.
  return new URL(`data:text/javascript,import ${encodeURIComponent(JSON.stringify(url.href))}`);
}

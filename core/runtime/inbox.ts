/**
 * The inbox: messages and events on their way to the application, and what the application has taken of them.
 *
 * Two ways out. *Iterating*: a message counts as taken when the application asks for the next one, so what it was
 * working on when it died is sent to its next life again. *A batch callback*: the batch counts as taken when the callback
 * returns, or when the promise it returned is fulfilled; until then no other batch is handed over. Either way a slow application holds back
 * its acknowledgements, and through them the senders.
 */
import type { ControlEvent, GroupEvent, Message } from "../group/events.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import { UNDECODABLE } from "../wire/value.ts";

/** Takes messages in batches; a promise holds back the next batch. */
export type OnMessages = (messages: readonly Message[]) => void | PromiseLike<void>;

/** What the inbox reports back. */
export interface InboxOwner {
  /** A message is about to be handed to the application. */
  delivering(message: Message): void;
  /** The application has taken a message and all before it of the same stream. */
  consumed(stream: ReceiveStream, sequence: number): void;
  /** The application's callback threw, or its promise was rejected: nobody knows what it has done. */
  callbackFailed(cause: unknown): void;
  /** Some messages were taken: acknowledgements may be due. */
  settled(): void;
}

interface Waiter {
  readonly resolve: (result: IteratorResult<GroupEvent, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

const DONE: IteratorResult<GroupEvent, undefined> = { done: true, value: undefined };
/** Events that were taken are cut off the front of the queue in batches of this many. */
const COMPACT_COUNT = 1024;

/** A queue of events with one consumer. */
export class Inbox {
  readonly #owner: InboxOwner;
  readonly #onMessages: OnMessages | undefined;
  readonly #eventsMax: number;
  #queue: GroupEvent[] = [];
  #streams: (ReceiveStream | undefined)[] = [];
  #head = 0;
  #controlCount = 0;
  /** The messages that the application is working on: more than one if it asked for several at once. */
  #current: { stream: ReceiveStream; sequence: number }[] = [];
  #waiters: Waiter[] = [];
  #batch: Message[] = [];
  #batchStreams: ReceiveStream[] = [];
  #busy = false;
  #closed = false;
  #error: unknown = undefined;
  /** Events dropped because nobody took them. */
  dropped = 0;

  /**
   * @param onMessages Takes the messages, if the application wants batches.
   * @param eventsMax Most events other than messages that wait.
   */
  constructor(owner: InboxOwner, onMessages: OnMessages | undefined, eventsMax: number) {
    this.#owner = owner;
    this.#onMessages = onMessages;
    this.#eventsMax = eventsMax;
  }

  /** Messages waiting for the application. Bounded by the windows of the senders. */
  get waiting(): number {
    return this.#queue.length - this.#head - this.#controlCount + this.#batch.length;
  }

  /** Takes messages from the driver. */
  messages(messages: Message[], streams: ReceiveStream[]): void {
    if (this.#closed) return;
    if (this.#onMessages === undefined) {
      for (let index = 0; index < messages.length; index++) this.#push(messages[index], streams[index]);
      this.#serve();
      return;
    }
    if (this.#batch.length === 0) {
      this.#batch = messages;
      this.#batchStreams = streams;
    } else {
      for (let index = 0; index < messages.length; index++) {
        this.#batch.push(messages[index]);
        this.#batchStreams.push(streams[index]);
      }
    }
    this.#handBatch(this.#onMessages);
  }

  /** Takes other events from the driver. */
  events(events: ControlEvent[]): void {
    if (this.#closed) return;
    for (const event of events) {
      if (this.#controlCount >= this.#eventsMax) this.dropped++;
      else {
        this.#controlCount++;
        this.#push(event, undefined);
      }
    }
    this.#serve();
  }

  /** The next event, as an async iterator gives it. */
  next(): Promise<IteratorResult<GroupEvent, undefined>> {
    this.#takeCurrent();
    const event = this.#pull();
    if (event !== undefined) return Promise.resolve({ done: false, value: event });
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#closed) return Promise.resolve(DONE);
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** Nothing more will come, or be acknowledged. What waits is dropped; iterators end, or fail with `error`. */
  close(error?: unknown): void {
    if (this.#closed) return;
    if (error === undefined) this.#takeCurrent(); // who closes in good order is done with what it had
    this.#closed = true;
    this.#error = error;
    this.#queue = [];
    this.#streams = [];
    this.#head = 0;
    this.#controlCount = 0;
    this.#batch = [];
    this.#batchStreams = [];
    for (const { resolve, reject } of this.#waiters.splice(0)) {
      if (error === undefined) resolve(DONE);
      else reject(error);
    }
  }

  #push(event: GroupEvent, stream: ReceiveStream | undefined): void {
    this.#queue.push(event);
    this.#streams.push(stream);
  }

  #pull(): GroupEvent | undefined {
    while (this.#head < this.#queue.length) {
      const event = this.#queue[this.#head];
      const stream = this.#streams[this.#head];
      this.#head++;
      if (this.#head >= COMPACT_COUNT && this.#head * 2 >= this.#queue.length) {
        this.#queue = this.#queue.slice(this.#head);
        this.#streams = this.#streams.slice(this.#head);
        this.#head = 0;
      }
      if (event.type !== "message" || stream === undefined) {
        this.#controlCount--;
        return event;
      }
      if (event.value === UNDECODABLE) {
        this.#owner.consumed(stream, event.sequence);
        continue;
      }
      this.#current.push({ stream, sequence: event.sequence });
      this.#owner.delivering(event);
      return event;
    }
    return undefined;
  }

  /** The application asks for more: it is done with what it had. */
  #takeCurrent(): void {
    if (this.#current.length === 0 || this.#closed) return;
    for (const { stream, sequence } of this.#current) this.#owner.consumed(stream, sequence);
    this.#current = [];
    this.#owner.settled();
  }

  #serve(): void {
    while (this.#waiters.length > 0) {
      const event = this.#pull();
      if (event === undefined) return;
      (this.#waiters.shift() as Waiter).resolve({ done: false, value: event });
    }
  }

  #handBatch(onMessages: OnMessages): void {
    while (!this.#busy && !this.#closed && this.#batch.length > 0) {
      const batch = this.#batch;
      const streams = this.#batchStreams;
      this.#batch = [];
      this.#batchStreams = [];
      const shown = batch.some((message) => message.value === UNDECODABLE)
        ? batch.filter((message) => message.value !== UNDECODABLE)
        : batch;
      for (const message of shown) this.#owner.delivering(message);
      this.#busy = true;
      let result: void | PromiseLike<void> = undefined;
      try {
        result = onMessages(shown);
      } catch (error) {
        return this.#owner.callbackFailed(error);
      }
      if (typeof result?.then === "function") {
        Promise.resolve(result).then(() => {
          this.#taken(batch, streams);
          this.#handBatch(onMessages);
        }).catch((error: unknown) => this.#owner.callbackFailed(error));
        return;
      }
      this.#taken(batch, streams);
    }
  }

  #taken(batch: readonly Message[], streams: readonly ReceiveStream[]): void {
    this.#busy = false;
    if (this.#closed) return;
    for (let index = 0; index < batch.length; index++) {
      this.#owner.consumed(streams[index], batch[index].sequence);
    }
    this.#owner.settled();
  }
}

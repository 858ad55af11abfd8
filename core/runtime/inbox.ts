/**
 * The inbox: messages and events on their way to the application, and what the application has taken of them.
 *
 * Two ways out. *Iterating*: a message counts as taken when the application asks for the next event. *Callbacks*: a batch of
 * messages counts as taken when `onMessages` returns, or when the promise it returned is fulfilled; until then nothing else is
 * handed over. Either way a slow application holds back its acknowledgements, and through them the senders.
 *
 * Everything keeps its place: a `view` comes after the messages of the view before and before those of the next. A snapshot
 * is taken when everything before its place was taken and nothing after it was handed over. Two snapshots need not wait for
 * their place: that of an application without a state, and that of one that has not begun to iterate and missed no message
 * so far. So a group can grow while its members still wait for it to be complete.
 */
import type { ControlEvent, GroupEvent, GroupOutput, Message, RestorePoint } from "../group/events.ts";
import { isHidden, Outputs } from "../group/outputs.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import { Command } from "../wire/command.ts";
import { UNDECODABLE } from "../wire/value.ts";

/** Takes messages in batches; a promise holds back the next batch. */
export type OnMessages = (messages: readonly Message[]) => void | PromiseLike<void>;

/** Takes one event. */
export type OnEvent = (event: ControlEvent) => void;

/** What an inbox does with the application. */
export interface InboxOwner {
  /** Whether the application keeps a state for members that join. */
  readonly stateful: boolean;
  /** Whether there is something besides the application, so that nobody need take events. */
  readonly unattended: boolean;
  /** A message is about to be handed to the application; left out when nobody wants to know. */
  readonly delivering?: ((message: Message) => void) | undefined;
  /** An event is about to be handed to the application. */
  telling(event: ControlEvent): void;
  /**
   * The application has taken a message and all before it of the same stream.
   *
   * @param count How many of them since the last call: others may have been passed over.
   */
  consumed(stream: ReceiveStream | undefined, sequence: number, count: number): void;
  /** A command to a replicated object was passed over: it is not for the application. */
  passed(stream: ReceiveStream | undefined, sequence: number): void;
  /** The application's callback threw, or its promise was rejected: nobody knows what it has done. */
  callbackFailed(what: string, cause: unknown): void;
  /** The application's state is wanted for a member that joins. */
  snapshot(transfer: number): void;
  /** The application's state is to be replaced. */
  restore(point: RestorePoint): void | PromiseLike<void>;
  /** The application has taken over the state. */
  restored(): void;
  /** Some messages were taken: acknowledgements may be due. */
  settled(): void;
}

interface Waiter {
  readonly resolve: (result: IteratorResult<GroupEvent, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

const DONE: IteratorResult<GroupEvent, undefined> = { done: true, value: undefined };
/** What was taken is cut off the front of the queue in batches of this many. */
const COMPACT_COUNT = 1024;

/** A queue with one consumer. */
export class Inbox {
  readonly #owner: InboxOwner;
  readonly #onMessages: OnMessages | undefined;
  readonly #onEvent: OnEvent | undefined;
  readonly #eventsMax: number;
  #queue: GroupOutput[] = [];
  #streams: (ReceiveStream | undefined)[] = [];
  #head = 0;
  #messageCount = 0;
  #droppableCount = 0;
  /** With callbacks for messages only: events for whoever iterates. */
  #events: ControlEvent[] = [];
  /**
   * The messages that the application is working on, more than one if it asked for several at once, and what is not for it but
   * comes behind them.
   */
  #current: { readonly message: Message; readonly stream: ReceiveStream | undefined }[] = [];
  #waiters: Waiter[] = [];
  #busy = false;
  /** Whether the application has asked for an event. */
  #started = false;
  #closed = false;
  #error: unknown = undefined;
  /** Events dropped because nobody took them. */
  dropped = 0;

  /**
   * @param onMessages Takes the messages, if the application wants batches.
   * @param onEvent Takes the events, if the application wants callbacks.
   * @param eventsMax Most events other than messages that wait.
   */
  constructor(
    owner: InboxOwner,
    onMessages: OnMessages | undefined,
    onEvent: OnEvent | undefined,
    eventsMax: number,
  ) {
    this.#owner = owner;
    this.#onMessages = onMessages;
    this.#onEvent = onEvent;
    this.#eventsMax = eventsMax;
  }

  /** Messages waiting for the application. Bounded by the windows of the senders. */
  get waiting(): number {
    return this.#messageCount;
  }

  /** Takes what the driver brings. */
  outputs(outputs: Outputs): void {
    if (this.#closed) return;
    if (this.#onMessages !== undefined && !this.#busy && this.#queue.length === 0 && outputs.isPlain()) {
      return this.#hand(this.#onMessages, outputs.items, outputs); // nothing is before them
    }
    outputs.forEach((output, stream) => this.#add(output, stream));
    this.#work();
  }

  /** Puts an output behind what waits, if it has to. */
  #add(output: GroupOutput, stream: ReceiveStream | undefined): void {
    if (output.type === "message") this.#messageCount++;
    else if (output.type === "snapshot" && !this.#mustWait()) return this.#owner.snapshot(output.transfer);
    else if (output.type === "restore" && !this.#started && !this.#busy && this.#messageCount === 0) {
      // Nobody has asked for anything yet, so only events could come before it, and they may wait for long.
      return this.#restore(output);
    } else if (isDroppable(output)) {
      if (this.#droppableCount + this.#events.length >= this.#eventsMax) {
        this.dropped++;
        return;
      }
      this.#droppableCount++;
    }
    this.#queue.push(output);
    this.#streams.push(stream);
  }

  /** The next event, as an async iterator gives it. */
  next(): Promise<IteratorResult<GroupEvent, undefined>> {
    this.#started = true;
    this.#takeCurrent();
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<GroupEvent, undefined>>();
    this.#waiters.push({ resolve, reject });
    this.#work();
    if (this.#closed) this.#dismiss();
    return promise;
  }

  /** Nothing more will come, or be acknowledged. What waits is dropped; iterators end, or fail with `error`. */
  close(error?: unknown): void {
    if (this.#closed) return;
    if (error === undefined) this.#takeCurrent(); // who closes in good order is done with what it had
    this.#closed = true;
    this.#error = error;
    this.#queue = [];
    this.#streams = [];
    this.#events = [];
    this.#head = 0;
    this.#messageCount = 0;
    this.#dismiss();
  }

  #dismiss(): void {
    for (const { resolve, reject } of this.#waiters.splice(0)) {
      if (this.#error === undefined) resolve(DONE);
      else reject(this.#error);
    }
  }

  /** Hands over what can be handed over now. */
  #work(): void {
    this.#serveEvents();
    while (!this.#busy && !this.#closed && this.#head < this.#queue.length) {
      const output = this.#queue[this.#head];
      switch (output.type) {
        case "message":
          if (this.#onMessages !== undefined) this.#handBatch(this.#onMessages);
          else if (!this.#handOne(output)) return;
          break;
        case "snapshot":
          // Who iterates is done with a message when it asks for the next event.
          if (this.#current.length > 0) return;
          this.#drop();
          this.#owner.snapshot(output.transfer);
          break;
        case "restore":
          // What it still works on belongs to the state before.
          if (this.#current.length > 0) return;
          this.#drop();
          this.#restore(output);
          break;
        default:
          if (!this.#handEvent(output)) return;
      }
    }
  }

  #restore(point: RestorePoint): void {
    this.#call("restore", () => this.#owner.restore(point), () => this.#owner.restored());
  }

  /** Whether a snapshot that is asked for now depends on what the application has yet to take. */
  #mustWait(): boolean {
    if (!this.#owner.stateful) return false;
    return this.#started || this.#busy || this.#messageCount > 0 || this.#onMessages !== undefined ||
      this.#onEvent !== undefined;
  }

  /** Takes the head off the queue. */
  #drop(): ReceiveStream | undefined {
    const stream = this.#streams[this.#head];
    const output = this.#queue[this.#head];
    if (output.type === "message") this.#messageCount--;
    else if (isDroppable(output)) this.#droppableCount--;
    this.#head++;
    if (this.#head === this.#queue.length) {
      this.#queue = [];
      this.#streams = [];
      this.#head = 0;
    } else if (this.#head >= COMPACT_COUNT && this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#streams = this.#streams.slice(this.#head);
      this.#head = 0;
    }
    return stream;
  }

  /** Gives the message at the head to whoever iterates. @returns Whether it went. */
  #handOne(message: Message): boolean {
    if (isHidden(message)) {
      const stream = this.#drop();
      if (message.value !== UNDECODABLE) this.#owner.delivering?.(message);
      // It counts as taken in its turn: with it, all before it of the same stream would be acknowledged.
      if (this.#current.length > 0) this.#current.push({ message, stream });
      else this.#take(message, stream, 1);
      return true;
    }
    const waiter = this.#waiters.shift();
    if (waiter === undefined) return false;
    const stream = this.#drop();
    this.#current.push({ message, stream });
    this.#owner.delivering?.(message);
    waiter.resolve({ done: false, value: message });
    return true;
  }

  /** Gives the event at the head to whoever takes events. @returns Whether it went. */
  #handEvent(event: ControlEvent): boolean {
    if (this.#onEvent !== undefined) {
      const { onEvent } = { onEvent: this.#onEvent };
      this.#drop();
      this.#owner.telling(event);
      this.#call("onEvent", () => onEvent(event));
      return true;
    }
    // Messages, or commands, go on, whether or not anybody iterates.
    if (this.#onMessages !== undefined || (this.#owner.unattended && !this.#started)) {
      this.#drop();
      this.#owner.telling(event);
      if (this.#events.length < this.#eventsMax) this.#events.push(event);
      else this.dropped++;
      this.#serveEvents();
      return true;
    }
    const waiter = this.#waiters.shift();
    if (waiter === undefined) return false;
    this.#drop();
    this.#owner.telling(event);
    waiter.resolve({ done: false, value: event });
    return true;
  }

  #serveEvents(): void {
    while (this.#waiters.length > 0 && this.#events.length > 0) {
      (this.#waiters.shift() as Waiter).resolve({ done: false, value: this.#events.shift() as ControlEvent });
    }
  }

  /** The application asks for more: it is done with what it had. */
  #takeCurrent(): void {
    if (this.#current.length === 0 || this.#closed) return;
    for (const { message, stream } of this.#current) this.#take(message, stream, 1);
    this.#current = [];
    this.#owner.settled();
  }

  /** Hands over all messages up to the next event. */
  #handBatch(onMessages: OnMessages): void {
    const batch = new Outputs();
    const { length } = this.#queue;
    for (let index = this.#head; index < length && this.#queue[index].type === "message"; index++) {
      batch.push(this.#queue[index], this.#streams[index]);
    }
    const messages = batch.items as Message[];
    for (let count = messages.length; count > 0; count--) this.#drop();
    const shown = batch.isPlain() ? messages : messages.filter((message) => !isHidden(message));
    this.#hand(onMessages, shown, batch);
  }

  /** Hands over a batch of messages. @param shown What of it is for the application. */
  #hand(onMessages: OnMessages, shown: readonly Message[], batch: Outputs): void {
    const { delivering } = this.#owner;
    if (delivering !== undefined) {
      for (const message of batch.items as Message[]) if (message.value !== UNDECODABLE) delivering(message);
    }
    if (shown.length === 0) return this.#taken(batch);
    this.#call("onMessages", () => onMessages(shown), () => this.#taken(batch));
  }

  /** The application is done with a batch. What it took of a stream in one go is told in one go. */
  #taken(batch: Outputs): void {
    if (batch.isPlain()) {
      for (const { stream, last, count } of batch.runs) this.#owner.consumed(stream, last, count);
    } else batch.forEach((message, stream) => this.#take(message as Message, stream, 1));
    this.#owner.settled();
  }

  #take(message: Message, stream: ReceiveStream | undefined, count: number): void {
    if (message.value instanceof Command) this.#owner.passed(stream, message.sequence);
    else this.#owner.consumed(stream, message.sequence, count);
  }

  /** Calls the application; while a promise of its is open nothing else is handed over. */
  #call(what: string, call: () => void | PromiseLike<void>, done: () => void = () => {}): void {
    this.#busy = true;
    const end = (): void => {
      this.#busy = false;
      if (!this.#closed) done();
    };
    let result: void | PromiseLike<void> = undefined;
    try {
      result = call();
    } catch (error) {
      return this.#owner.callbackFailed(what, error);
    }
    if (typeof result?.then !== "function") return end();
    Promise.resolve(result).then(() => {
      end();
      this.#work();
    }).catch((error: unknown) => this.#owner.callbackFailed(what, error));
  }
}

/** What may be dropped when nobody takes it: what matters only while it is new. */
function isDroppable(event: GroupOutput): boolean {
  return event.type === "retry" || event.type === "warning" || event.type === "suspected" ||
    event.type === "trusted";
}

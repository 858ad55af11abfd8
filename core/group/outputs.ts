/** What a machine has put out for the application, in the order of delivery, and which streams the messages are of. */
import { Command } from "../wire/command.ts";
import { UNDECODABLE } from "../wire/value.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import type { GroupOutput, Message } from "./events.ts";

/** Neighbours of one stream. */
export interface OutputRun {
  /** `undefined` for events, and for messages that came with a state transfer. */
  readonly stream: ReceiveStream | undefined;
  /** Where the first one is. */
  readonly first: number;
  count: number;
  /** Sequence of the last one, if that is a message. */
  last: number;
}

/** Outputs, each with its stream; said once for all that follow each other, for there may be thousands. */
export class Outputs {
  readonly items: GroupOutput[] = [];
  readonly runs: OutputRun[] = [];
  #isPlain = true;
  #run: OutputRun | undefined = undefined;

  /** Whether there are some, and all are messages that the application may see, and do with the array as it likes. */
  isPlain(): this is { readonly items: readonly Message[] } {
    return this.#isPlain && this.runs.length > 0;
  }

  /** Puts one behind the others. */
  push(output: GroupOutput, stream: ReceiveStream | undefined): void {
    if (this.#isPlain && (output.type !== "message" || isHidden(output))) this.#isPlain = false;
    let run = this.#run;
    if (run !== undefined && run.stream === stream) run.count++;
    else this.runs.push(run = this.#run = { stream, first: this.items.length, count: 1, last: 0 });
    if (output.type === "message") run.last = output.sequence;
    this.items.push(output);
  }

  /** Shows them one by one. */
  forEach(show: (output: GroupOutput, stream: ReceiveStream | undefined) => void): void {
    for (const { stream, first, count } of this.runs) {
      for (let index = first; index < first + count; index++) show(this.items[index], stream);
    }
  }

  /** Shows events, and messages that may be own ones, one by one. */
  forEachOwn(show: (output: GroupOutput) => void): void {
    for (const { stream, first, count } of this.runs) {
      const { own } = this.items[first] as Partial<Message>;
      if (stream !== undefined && own !== true) continue; // all of a stream are, or none is
      for (let index = first; index < first + count; index++) show(this.items[index]);
    }
  }
}

/** Whether the application must not see a message. */
export function isHidden({ value }: Message): boolean {
  return value === UNDECODABLE || value instanceof Command;
}

/**
 * The journal of a member of a durable group: what it received, sent and installed, in a form from which it can be made anew.
 *
 * Nothing that follows from an entry - a packet, a delivery - leaves this process before the entry is on disk. So a process that
 * comes back with its journal is what it was: whatever it promised, acknowledged, sent, ordered or placed, it still knows. It
 * keeps its identity, and comes back *wedged*: it promises, accepts and serves, and goes on with the next view.
 *
 * The log is made of entries as in a state transfer (see transfer.ts): PACKET, one of a stream, as it arrived or was sent; INSTALL, a
 * view that followed. A snapshot is what a state transfer brings, and the packets that others may still need.
 */
import { concat, copyBytes } from "../base/bytes.ts";
import type { Proposal } from "../membership/proposal.ts";
import { encodeProposal } from "../membership/proposal.ts";
import type { ReceiveStream } from "../multicast/receive_stream.ts";
import type { GroupState } from "./state.ts";
import type { LogBatch } from "./stored.ts";
import { encodeEntry, encodeViewEntry, EntryKind, type ViewEntry } from "./transfer.ts";

/** The state with which a member begins, in parts. */
export interface Beginning {
  /** The application's snapshot; `undefined` if it keeps none, or has none yet. */
  readonly snapshot: Uint8Array | undefined;
  /** The view of that point, and perhaps messages and views behind it, as entries of a state transfer. */
  readonly entries: readonly Uint8Array[];
}

/** Writes a journal. */
export class Journal {
  readonly #state: GroupState;
  /** Entries that are not in a batch yet. */
  #entries: Uint8Array[] = [];
  /** Number of the last entry. */
  #last: number;
  /** Bytes of the log behind the last snapshot. */
  #bytes = 0;
  /** Snapshots that were asked for. */
  #asks = 0;
  /** A snapshot that was asked for: how much of the log it stands for, and what it is made of beside the application's part. */
  #asked:
    | { readonly through: number; readonly view: Uint8Array; readonly packets: readonly Uint8Array[] }
    | undefined;

  /** Bytes of the log at which somebody must be told that a snapshot is overdue. */
  #overdueBytes = Infinity;

  /** @param last Number of the last entry on disk. @param bytes Bytes of the log on disk. */
  constructor(state: GroupState, last: number, bytes: number) {
    this.#state = state;
    this.#last = last;
    this.#bytes = bytes;
  }

  /** Notes what has come of every stream. Called before anything is sent. */
  note(): void {
    const { roster } = this.#state;
    if (roster?.self === undefined) return;
    for (const stream of roster.streams) {
      if (stream.logged < stream.received) this.#noteStream(stream, stream.received);
    }
  }

  /** The next view is installed: everything up to the cut, and then that. */
  install(proposal: Proposal): void {
    this.note();
    this.#append(encodeEntry(EntryKind.install, 0, encodeProposal(proposal)));
  }

  /** This member begins: as the founder, or with a state that was given to it. */
  begin(beginning: Beginning): void {
    this.#last -= this.#entries.length;
    this.#entries = [];
    this.#asked = undefined;
    this.#write(this.#last, beginning, this.#packets());
  }

  /** Whether it is time for a snapshot. */
  get isLong(): boolean {
    return this.#asked === undefined && this.#bytes > this.#state.config.limits.logBytesMax;
  }

  /** A snapshot of the application is asked for, which will cover what was delivered so far. @returns Number of the question. */
  ask(view: ViewEntry): number {
    this.note();
    this.#overdueBytes = this.#bytes + this.#state.config.limits.logBytesMax;
    this.#asked = { through: this.#last, view: encodeViewEntry(view), packets: this.#packets() };
    return ++this.#asks;
  }

  /** The application's snapshot is there. @param snapshot `undefined` if it keeps none: then nothing can be dropped. */
  snapshotTaken(number: number, snapshot: Uint8Array | undefined): void {
    if (this.#asked === undefined || number !== this.#asks) return; // asked for before this life began
    const { through, view, packets } = this.#asked;
    this.#asked = undefined;
    if (snapshot === undefined) this.#bytes = 0; // not asked again so soon
    else this.#write(through, { snapshot, entries: [view] }, packets);
  }

  /** The application could not give its state: the log goes on. */
  snapshotFailed(number: number): void {
    if (number !== this.#asks) return;
    this.#asked = undefined;
    this.#bytes = 0;
  }

  /** What is to be written now, as one batch. */
  take(): LogBatch | undefined {
    if (this.#entries.length === 0) return undefined;
    const bytes = concat(this.#entries);
    const first = this.#last - this.#entries.length + 1;
    this.#entries = [];
    this.#bytes += bytes.length;
    if (this.#asked !== undefined && this.#bytes > this.#overdueBytes) this.#warn();
    return { first, last: this.#last, bytes };
  }

  /** The application owes a snapshot: without it the log grows for ever, and it is asked for no other one. */
  #warn(): void {
    const { logBytesMax } = this.#state.config.limits;
    this.#overdueBytes += logBytesMax;
    this.#state.warn(
      "snapshot",
      `the log has ${this.#bytes} bytes and cannot be shortened: the application has not given the snapshot that it was asked for, ` +
        `and more than ${logBytesMax} bytes (limits.logBytesMax) have come since`,
    );
  }

  #write(through: number, { snapshot, entries }: Beginning, packets: readonly Uint8Array[]): void {
    const first = snapshot === undefined ? [] : [encodeEntry(EntryKind.snapshot, 0, snapshot)];
    const bytes = concat([...first, ...entries, ...packets]);
    this.#state.stored = { through, bytes };
    this.#bytes = 0;
  }

  #append(entry: Uint8Array): void {
    this.#entries.push(entry);
    this.#last++;
  }

  #noteStream(stream: ReceiveStream, last: number): void {
    const store = stream === this.#state.loopback ? this.#state.own.store : stream.store;
    while (stream.logged < last) {
      const sequence = stream.logged + 1;
      const packet = store.find(sequence);
      if (packet === undefined) break;
      this.#append(encodeEntry(EntryKind.packet, stream.rank, packet));
      stream.logged = store.lastOf(sequence);
    }
  }

  /** Packets behind what was delivered, and those that others may need, as entries. */
  #packets(): Uint8Array[] {
    const { roster } = this.#state;
    for (const stream of roster?.streams ?? []) stream.logged = stream.received;
    return roster?.streams.flatMap((stream) => this.#held(stream)) ?? [];
  }

  #held(stream: ReceiveStream): Uint8Array[] {
    const store = stream === this.#state.loopback ? this.#state.own.store : stream.store;
    const entries: Uint8Array[] = [];
    for (let sequence = store.first; sequence > 0 && sequence <= stream.received;) {
      const packet = store.find(sequence);
      if (packet === undefined) break;
      entries.push(encodeEntry(EntryKind.packet, stream.rank, copyBytes(packet)));
      sequence = store.lastOf(sequence) + 1;
      if (store.find(sequence) === undefined) sequence = store.nextHeld(sequence);
    }
    return entries;
  }
}

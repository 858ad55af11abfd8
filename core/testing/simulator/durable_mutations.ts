/**
 * Planted bugs in what a member keeps on disk, and in how it comes back with it. Capitals: the name of the same mistake in the
 * checked model.
 */
import type { GroupMachine } from "../../group/machine.ts";
import type { Journal } from "../../group/journal.ts";
import type { Stored, StoreWrite } from "../../group/stored.ts";
import { ENTRY_FIXED_BYTES, EntryKind } from "../../group/transfer.ts";
import { Voter } from "../../group/voter.ts";
import { type BallotRecord, encodeRecord, readRecord } from "../../membership/ballot_record.ts";
import type { Mutation } from "./mutations.ts";
import type { PlantBug } from "./node.ts";

/** Plants a bug in members of a durable group. */
function inDurable(change: (machine: GroupMachine) => void): PlantBug {
  return (machine) => {
    if (machine.state.config.order === "total" && machine.state.config.level === "durable") change(machine);
  };
}

/** Changes every journal of a machine. */
function onJournals(machine: GroupMachine, change: (journal: Journal) => void): void {
  let present = machine.journal;
  if (present !== undefined) change(present);
  Object.defineProperty(machine, "journal", {
    get: () => present,
    set: (next: Journal | undefined) => {
      present = next;
      if (next !== undefined) change(next);
    },
  });
}

/** Changes every record that a machine writes. */
function onRecords(machine: GroupMachine, change: (record: BallotRecord) => BallotRecord): void {
  const { membership, state } = machine;
  const persist = membership.persist.bind(membership);
  membership.persist = (over) => {
    persist(over);
    const record = state.record === undefined ? undefined : readRecord(state.record);
    if (record !== undefined) state.record = encodeRecord(change(record));
  };
}

/** Changes what a machine comes back with. */
function onReturn(machine: GroupMachine, change: (stored: Stored) => Stored): void {
  const recover = machine.recover.bind(machine);
  machine.recover = (stored, now) => recover(change(stored), now);
}

/** The entries of a piece of journal that are kept. */
function keep(bytes: Uint8Array, isKept: (kind: number, rank: number) => boolean): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kept: number[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = start + ENTRY_FIXED_BYTES + view.getUint32(start + 4);
    if (isKept(view.getUint8(start), view.getUint16(start + 2))) {
      for (let index = start; index < end; index++) kept.push(bytes[index]);
    }
    start = end;
  }
  return Uint8Array.from(kept);
}

/** Whether a piece of journal has an entry of a kind. */
function has(bytes: Uint8Array, kind: number): boolean {
  return keep(bytes, (other) => other === kind).length > 0;
}

const noPackets = (kind: number): boolean => kind !== EntryKind.packet;

const scenarios: readonly string[] = ["durable"];

/** Planted bugs in durability. */
export const DURABLE_MUTATIONS: readonly Mutation[] = [
  {
    name: "damage-taken-as-nothing",
    about: "a store that cannot be read is taken for an empty one (W15)",
    scenarios,
    seed: 1,
    plant: inDurable((machine) => machine.recover = () => {}),
  },
  {
    name: "last-write-lost",
    about: "a log that breaks off in the last thing that was written is taken as it is (W15)",
    scenarios,
    seed: 2,
    plant: inDurable((machine) =>
      onReturn(machine, (stored) => {
        const last = stored.log.at(-1);
        if (last === undefined || has(last.bytes, EntryKind.install)) return stored;
        return { ...stored, log: stored.log.slice(0, -1) };
      })
    ),
  },
  {
    name: "packets-forgotten",
    about:
      "a member comes back with what it promised, and without what it had received (RESTART_FORGETS_ACKS)",
    scenarios,
    seed: 2,
    plant: inDurable((machine) =>
      onReturn(machine, (stored) => {
        const index = stored.log.findLastIndex(({ bytes }) => has(bytes, EntryKind.install));
        return {
          ...stored,
          log: stored.log.map((batch, place) =>
            place > index ? { ...batch, bytes: keep(batch.bytes, noPackets) } : batch
          ),
        };
      })
    ),
  },
  {
    name: "votes-without-journal",
    about:
      "a safe member that comes back without what it had placed votes for its former life (RESTART_FORGETS_ACKS)",
    scenarios: ["sequencer", "lamport"],
    seed: 29,
    plant: (machine) => {
      const { config } = machine.state;
      if (config.order !== "total" || config.level !== "safe") return;
      const recover = machine.recover.bind(machine);
      machine.recover = (stored, now) => {
        recover(stored, now);
        const record = stored.record === undefined ? undefined : readRecord(stored.record);
        if (record?.over === false) machine.voter = new Voter(machine.state, record);
      };
    },
  },
  {
    name: "leaver-decides",
    about:
      "a leader that leaves decides the view without itself, and goes before anybody that stays has learnt of it",
    scenarios: ["durable"],
    seed: 5001337,
    plant: ({ watch, state }) =>
      void Object.defineProperty(watch, "leaderServes", {
        get: () => {
          const { leader, self } = state.view;
          return leader === self ? !state.blocked : !leader.suspected && !leader.over && !leader.blocked;
        },
      }),
  },
  {
    name: "sent-before-sync",
    about: "packets and deliveries leave before what they follow from is on disk",
    scenarios,
    seed: 10,
    plant: inDurable((machine) => {
      const take = machine.takeWrite.bind(machine);
      let late: StoreWrite | undefined;
      machine.takeWrite = () => {
        const write = late;
        late = take();
        return write;
      };
    }),
  },
  {
    name: "view-not-logged",
    about: "the journal does not say that a view was installed",
    scenarios,
    seed: 1,
    plant: inDurable((machine) => onJournals(machine, (journal) => journal.install = () => journal.note())),
  },
  {
    name: "cut-not-logged",
    about: "the journal says that a view was installed, and lacks the rest of the cut before it",
    scenarios,
    seed: 1,
    plant: inDurable((machine) =>
      onJournals(machine, (journal) => {
        const [note, install] = [journal.note.bind(journal), journal.install.bind(journal)];
        journal.install = (proposal) => {
          journal.note = () => {};
          install(proposal);
          journal.note = note;
        };
      })
    ),
  },
  {
    name: "promise-not-stored",
    about: "what was promised and accepted is not on disk (RESTART_FORGETS)",
    scenarios,
    seed: 29,
    plant: inDurable((machine) =>
      onRecords(machine, (record) => ({ ...record, promised: 0, accepted: undefined, holds: [] }))
    ),
  },
  {
    name: "answer-not-stored",
    about: "who has promised and comes back answers what it holds then, not what it has answered",
    scenarios,
    seed: 6,
    plant: inDurable((machine) => onRecords(machine, (record) => ({ ...record, holds: [] }))),
  },
  {
    name: "own-not-logged",
    about: "the journal has what was received, and not what was sent",
    scenarios,
    seed: 2,
    plant: inDurable((machine) =>
      onJournals(machine, (journal) => {
        const note = journal.note.bind(journal);
        journal.note = () => {
          machine.state.loopback.logged = machine.state.loopback.received;
          note();
        };
      })
    ),
  },
  {
    name: "log-cut-too-far",
    about: "a snapshot drops what was logged until it was taken, not until it was asked for",
    scenarios,
    seed: 142,
    plant: inDurable((machine) => {
      let last = 0;
      const take = machine.takeWrite.bind(machine);
      machine.takeWrite = () => {
        const write = take();
        last = write?.log?.at(-1)?.last ?? last;
        return write;
      };
      onJournals(machine, (journal) => {
        const taken = journal.snapshotTaken.bind(journal);
        journal.snapshotTaken = (number, snapshot) => {
          taken(number, snapshot);
          const { stored } = machine.state;
          if (stored !== undefined) {
            machine.state.stored = { ...stored, through: Math.max(stored.through, last) };
          }
        };
      });
    }),
  },
  {
    name: "snapshot-without-packets",
    about: "a snapshot drops packets that are not delivered here, or that others may need",
    scenarios,
    seed: 6,
    plant: inDurable((machine) =>
      onJournals(machine, (journal) => {
        const taken = journal.snapshotTaken.bind(journal);
        journal.snapshotTaken = (number, snapshot) => {
          taken(number, snapshot);
          const { stored } = machine.state;
          if (stored !== undefined) {
            machine.state.stored = { ...stored, bytes: keep(stored.bytes, noPackets) };
          }
        };
      })
    ),
  },
  {
    name: "position-not-restored",
    about: "who comes back counts its positions from the beginning (W13)",
    scenarios,
    seed: 6,
    plant: inDurable(({ membership }) => {
      const recover = membership.recover.bind(membership);
      membership.recover = (roster, _position, now) => recover(roster, 0, now);
    }),
  },
  {
    name: "replay-not-marked",
    about: "what is delivered once more after a return is not marked (W25)",
    scenarios,
    seed: 2,
    plant: inDurable((machine) => {
      const recover = machine.recover.bind(machine);
      machine.recover = (stored, now) => {
        recover(stored, now);
        for (const output of machine.state.outputs.items) {
          if (output.type === "message") output.replayed = false;
        }
      };
    }),
  },
];

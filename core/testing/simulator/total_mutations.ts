/**
 * Planted bugs in the total order: in its engines, in what members tell each other of it, and where it meets the view change.
 * Capitals: the name of the same mistake in the checked model.
 */
import type { GroupMachine } from "../../group/machine.ts";
import type { Carrier } from "../../group/order_stage.ts";
import type { Ordering } from "../../group/ordering.ts";
import type { ReceiveStream } from "../../multicast/receive_stream.ts";
import { LamportEngine } from "../../order/lamport.ts";
import type { Sequencer } from "../../order/sequencer.ts";
import type { TotalOrder } from "../../order/total.ts";
import type { Mutation } from "./mutations.ts";
import type { PlantBug } from "./node.ts";
import { unwedge } from "./view_mutations.ts";

type Total = TotalOrder<ReceiveStream, Carrier>;

/** Plants a bug in members that keep a total order. */
export function inTotal(change: (total: Total, machine: GroupMachine, ordering: Ordering) => void): PlantBug {
  return (machine) => {
    const { delivery: { total }, ordering } = machine;
    if (total !== undefined && ordering !== undefined) change(total, machine, ordering);
  };
}

/** Plants a bug in members of a group with a sequencer. */
function inSequencer(
  change: (sequencer: Sequencer, total: Total, machine: GroupMachine, ordering: Ordering) => void,
): PlantBug {
  return inTotal((total, machine, ordering) => {
    const { sequencer } = machine.delivery;
    if (sequencer !== undefined) change(sequencer, total, machine, ordering);
  });
}

/** Plants a bug in members of a group with Lamport's order. */
function inLamport(
  change: (engine: LamportEngine, total: Total, machine: GroupMachine, ordering: Ordering) => void,
): PlantBug {
  return inTotal((total, machine, ordering) => {
    if (total.engine instanceof LamportEngine) change(total.engine, total, machine, ordering);
  });
}

/** Makes a member answer something else than what it holds. */
function answers(machine: GroupMachine, change: (held: number, stream: ReceiveStream) => number): void {
  const { membership, state } = machine;
  const wedge = membership.wedge.bind(membership);
  membership.wedge = () => {
    const holds = wedge();
    return state.view.streams.map((stream) => change(holds[stream.rank], stream));
  };
}

const both: readonly string[] = ["sequencer", "lamport"];

/** Planted bugs in total order. */
export const TOTAL_MUTATIONS: readonly Mutation[] = [
  // When a message is delivered.
  {
    name: "time-before-clock",
    about: "a message has its place once its time is before the own clock, which is always so (W1)",
    scenarios: ["lamport"],
    seed: 2,
    plant: inLamport((engine, total, { state: { clock } }) => {
      engine.next = (queues) => {
        const rank = total.earliest();
        return rank >= 0 && queues[rank].lamport < clock.time ? rank : -1;
      };
    }),
  },

  // Which message comes next.
  {
    name: "place-over-gap",
    about: "a message whose place has come and that is missing is passed over (W12)",
    scenarios: ["sequencer"],
    seed: 2,
    plant: inSequencer((sequencer, total) => {
      const [next, placed] = [sequencer.next.bind(sequencer), sequencer.placed.bind(sequencer)];
      sequencer.next = (queues) => {
        const rank = next(queues);
        return rank >= 0 || sequencer.leaderHolds <= total.placed ? rank : total.earliest();
      };
      sequencer.placed = (rank) => {
        if (next(total.queues) === rank) placed(rank);
      };
    }),
  },
  {
    name: "time-over-gap",
    about: "the time that a member tells counts at once, though earlier messages of it are missing (W12)",
    scenarios: ["lamport"],
    seed: 2,
    plant: inLamport((engine) => {
      const hear = engine.hear.bind(engine);
      engine.hear = (rank, _last, time, handed) => hear(rank, 0, time, handed);
    }),
  },
  {
    name: "clock-at-delivery",
    about: "a message is later than what was delivered before it, not than what was received",
    scenarios: ["lamport"],
    seed: 2,
    plant: inLamport((_engine, _total, { delivery, state: { clock } }) => {
      const [tick, put] = [clock.tick.bind(clock), delivery.put.bind(delivery)];
      let latest = 0;
      clock.tick = () => {
        tick();
        return ++latest;
      };
      delivery.put = (stream, message) => {
        latest = Math.max(latest, message.lamport);
        put(stream, message);
      };
    }),
  },
  {
    name: "wall-clock",
    about: "messages are ordered by the clocks on the wall (W23)",
    scenarios: ["lamport"],
    seed: 1,
    plant: inLamport((engine, _total, machine) => {
      const { clock } = machine.state;
      let [now, time] = [0, 0];
      const [receive, tick, flush] = [machine.receive, machine.tick, machine.flush];
      machine.receive = (bytes, at) => receive.call(machine, bytes, now = at);
      machine.tick = (at) => tick.call(machine, now = at);
      machine.flush = (at) => flush.call(machine, now = at);
      Object.defineProperty(clock, "time", { get: () => time });
      clock.tick = () => time = Math.max(time + 1, Math.round(1000 * now));
      clock.observe = () => clock.tick();
      Object.defineProperty(engine, "newest", { get: () => 0, set: () => {} }); // else all tell the time without end
    }),
  },

  // From view to view.
  {
    name: "positions-restart",
    about: "each view counts its positions from 1 (W13)",
    scenarios: both,
    seed: 1,
    plant: inTotal((total) => {
      const begin = total.begin.bind(total);
      total.begin = (streams, self, leader) => begin(streams, self, leader, 0);
    }),
  },
  {
    name: "leader-counts-from-its-own",
    about: "a new leader goes on from the last position that it knew itself, not from the cut (W13)",
    scenarios: ["sequencer"],
    seed: 9,
    plant: inSequencer((sequencer, total) => {
      let known = 0;
      const [finish, begin] = [total.finish.bind(total), sequencer.begin.bind(sequencer)];
      total.finish = () => {
        known = total.placed;
        finish();
      };
      sequencer.begin = (size, self, leader, position) =>
        begin(size, self, leader, self === leader ? Math.min(known, position) : position);
    }),
  },
  {
    name: "engine-not-reset",
    about: "what the engine knows of the members of one view is taken for that of the next",
    scenarios: ["lamport", "sequencer"],
    seed: 2,
    plant: inTotal(({ engine }) => {
      const begin = engine.begin.bind(engine);
      let begun = false;
      engine.begin = (size, self, leader, position) => {
        if (begun) return;
        begun = size > 0;
        begin(size, self, leader, position);
      };
    }),
  },
  {
    name: "answer-what-was-delivered",
    about: "an answer counts what was delivered, not what was placed and told to others",
    scenarios: both,
    seed: 6,
    plant: inTotal((_total, machine) => answers(machine, (_held, { released }) => released)),
  },
  {
    name: "cut-without-order",
    about: "at the end of a view all is ordered by time, though some of it has a place (SAFE_NO_ORDER)",
    scenarios: ["sequencer"],
    seed: 9,
    plant: inSequencer((sequencer, total) => {
      const [next, finish] = [sequencer.next.bind(sequencer), total.finish.bind(total)];
      total.finish = () => {
        sequencer.next = () => -1;
        finish();
        sequencer.next = next;
      };
    }),
  },
  {
    name: "rest-by-rank",
    about: "at the end of a view what has no place is ordered by rank only",
    scenarios: both,
    seed: 6,
    plant: inTotal((total) => total.earliest = () => total.queues.findIndex(({ size }) => size > 0)),
  },
  {
    name: "rest-by-arrival",
    about: "at the end of a view what has no place is ordered as it arrived",
    scenarios: both,
    seed: 6,
    plant: inTotal((total) => {
      const arrivals = new WeakMap<object, number[]>();
      let count = 0;
      const offer = total.offer.bind(total);
      total.offer = (stream, ...rest) => {
        const queue = total.queues[stream.rank];
        arrivals.set(queue, [...arrivals.get(queue) ?? [], ++count]);
        offer(stream, ...rest);
      };
      total.earliest = () => {
        let [best, least] = [-1, Infinity];
        total.queues.forEach((queue, rank) => {
          const arrival = queue.size === 0 ? Infinity : arrivals.get(queue)?.at(-queue.size) ?? 0;
          if (arrival < least) [best, least] = [rank, arrival];
        });
        return best;
      };
    }),
  },
  {
    name: "total-cut-of-the-proposer",
    about: "in total order, too, the cut is what the proposer holds (CUT_PROPOSER_ONLY)",
    scenarios: both,
    seed: 6,
    plant: inTotal((_total, { membership, state }) => {
      const draft = membership.draft.bind(membership);
      membership.draft = (given, joiners) => ({
        ...draft(given, joiners),
        cut: given[state.view.rank]?.holds ?? [],
      });
    }),
  },

  // After a promise.
  {
    name: "order-after-promise",
    about: "a member that has promised goes on sending, ordering and delivering (NO_WEDGE)",
    scenarios: both,
    seed: 2,
    plant: inTotal((_total, machine) => unwedge(machine)),
  },
  {
    name: "placed-after-promise",
    about:
      "a member that has promised sends no more, but still places what arrives, and says so (ACK_AFTER_PROMISE)",
    scenarios: both,
    seed: 6,
    plant: inTotal((_total, machine, ordering) => {
      const { state } = machine;
      const [send, due] = [machine.send.bind(machine), ordering.due.bind(ordering)];
      unwedge(machine);
      machine.send = (encoding, payload) => state.wedged ? 0 : send(encoding, payload);
      ordering.due = () => state.wedged ? undefined : due();
    }),
  },
  {
    name: "agreed-after-promise",
    about: "a member that has promised says nothing more, but still delivers as agreed (AGREED_AFTER_WEDGE)",
    scenarios: both,
    seed: 6,
    plant: inTotal((_total, machine, ordering) => {
      const { state } = machine;
      if (state.config.level !== "agreed") return;
      const [send, due, tell] = [
        machine.send.bind(machine),
        ordering.due.bind(ordering),
        ordering.tell.bind(ordering),
      ];
      unwedge(machine);
      machine.send = (encoding, payload) => state.wedged ? 0 : send(encoding, payload);
      ordering.due = () => state.wedged ? undefined : due();
      ordering.tell = () => !state.wedged && tell();
    }),
  },

  // On the way in.
  {
    name: "joiner-one-too-far",
    about: "a joiner counts one position too many",
    scenarios: both,
    seed: 1,
    plant: inTotal((_total, { membership }) => {
      const observe = membership.observe.bind(membership);
      membership.observe = (view, bases, position, now) => observe(view, bases, position + 1, now);
    }),
  },
  {
    name: "snapshot-counts-placed",
    about: "the position of a snapshot counts messages that have a place and are not delivered yet",
    scenarios: both,
    seed: 7,
    plant: inTotal((total, { giving }) => {
      const pull = giving.pull.bind(giving);
      giving.pull = (question, incarnation, now) => {
        const { position } = total;
        total.position = total.placed;
        pull(question, incarnation, now);
        total.position = position;
      };
    }),
  },
  {
    name: "tail-one-too-low",
    about: "the first message behind a snapshot gets the position of the snapshot",
    scenarios: both,
    seed: 1,
    plant: inTotal((_total, { delivery }) => {
      const put = delivery.put.bind(delivery);
      delivery.put = (stream, message) => {
        if (stream === undefined) message.position--;
        put(stream, message);
      };
    }),
  },

  // Reads.
  {
    name: "read-without-lease",
    about: "who has led reads what it has, though others may have gone on without it (W8)",
    scenarios: ["map"],
    seed: 8,
    plant: inSequencer((_sequencer, _total, { watch, state }) => {
      const sureUntil = watch.sureUntil.bind(watch);
      watch.sureUntil = () => state.roster?.leader === state.roster?.self ? Infinity : sureUntil();
    }),
  },
  {
    name: "read-what-is-delivered",
    about: "a leader reads what it has delivered, though others may have delivered more",
    scenarios: ["map"],
    seed: 32,
    plant: inSequencer((_sequencer, total, _machine, ordering) =>
      Object.defineProperty(ordering, "readIndex", { get: () => total.position })
    ),
  },
];

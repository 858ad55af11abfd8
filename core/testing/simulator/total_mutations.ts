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
import { MESSAGE_HEADER_BYTES } from "../../wire/limits.ts";
import type { Mutation } from "./mutations.ts";
import type { PlantBug } from "./node.ts";
import { unwedge } from "./view_mutations.ts";

/** The order stage of a member in total order. */
export type Total = TotalOrder<ReceiveStream, Carrier>;

/** Plants a bug in members that keep a total order. */
export function inTotal(change: (total: Total, machine: GroupMachine, ordering: Ordering) => void): PlantBug {
  return (machine) => {
    const { delivery: { total }, ordering } = machine;
    if (total !== undefined && ordering !== undefined) change(total, machine, ordering);
  };
}

/** Plants a bug in members of a group with a sequencer. */
export function inSequencer(
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

/** Makes a member take what arrives even though it has promised; it sends and orders no more all the same. */
function takesOn(machine: GroupMachine): void {
  const { state, membership, repair, delivery: { total } } = machine;
  let takes = false;
  Object.defineProperty(state, "active", {
    get: () => state.phase === "member" && (takes || !state.wedged),
  });
  const [receive, wedge] = [machine.receive.bind(machine), membership.wedge.bind(membership)];
  machine.receive = (bytes, now) => {
    const placed = total?.placed;
    takes = true;
    receive(bytes, now);
    takes = false;
    const news = state.wedged && total?.placed !== placed;
    if (news && state.phase === "member") repair.hasten(now); // heartbeats say what is placed
  };
  membership.wedge = () => {
    const holds = wedge();
    for (const stream of state.view.streams) if (state.phase === "member") stream.through = Infinity;
    return holds;
  };
}

/** Where both engines are looked at. */
export const both: readonly string[] = ["sequencer", "lamport"];
/** The same, for what shows sooner without a sequencer. */
export const lamportFirst: readonly string[] = ["lamport", "sequencer"];

/** Planted bugs in total order. */
export const TOTAL_MUTATIONS: readonly Mutation[] = [
  // When a message is delivered.
  {
    name: "time-before-clock",
    about: "a message has its place once its time is before the own clock, which is always so (W1)",
    scenarios: ["lamport"],
    seed: 1,
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
      const [next, take] = [sequencer.next.bind(sequencer), sequencer.take.bind(sequencer)];
      sequencer.next = (queues) => {
        const rank = next(queues);
        return rank >= 0 || sequencer.leaderHolds <= total.placed ? rank : total.earliest();
      };
      sequencer.take = (rank, waiting) => next(total.queues) === rank ? take(rank, waiting) : 1;
    }),
  },
  {
    name: "time-over-gap",
    about: "the time that a member tells counts at once, though earlier messages of it are missing (W12)",
    scenarios: ["lamport"],
    seed: 1,
    plant: inLamport((engine) => {
      const hear = engine.hear.bind(engine);
      engine.hear = (rank, _last, time, handed) => hear(rank, 0, time, handed);
    }),
  },
  {
    name: "clock-at-delivery",
    about: "a message is later than what was delivered before it, not than what was received",
    scenarios: ["lamport"],
    seed: 1,
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
  {
    name: "own-unsent-forgotten",
    about: "own messages that are on their way are forgotten when another one is placed",
    scenarios: ["lamport"],
    seed: 1,
    plant: inLamport((_engine, total, _machine, ordering) => {
      const sent = ordering.sent.bind(ordering);
      ordering.sent = (lamport) => {
        sent(lamport);
        total.unsent = 0;
      };
    }),
  },
  {
    name: "order-waits-for-room",
    about:
      "an ORDER waits for room in the window, like a message, and the messages in the window wait for it",
    scenarios: ["sequencer"],
    seed: 1,
    plant: inSequencer((_sequencer, _total, { state }, ordering) => {
      const due = ordering.due.bind(ordering);
      ordering.due = () => state.own.hasRoom(MESSAGE_HEADER_BYTES) ? due() : undefined;
    }),
  },
  {
    name: "order-passed-early",
    about: "an ORDER counts as delivered before all that it gives a position to is",
    scenarios: ["sequencer"],
    seed: 21,
    plant: inSequencer((sequencer) => {
      const passed = sequencer.passed.bind(sequencer);
      sequencer.passed = () => passed(Infinity);
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
    seed: 1,
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
    seed: 1,
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
    name: "orders-of-the-last-view",
    about: "ORDERs for messages that were lost with a view go on waiting for them in the next",
    scenarios: ["sequencer"],
    seed: 6,
    plant: inSequencer((sequencer) => {
      let left: { readonly rank: number; count: number }[] = [];
      const [order, take, begin] = [sequencer.order, sequencer.take, sequencer.begin];
      sequencer.order = (rank, sequence, runs) => {
        let covered = sequencer.leaderHolds - runs[0] + 1;
        const sound = order.call(sequencer, rank, sequence, runs);
        for (let index = 1; sound && index < runs.length; index += 2) {
          const count = runs[index + 1] - Math.max(0, Math.min(covered, runs[index + 1]));
          covered -= runs[index + 1];
          if (count > 0) left.push({ rank: runs[index], count });
        }
        return sound;
      };
      sequencer.take = (rank, waiting) => {
        const count = take.call(sequencer, rank, waiting);
        for (let rest = count; rest > 0;) {
          const taken = Math.min(rest, left[0].count);
          rest -= taken;
          if ((left[0].count -= taken) === 0) left.shift();
        }
        return count;
      };
      sequencer.begin = (size, self, leader, position) => {
        begin.call(sequencer, size, self, leader, position);
        const runs = left.filter(({ rank }) => rank < size);
        left = [];
        if (runs.length === 0) return;
        sequencer.order(leader, 0, [position + 1, ...runs.flatMap(({ rank, count }) => [rank, count])]);
      };
    }),
  },
  {
    name: "order-not-in-the-cut",
    about: "ORDERs behind the leader's last message are not in the cut",
    scenarios: ["sequencer"],
    seed: 2,
    plant: inSequencer((_sequencer, total, machine) => {
      const offered = new WeakMap<ReceiveStream, number>();
      const offer = total.offer.bind(total);
      total.offer = (stream, sequence, ...rest) => {
        offered.set(stream, sequence);
        offer(stream, sequence, ...rest);
      };
      answers(machine, (held, stream) => {
        if (stream !== machine.state.view.leader.stream) return held;
        return Math.max(offered.get(stream) ?? 0, stream.released);
      });
    }),
  },
  {
    name: "answer-what-was-delivered",
    about: "an answer counts what was delivered, not what was placed and told to others",
    scenarios: both,
    seed: 1,
    plant: inTotal((_total, machine) => answers(machine, (_held, { released }) => released)),
  },
  {
    name: "cut-without-order",
    about: "at the end of a view all is ordered by time, though some of it has a place (SAFE_NO_ORDER)",
    scenarios: ["sequencer"],
    seed: 1,
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
    scenarios: lamportFirst,
    seed: 1,
    plant: inTotal((total) => total.earliest = () => total.queues.findIndex(({ size }) => size > 0)),
  },
  {
    name: "rest-by-arrival",
    about: "at the end of a view what has no place is ordered as it arrived",
    scenarios: both,
    seed: 3,
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
    about: "a safe member that has promised still places what arrives, and says so (ACK_AFTER_PROMISE)",
    scenarios: both,
    seed: 87,
    plant: inTotal((_total, machine) => {
      if (machine.state.config.level === "safe") takesOn(machine);
    }),
  },
  {
    name: "agreed-after-promise",
    about: "a member that has promised still delivers what arrives as agreed (AGREED_AFTER_WEDGE)",
    scenarios: both,
    seed: 9,
    plant: inTotal((_total, machine) => {
      if (machine.state.config.level === "agreed") takesOn(machine);
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
    seed: 15,
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
    seed: 40,
    plant: inSequencer((_sequencer, _total, { watch, state }) => {
      const sureUntil = watch.sureUntil.bind(watch);
      watch.sureUntil = () => state.roster?.leader === state.roster?.self ? Infinity : sureUntil();
    }),
  },
  {
    name: "read-what-is-delivered",
    about: "a leader reads what it has delivered, though others may have delivered more",
    scenarios: ["map"],
    seed: 44,
    plant: inSequencer((_sequencer, total, _machine, ordering) =>
      Object.defineProperty(ordering, "readIndex", { get: () => total.position })
    ),
  },
];

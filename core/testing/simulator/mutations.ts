/**
 * Planted bugs: each changes one rule of the protocol in every machine of a run, and the checkers must notice. A
 * simulator that finds none of them proves nothing.
 *
 * A bug is planted by replacing methods of one machine's parts, so that the sound code knows nothing of it.
 */
import type { GroupMachine } from "../../group/machine.ts";
import { CausalOrder } from "../../order/causal.ts";
import type { ReceiveStream } from "../../multicast/receive_stream.ts";
import type { PacketWriter } from "../../wire/packet_writer.ts";
import type { PlantBug } from "./node.ts";

/** A planted bug. */
export interface Mutation {
  /** Its name. */
  readonly name: string;
  /** What it breaks. */
  readonly about: string;
  /** Changes a machine at birth. */
  readonly plant?: PlantBug;
  /** Changes how lives are numbered. */
  readonly incarnation?: (index: number, life: number) => number;
}

/** Changes every receiving stream that a machine makes. */
function onStreams(machine: GroupMachine, change: (stream: ReceiveStream) => void): void {
  const { state } = machine;
  const make = state.stream.bind(state);
  state.stream = (rank, incarnation, first) => {
    const stream = make(rank, incarnation, first);
    change(stream);
    return stream;
  };
}

/** Hands every packet out from the same piece of memory. */
function reuseBuffer(writer: PacketWriter): void {
  const take = writer.take.bind(writer);
  const buffer = new Uint8Array(1024 * 1024);
  writer.take = () => {
    const packet = take();
    buffer.set(packet);
    return buffer.subarray(0, packet.length);
  };
}

/** The planted bugs of the scenario `reliable`. */
export const MUTATIONS: readonly Mutation[] = [
  {
    name: "deliver-duplicates",
    about: "what arrives again is delivered again (W4, W17)",
    plant: (machine) => {
      onStreams(machine, (stream) => stream.isDuplicate = () => false);
      machine.delivery.isNext = (stream, sequence) => sequence <= stream.handed + 1;
    },
  },
  {
    name: "deliver-over-gap",
    about: "a gap in the sequence is delivered anyway (W12)",
    plant: (machine) => {
      onStreams(machine, (stream) => {
        const accept = stream.accept.bind(stream);
        stream.accept = (first, last, packet) => {
          const acceptance = accept(first, last, packet);
          if (acceptance !== "ahead") return acceptance;
          stream.received = last;
          stream.handed = first - 1;
          return "next";
        };
      });
    },
  },
  {
    name: "no-nak",
    about: "nobody asks for what is missing (W22)",
    plant: (machine) => machine.repair.nak = (stream, now) => void stream.missing(now, 1),
  },
  {
    name: "nak-once",
    about: "what is missing is asked for once only (W10)",
    plant: (machine) =>
      onStreams(machine, (stream) => {
        const missing = stream.missing.bind(stream);
        let asked = 0;
        stream.missing = (now, pairsMax) => {
          const pairs = missing(now, pairsMax);
          if (pairs[0] === asked) return [];
          asked = pairs[0] ?? asked;
          return pairs;
        };
      }),
  },
  {
    name: "no-announcement",
    about: "the last sequence is not announced, so a lost last message goes unseen (W6)",
    plant: (machine) =>
      onStreams(machine, (stream) => {
        stream.learn = (_known, now) => stream.schedule(now);
      }),
  },
  {
    name: "stable-at-first",
    about: "a message counts as confirmed when the first member confirms it (W3)",
    plant: ({ state: { own, roster } }) => {
      own.stableThrough = () =>
        Math.max(...roster.peers.map((peer) => own.counts(peer.rank) ? own.deliveredBy(peer.rank) : 0));
    },
  },
  {
    name: "stable-at-majority",
    about: "a message counts as confirmed by all when a majority has confirmed it (W11)",
    plant: ({ state: { own, roster } }) => {
      own.stableThrough = () => {
        const delivered = roster.peers.map((peer) => own.deliveredBy(peer.rank)).sort((a, b) => b - a);
        return delivered[delivered.length >> 1];
      };
    },
  },
  {
    name: "acknowledge-before-delivery",
    about: "a message is acknowledged before the application has taken it",
    plant: (machine) =>
      onStreams(machine, (stream) => {
        Object.defineProperty(stream, "delivered", { get: () => stream.received, set: () => {} });
      }),
  },
  {
    name: "acknowledge-once",
    about: "a lost acknowledgement is never repeated (W4)",
    plant: ({ state, repair }) => {
      const { own } = state;
      const acknowledge = own.acknowledge.bind(own);
      let heartbeat = false;
      own.acknowledge = (rank, received, delivered) => heartbeat || acknowledge(rank, received, delivered);
      const heard = repair.heard.bind(repair);
      repair.heard = (reader, peer, now) => {
        heartbeat = true;
        heard(reader, peer, now);
        heartbeat = false;
      };
    },
  },
  {
    name: "same-incarnation",
    about: "a restarted member keeps its old number, so its new messages pass for old ones (W16)",
    incarnation: (index) => 1000 * (index + 1),
  },
  {
    name: "restart-skips",
    about: "a restarted member is not sent what it missed",
    plant: ({ state: { own } }) => {
      const restart = own.restart.bind(own);
      own.restart = (rank) => {
        restart(rank);
        own.acknowledge(rank, own.last, own.last);
        return own.last + 1;
      };
    },
  },
  {
    name: "sender-only-repair",
    about: "only the sender is ever asked, so what a dead one left half-sent stays so",
    plant: ({ repair, state }) =>
      repair.holder = (stream) => stream.frozen ? undefined : state.roster.peers[stream.rank],
  },
  {
    name: "one-holder-only",
    about: "only one of those who hold a dead member's message is ever asked",
    plant: ({ repair, state: { roster } }) => {
      repair.holder = (stream) =>
        [...roster.others()].find((peer) =>
          (peer.holdingOf(stream.rank, stream.incarnation)?.received ?? 0) > stream.received
        ) ?? roster.peers[stream.rank];
    },
  },
  {
    name: "forget-when-delivered",
    about: "a receiver forgets what it has delivered before all others have it",
    plant: (machine) =>
      onStreams(machine, (stream) => {
        const accept = stream.accept.bind(stream);
        stream.accept = (first, last, packet) => {
          stream.store.pruneThrough(stream.handed);
          return accept(first, last, packet);
        };
      }),
  },
  {
    name: "ignore-causes",
    about: "messages are delivered without waiting for what they depend on",
    plant: ({ delivery: { order } }) => {
      if (order instanceof CausalOrder) order.satisfied = () => true;
    },
  },
  {
    name: "name-no-causes",
    about: "messages do not say what they depend on",
    plant: ({ delivery: { order } }) => order.dependencies = () => [],
  },
  {
    name: "lamport-not-merged",
    about: "the clock does not take over the time of what is received",
    plant: ({ state: { clock } }) => clock.observe = () => clock.tick(),
  },
  {
    name: "window-ignored",
    about: "sending goes on although the window is full (W7)",
    plant: ({ state: { own } }) => own.hasRoom = () => true,
  },
  {
    name: "buffer-reused",
    about: "the memory of a packet is used again while it may still have to be sent again",
    plant: ({ state }) => reuseBuffer(state.multicast),
  },
  {
    name: "former-life-dropped",
    about: "what a restarted member had sent before is dropped at once",
    plant: ({ handshake, state }) => {
      const retire = handshake.retire.bind(handshake);
      handshake.retire = (peer, now) => {
        retire(peer, now);
        for (const { incarnation } of peer.former) peer.doneThrough = Math.max(peer.doneThrough, incarnation);
        peer.former = [];
        state.roster.refresh();
      };
    },
  },
];

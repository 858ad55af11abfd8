/**
 * Planted bugs: each changes one rule of the protocol in every machine of a run, and the checkers must notice. A
 * simulator that finds none of them proves nothing.
 *
 * A bug is planted by replacing methods of one machine's parts, so that the sound code knows nothing of it.
 */
import type { GroupMachine } from "../../group/machine.ts";
import { CausalOrder } from "../../order/causal.ts";
import type { SendStream } from "../../multicast/send_stream.ts";
import type { ReceiveStream } from "../../multicast/receive_stream.ts";
import type { PacketWriter } from "../../wire/packet_writer.ts";
import type { PlantBug } from "./node.ts";

/** A planted bug. */
export interface Mutation {
  /** Its name. */
  readonly name: string;
  /** What it breaks. */
  readonly about: string;
  /** The scenarios that should notice. */
  readonly scenarios: readonly string[];
  /** A seed that is known to notice; looked at first. */
  readonly seed?: number;
  /** Changes a machine at birth. */
  readonly plant?: PlantBug;
  /** Changes how lives are numbered. */
  readonly incarnation?: (index: number, life: number) => number;
}

/** Changes every receiving stream that a machine makes. */
export function onStreams(machine: GroupMachine, change: (stream: ReceiveStream) => void): void {
  const { state } = machine;
  const make = state.stream.bind(state);
  state.stream = (rank, incarnation, first) => {
    const stream = make(rank, incarnation, first);
    change(stream);
    return stream;
  };
}

/** Changes every stream of own messages. */
export function onOwn(machine: GroupMachine, change: (own: SendStream) => void): void {
  const { state } = machine;
  change(state.own);
  const begin = state.begin.bind(state);
  state.begin = (incarnation) => {
    begin(incarnation);
    change(state.own);
  };
}

function ranks(size: number): number[] {
  return Array.from({ length: size }, (_, rank) => rank);
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

/** Planted bugs in reliable multicast. */
export const MULTICAST_MUTATIONS: readonly Mutation[] = [
  {
    name: "deliver-duplicates",
    about: "what arrives again is delivered again (W4, W17)",
    scenarios: ["reliable"],
    plant: (machine) => {
      onStreams(machine, (stream) => stream.isDuplicate = () => false);
      machine.delivery.isNext = (stream, sequence) => sequence <= stream.handed + 1;
    },
  },
  {
    name: "deliver-over-gap",
    about: "a gap in the sequence is delivered anyway (W12)",
    scenarios: ["reliable"],
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
    scenarios: ["reliable"],
    plant: (machine) => machine.repair.nak = (stream, now) => void stream.missing(now, 1),
  },
  {
    name: "nak-once",
    about: "what is missing is asked for once only (W10)",
    scenarios: ["reliable"],
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
    scenarios: ["reliable"],
    plant: (machine) =>
      onStreams(machine, (stream) => {
        stream.learn = (_known, now) => stream.schedule(now);
      }),
  },
  {
    name: "stable-at-first",
    about: "a message counts as confirmed when the first other member confirms it (W3)",
    scenarios: ["reliable"],
    plant: (machine) =>
      onOwn(machine, (own) => {
        own.stableThrough = () => {
          const { size, rank } = machine.state.view;
          return Math.max(
            0,
            ...ranks(size).filter((other) => other !== rank).map((other) => own.deliveredBy(other)),
          );
        };
      }),
  },
  {
    name: "stable-at-majority",
    about: "a message counts as confirmed by all when a majority has confirmed it (W11)",
    scenarios: ["reliable"],
    plant: (machine) =>
      onOwn(machine, (own) => {
        own.stableThrough = () => {
          const delivered = ranks(machine.state.view.size).map((rank) => own.deliveredBy(rank)).sort((a, b) =>
            b - a
          );
          return delivered[delivered.length >> 1];
        };
      }),
  },
  {
    name: "acknowledge-once",
    about: "a lost acknowledgement is never repeated (W4)",
    scenarios: ["reliable"],
    plant: (machine) => {
      const { repair } = machine;
      let heartbeat = false;
      onOwn(machine, (own) => {
        const acknowledge = own.acknowledge.bind(own);
        own.acknowledge = (rank, received, delivered) => heartbeat || acknowledge(rank, received, delivered);
      });
      const heard = repair.heard.bind(repair);
      repair.heard = (last, beat, peer, now) => {
        heartbeat = true;
        heard(last, beat, peer, now);
        heartbeat = false;
      };
    },
  },
  {
    name: "acknowledge-before-delivery",
    about: "a message is acknowledged before the application has taken it",
    scenarios: ["reliable"],
    plant: (machine) =>
      onStreams(machine, (stream) => {
        Object.defineProperty(stream, "delivered", { get: () => stream.received, set: () => {} });
      }),
  },
  {
    name: "same-incarnation",
    about: "a restarted member keeps its old number, so its new messages pass for old ones (W16)",
    scenarios: ["views"],
    seed: 9,
    incarnation: (index) => 1000 * (index + 1),
  },
  {
    name: "ignore-causes",
    about: "messages are delivered without waiting for what they depend on",
    scenarios: ["reliable"],
    plant: ({ delivery: { order } }) => {
      if (order instanceof CausalOrder) order.satisfied = () => true;
    },
  },
  {
    name: "name-no-causes",
    about: "messages do not say what they depend on",
    scenarios: ["reliable"],
    plant: ({ delivery: { order } }) => order.dependencies = () => [],
  },
  {
    name: "lamport-not-merged",
    about: "the clock does not take over the time of what is received",
    scenarios: ["reliable"],
    plant: ({ state: { clock } }) => clock.observe = () => clock.tick(),
  },
  {
    name: "window-ignored",
    about: "sending goes on although the window is full (W7)",
    scenarios: ["reliable"],
    plant: (machine) => onOwn(machine, (own) => own.hasRoom = () => true),
  },
  {
    name: "buffer-reused",
    about: "the memory of a packet is used again while it may still have to be sent again",
    scenarios: ["reliable"],
    plant: ({ state }) => reuseBuffer(state.multicast),
  },
];

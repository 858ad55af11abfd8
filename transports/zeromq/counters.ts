/** What a ZeroMQ adapter counts, named as `stats()` gives it. */

/** Counters of one adapter; they only ever grow. */
export interface Counters {
  packetsSent: number;
  packetsReceived: number;
  bytesSent: number;
  bytesReceived: number;
  /** Packets of its own that did not leave, and those of a peer that it has disconnected from. */
  packetsDropped: number;
  /** Messages that are neither a packet nor a proper frame. */
  foreignFrames: number;
  /** Greetings of members that nobody reaches for. */
  unknownPeers: number;
  /** Times that a peer became reachable. */
  handshakes: number;
  /** Times that a peer was lost. */
  losses: number;
  /** Errors thrown by the handler. */
  handlerErrors: number;
  /** Times that this process was stopped or busy for long. */
  stalls: number;
}

/** Counters that stand at zero. */
export function newCounters(): Counters {
  return {
    packetsSent: 0,
    packetsReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
    packetsDropped: 0,
    foreignFrames: 0,
    unknownPeers: 0,
    handshakes: 0,
    losses: 0,
    handlerErrors: 0,
    stalls: 0,
  };
}

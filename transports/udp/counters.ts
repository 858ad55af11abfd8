/** What a UDP adapter counts, named as `stats()` gives it. */

/** Counters of one adapter; they only ever grow. */
export interface Counters {
  packetsSent: number;
  packetsReceived: number;
  /** Bytes of packets, without headers. */
  bytesSent: number;
  bytesReceived: number;
  /** Packets of its own that are too large or could not leave before the end. */
  packetsDropped: number;
  datagramsSent: number;
  datagramsReceived: number;
  /** Datagrams that the system refused to send. */
  sendErrors: number;
  /** Errors that the system reported on an open socket. */
  socketErrors: number;
  /** Datagrams that are none of this protocol, or malformed (H59). */
  foreignDatagrams: number;
  /** Datagrams, or packets that they announce, that are larger than allowed (H58). */
  oversizeDatagrams: number;
  /** Own datagrams that came back (H60). */
  ownDatagrams: number;
  /** Well-formed datagrams of a life that is not known, or in its name from elsewhere. */
  unknownSenders: number;
  /** Fragments that came again. */
  fragmentsRepeated: number;
  /** Packets given up because fragments were missing. */
  packetsIncomplete: number;
  /** Packets whose fragments do not belong together. */
  packetsCorrupt: number;
  /** Greetings of members that nobody reaches for. */
  unknownPeers: number;
  /** Greetings that had yet to prove where they come from, and were asked to. */
  answersSent: number;
  /** Those that were not even asked, for too many came. */
  answersWithheld: number;
  /** Times that a peer became reachable. */
  handshakes: number;
  /** Times that a peer was lost. */
  losses: number;
  /** Times that a send was told `full`. */
  fullSends: number;
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
    datagramsSent: 0,
    datagramsReceived: 0,
    sendErrors: 0,
    socketErrors: 0,
    foreignDatagrams: 0,
    oversizeDatagrams: 0,
    ownDatagrams: 0,
    unknownSenders: 0,
    fragmentsRepeated: 0,
    packetsIncomplete: 0,
    packetsCorrupt: 0,
    unknownPeers: 0,
    answersSent: 0,
    answersWithheld: 0,
    handshakes: 0,
    losses: 0,
    fullSends: 0,
    handlerErrors: 0,
    stalls: 0,
  };
}

/** Counters of one group machine. They only ever grow. */
export class Counters {
  /** Messages accepted from the application. */
  messagesSent = 0;
  /** DATA messages that arrived, duplicates included. */
  messagesReceived = 0;
  /** Messages released to the application, own ones included. */
  messagesDelivered = 0;
  /** Messages that arrived again. */
  duplicates = 0;
  /** Packets that arrived ahead of a gap. */
  packetsAhead = 0;
  /** Packets beyond the window, dropped. */
  packetsBeyondWindow = 0;
  /** Packets that arrived. */
  packetsReceived = 0;
  /** Packets handed to the transport. */
  packetsSent = 0;
  /** Bytes handed to the transport. */
  bytesSent = 0;
  /** Acknowledgements sent. */
  acksSent = 0;
  /** Acknowledgements received. */
  acksReceived = 0;
  /** Requests for missing messages sent. */
  naksSent = 0;
  /** Requests for missing messages received. */
  naksReceived = 0;
  /** Messages sent again. */
  messagesResent = 0;
  /** Packets that are not ours: other first bytes. */
  foreignPackets = 0;
  /** Packets of another group. */
  foreignGroup = 0;
  /** Packets of another protocol version. */
  foreignVersion = 0;
  /** Packets of another view. */
  foreignView = 0;
  /** Packets whose structure is broken, or whose content no honest member sends. */
  malformed = 0;
  /** Packets from a rank or a life that is not known. */
  unknownSender = 0;
  /** Acknowledgements of what was never sent, requests for what never was. */
  implausible = 0;
  /** Values that could not be decoded. */
  undecodable = 0;
  /** Greetings refused. */
  refused = 0;
  /** Views installed. */
  viewsInstalled = 0;
  /** Packets sent for view changes. */
  changePackets = 0;
  /** Packets sent for elections. */
  electionPackets = 0;
  /** Bytes of state given to members that join. */
  transferBytes = 0;
  /** Events dropped because the application did not take them. */
  eventsDropped = 0;
}

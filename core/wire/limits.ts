/**
 * The fixed numbers of the wire format. What an application may tune is in `group/config.ts`; what stands here is part
 * of the protocol, the same for every member.
 */

/** First two bytes of every packet: "TU". */
export const PACKET_MAGIC = 0x5455;
/** Version of the wire format; a packet of another version is counted and dropped (H49). */
export const PROTOCOL_VERSION = 1;
/** Bytes of the packet header. */
export const PACKET_HEADER_BYTES = 32;
/** Bytes of the header that precedes every message of a packet. */
export const MESSAGE_HEADER_BYTES = 24;
/** Bytes of one causal dependency: rank, incarnation, sequence. */
export const DEPENDENCY_BYTES = 18;
/** Most causal dependencies of one message: one for each life that is remembered of each member. */
export const DEPENDENCIES_MAX: number = 9 * 1024;
/** Bytes of the number of the sender's run, where there is one. */
export const RUN_BYTES = 4;
/** Most ranges that one NAK may ask for (H20). */
export const NAK_RANGES_MAX = 32;
/** Most runs of missing and of held bytes that one PULL may tell of. */
export const PULL_RUNS_MAX = 128;
/** Largest body of a control message (HELLO and the like), in bytes. */
export const CONTROL_BYTES_MAX: number = 512 * 1024;
/** Largest number that travels: sequences, Lamport times, incarnations and view numbers are safe integers. */
export const NUMBER_MAX: number = Number.MAX_SAFE_INTEGER;
/**
 * Largest step by which a peer's Lamport time may exceed the local clock (H17). At a million messages a second it takes
 * nine years to run that far, so an honest newcomer is never refused, and one forged packet cannot use up the clock.
 */
export const LAMPORT_JUMP_MAX: number = 2 ** 48;
/** Deepest nesting of an application value. */
export const VALUE_DEPTH_MAX = 64;
/**
 * Most work that decoding one application value may be, in units of a small number (about 20 ns): a million small numbers,
 * 40,000 different keys, 20,000 byte strings. So no value holds up the event loop for 50 ms (H38).
 */
export const VALUE_WORK_MAX = 1_000_000;
/** Latest and earliest date in an application value, in seconds from 1970: 69,000 years, exact to the millisecond (H45). */
export const DATE_SECONDS_MAX: number = 2 ** 41;
/** Largest big integer in an application value, in bytes (H40). */
export const BIGINT_BYTES_MAX = 64;
/** Rank in the packets of one that is no member of the view yet, and asks for messages of a cut. */
export const OBSERVER_RANK = 0xffff;

/** The messages of a view change, and of elections, to and from packets. */
import {
  type Answer,
  encodeAnswer,
  encodeProposal,
  type Proposal,
  readAnswer,
  readProposal,
} from "../membership/proposal.ts";
import type { ChangeMessage } from "../membership/view_change.ts";
import { parseControl } from "../wire/control.ts";
import { Kind } from "../wire/message.ts";
import type { PacketReader } from "../wire/packet_reader.ts";
import type { PacketWriter } from "../wire/packet_writer.ts";

const NONE = new Uint8Array(0);

/** Writes a message of a view change into a packet of its own. @param number Number of the view to come. */
export function writeChange(writer: PacketWriter, message: ChangeMessage, number: number): Uint8Array {
  switch (message.kind) {
    case "prepare":
      return write(writer, Kind.prepare, message.ballot, number, NONE);
    case "promise":
      return write(writer, Kind.promise, message.ballot, number, encodeAnswer(message.answer));
    case "busy":
      return write(writer, Kind.busy, message.ballot, message.promised, NONE);
    case "accept":
      return write(
        writer,
        Kind.accept,
        message.ballot,
        number,
        encodeProposal(message.proposal),
        message.held ? 1 : 0,
      );
    case "accepted":
      return write(writer, Kind.accepted, message.ballot, number, NONE);
    case "install":
      return write(writer, Kind.install, message.proposal.number, 0, encodeProposal(message.proposal));
  }
}

/** Asks a joiner to hold a cut. */
export function writeCut(writer: PacketWriter, ballot: number, proposal: Proposal): Uint8Array {
  return write(writer, Kind.cut, ballot, proposal.number, encodeProposal(proposal));
}

function write(
  writer: PacketWriter,
  kind: Kind,
  a: number,
  b: number,
  body: Uint8Array,
  flags: number = 0,
): Uint8Array {
  const offset = writer.begin(kind, flags, 0, body.length, a, b);
  writer.bytes.set(body, offset);
  return writer.take();
}

/**
 * Reads the message of a view change under the cursor.
 *
 * @param number Number of the present view.
 * @param lineage Lineage of the present view.
 * @param size Members of the present view.
 * @returns `undefined` unless it is a sound message for the view that follows.
 */
export function readChange(
  reader: PacketReader,
  number: number,
  lineage: number,
  size: number,
): ChangeMessage | undefined {
  const { kind, a, b } = reader;
  if (kind === Kind.busy) return { kind: "busy", ballot: a, promised: b };
  if (kind === Kind.install) {
    const proposal = readNext(reader, number, lineage, size);
    return proposal === undefined || a !== number + 1 ? undefined : { kind: "install", proposal };
  }
  if (b !== number + 1) return undefined;
  switch (kind) {
    case Kind.prepare:
      return { kind: "prepare", ballot: a };
    case Kind.accepted:
      return { kind: "accepted", ballot: a };
    case Kind.accept: {
      const proposal = readNext(reader, number, lineage, size);
      return proposal === undefined
        ? undefined
        : { kind: "accept", ballot: a, proposal, held: reader.flags === 1 };
    }
    case Kind.promise: {
      const answer: Answer | undefined = readAnswer(parseControl(reader), size);
      const accepted = answer?.accepted?.proposal;
      if (answer === undefined || (accepted !== undefined && !isNext(accepted, number, lineage))) {
        return undefined;
      }
      return { kind: "promise", ballot: a, answer };
    }
    default:
      return undefined;
  }
}

/** Reads a proposal for the view that follows. */
export function readNext(
  reader: PacketReader,
  number: number,
  lineage: number,
  size: number,
): Proposal | undefined {
  const proposal = readProposal(parseControl(reader), size);
  return proposal !== undefined && isNext(proposal, number, lineage) ? proposal : undefined;
}

function isNext(proposal: Proposal, number: number, lineage: number): boolean {
  return proposal.number === number + 1 && proposal.lineage === lineage;
}

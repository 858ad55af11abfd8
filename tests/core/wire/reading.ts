/** Messages to be parsed: a reader whose cursor stands on one. */
import * as assert from "uvu/assert";
import type { Kind } from "../../../core/wire/message.ts";
import { PacketReader } from "../../../core/wire/packet_reader.ts";
import { type PacketIdentity, PacketWriter } from "../../../core/wire/packet_writer.ts";

const IDENTITY: PacketIdentity = { groupKey: 1, viewNumber: 1, lineage: 1, incarnation: 1, rank: 0 };

/** The numbers and flags of a message; left out: 1, and no flags. */
export interface Numbers {
  readonly a?: number;
  readonly b?: number;
  readonly flags?: number;
}

/** A reader whose cursor stands on a message with this body. */
export function reading(
  kind: Kind,
  body: Uint8Array,
  count = 0,
  { a = 1, b = 1, flags = 0 }: Numbers = {},
): PacketReader {
  const writer = new PacketWriter(IDENTITY, 65_536);
  const offset = writer.begin(kind, flags, count, body.length, a, b);
  writer.bytes.set(body, offset);
  const reader = new PacketReader();
  assert.is(reader.open(writer.take()), "");
  assert.ok(reader.next());
  return reader;
}

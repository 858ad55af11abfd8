/** The record of a former run, as it was found on disk: damage, and another group's, are errors, never "nothing" (W15, H67). */
import { TuttiError } from "../base/errors.ts";
import { type BallotRecord, readRecord } from "../membership/ballot_record.ts";
import { type GroupConfig, recordHead } from "./config.ts";

/**
 * Reads the record of a former run of this member.
 *
 * @throws {TuttiError} `StoreFailed` when it is damaged, or does not go with the configuration
 */
export function checkRecord(bytes: Uint8Array, config: GroupConfig): BallotRecord {
  const { name, address } = config;
  const record = readRecord(bytes);
  if (record === undefined) throw failed("what is in the store is damaged; restore it, or use an empty one");
  const { group, order, replicas } = recordHead(config);
  if (record.group !== group) throw failed(`the store is that of group ${record.group}, not ${group}`);
  const own = record.members[record.rank];
  if (own.name !== name || own.address !== address) {
    throw failed(`the store is that of ${own.name} at ${own.address}, not of ${name} at ${address}`);
  }
  if (record.over) return record;
  if (record.order !== order) {
    throw failed(
      `the store is that of a member in order ${record.order}, not ${order}; join as before, or use an empty store`,
    );
  }
  if (config.level === "durable" && record.replicas !== replicas) {
    const [before, now] = [record.replicas, replicas].map((text) => text === "" ? "no replicas" : text);
    throw failed(
      `the store has the state of ${before}, and not of ${now}; join with the same replicas, or use an empty store`,
    );
  }
  return record;
}

function failed(what: string): TuttiError {
  return new TuttiError("StoreFailed", `Cannot join: ${what}`);
}

/** What a process counts. */

/** The statistics, by the names of old. */
export interface Statistics {
  readonly messages_sent: number;
  readonly messages_received: number;
  readonly messages_delivered: number;
  readonly acks_sent: number;
  readonly acks_received: number;
  readonly lamport_time: number;
  readonly pending_messages: number;
  readonly delivered_messages: number;
}

/** The statistics, for people. @param skipped Messages that came again, and had been delivered before. */
export function formatStatistics(statistics: Statistics, skipped: number): string {
  const rows = Object.entries(statistics).map(([name, value]) => `  ${`${name}:`.padEnd(20)} ${value}`);
  if (skipped > 0) rows.push(`  (${skipped} messages came again and were skipped)`);
  return ["Statistics:", ...rows].join("\n");
}

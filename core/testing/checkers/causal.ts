/**
 * Causal order: if m could have influenced m' - the sender of m' had sent or delivered m before - no node delivers m' before
 * m, or without it. It includes FIFO. A node that joined is asked only about what it delivers itself, and messages
 * whose send was rejected may be missing.
 *
 * Each message gets the vector clock of its send (Fidge 1988, Mattern 1989) with one entry for each sending life: entry s
 * says how many messages of s are in its causal past, which for each s is a beginning of what s sent. Time in proportion
 * to lines times sending lives. Needs no order between nodes.
 */
import { VectorClock } from "../../clock/vector.ts";
import { causalOrder } from "./causal_order.ts";
import type { Delivery, GroupHistory, History, Life, Message, Tenure } from "./history.ts";
import { Findings, type Violation } from "./violation.ts";

/** What a tenure knows while its lines are gone through. */
interface Knowledge {
  /** The causal past of its next message: everything that it has sent or delivered, and their pasts. */
  readonly sendable: VectorClock;
  /** The causal past of what it has delivered. */
  readonly past: VectorClock;
  /** How many messages it has delivered of each sending life, those with a rejected send left out. */
  readonly counts: Uint32Array;
}

/**
 * Checks causal order.
 *
 * @param history The trace.
 * @returns What breaks it.
 */
export function causal(history: History): Violation[] {
  const findings = new Findings("causal");
  const { order, impossible } = causalOrder(history.lines);
  const groupOf = new Map<Tenure, GroupHistory>();
  for (const group of history.groups) for (const tenure of group.tenures) groupOf.set(tenure, group);
  const clocks = new Map<Message, VectorClock>();
  const knowledge = new Map<Tenure, Knowledge>();
  const knowledgeOf = (tenure: Tenure): Knowledge => {
    let known = knowledge.get(tenure);
    if (known === undefined) {
      const size = groupOf.get(tenure)!.senders.length;
      known = { sendable: new VectorClock(size), past: new VectorClock(size), counts: new Uint32Array(size) };
      knowledge.set(tenure, known);
    }
    return known;
  };
  for (const index of order) {
    const message = history.sends[index];
    if (message !== undefined) {
      const { sendable } = knowledgeOf(message.tenure);
      sendable.tick(message.life.slot);
      clocks.set(message, sendable.copy());
      continue;
    }
    const delivery = history.deliveries[index];
    if (delivery?.message === undefined) continue;
    if (impossible.has(index)) {
      findings.add(
        `${delivery.line.n} delivers ${delivery.line.m} before anything that could have sent it`,
        index,
      );
    }
    if (delivery.tenure.delivered.get(delivery.message) !== delivery) continue;
    learn(delivery, delivery.message, knowledgeOf(delivery.tenure), clocks, findings);
  }
  for (const [tenure, known] of knowledge) {
    if (!tenure.joined) findMissing(tenure, known, groupOf.get(tenure)!.senders, findings);
  }
  return findings.violations;
}

function learn(
  delivery: Delivery,
  message: Message,
  known: Knowledge,
  clocks: ReadonlyMap<Message, VectorClock>,
  findings: Findings,
): void {
  const { slot } = message.life;
  // What a restart delivers again came in its place the first time.
  if (known.past.get(slot) >= message.sequence && !delivery.line.replay) {
    const later = delivery.tenure.deliveries.find(({ message: other }) =>
      other !== message && (clocks.get(other!)?.get(slot) ?? 0) >= message.sequence
    );
    findings.add(
      `${delivery.line.n} delivers ${message.m} after ${later?.line.m}, which ${message.m} could have influenced`,
      delivery.index,
    );
  }
  if (!message.failed) known.counts[slot]++;
  const clock = clocks.get(message);
  if (clock === undefined) return;
  known.past.merge(clock);
  known.sendable.merge(clock);
}

/** What a node never delivered although it delivered something that depends on it. */
function findMissing(tenure: Tenure, known: Knowledge, senders: readonly Life[], findings: Findings): void {
  for (const { sent, slot, node } of senders) {
    const pastCount = known.past.get(slot);
    let expected = 0;
    for (let index = 0; index < pastCount; index++) if (!sent[index].failed) expected++;
    // Everything delivered of a sender lies in the past, so equal counts mean that nothing is missing.
    if (known.counts[slot] === expected) continue;
    for (let index = 0; index < pastCount; index++) {
      const message = sent[index];
      if (message.failed || tenure.delivered.has(message)) continue;
      findings.add(
        `${tenure.node} never delivers ${message.m} of ${node} but delivers what it could have influenced`,
        message.index,
      );
      if (findings.full) return;
    }
  }
}

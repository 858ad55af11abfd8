/**
 * Causal order: if m could have influenced m' - the sender of m' had sent or delivered m before - no node delivers m' before
 * m, or without it. It includes FIFO. A node that joined may lack causes that its snapshot can cover, and messages whose send
 * was rejected may be missing. (Birman and Joseph 1987, "Reliable communication in the presence of failures".)
 *
 * Each message gets the vector clock of its send (Fidge 1988, Mattern 1989) with one entry for each sending life: entry s
 * says how many messages of s are in its causal past, which for each s is a beginning of what s sent. Time in proportion
 * to lines times sending lives. Needs no order between nodes.
 */
import { VectorClock } from "../../clock/vector.ts";
import { causalOrder } from "./causal_order.ts";
import {
  type Delivery,
  type GroupHistory,
  type History,
  isOwed,
  type Life,
  type Membership,
  type Message,
} from "./history.ts";
import { Findings, type Violation } from "./violation.ts";

/** What a membership knows while its lines are gone through. */
interface Knowledge {
  /** The causal past of its next message: everything that it has sent or delivered, and their pasts. */
  readonly sendable: VectorClock;
  /** The causal past of what it has delivered. */
  readonly past: VectorClock;
  /** How many messages it has delivered of each sending life, of those that may not be missing. */
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
  const groupOf = new Map<Membership, GroupHistory>();
  for (const group of history.groups) {
    for (const membership of group.memberships) groupOf.set(membership, group);
  }
  const clocks = new Map<Message, VectorClock>();
  const knowledge = new Map<Membership, Knowledge>();
  const knowledgeOf = (membership: Membership): Knowledge => {
    let known = knowledge.get(membership);
    if (known === undefined) {
      const size = groupOf.get(membership)!.senders.length;
      known = { sendable: new VectorClock(size), past: new VectorClock(size), counts: new Uint32Array(size) };
      knowledge.set(membership, known);
    }
    return known;
  };
  for (const index of order) {
    const message = history.sends[index];
    if (message !== undefined) {
      const { sendable } = knowledgeOf(message.membership);
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
    if (delivery.repeated) continue;
    learn(delivery, delivery.message, knowledgeOf(delivery.membership), clocks, findings);
  }
  for (const [membership, known] of knowledge) {
    findMissing(membership, known, groupOf.get(membership)!.senders, findings);
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
  if (known.past.get(slot) >= message.sequence && !delivery.line.replay && !findings.full) {
    const later = [...delivery.membership.delivered.keys()].find((other) =>
      other !== message && (clocks.get(other)?.get(slot) ?? 0) >= message.sequence
    );
    findings.add(
      `${delivery.line.n} delivers ${message.m} after ${later?.m}, which ${message.m} could have influenced`,
      delivery.index,
    );
  }
  if (isAsked(message, delivery.membership)) known.counts[slot]++;
  const clock = clocks.get(message);
  if (clock === undefined) return;
  known.past.merge(clock);
  known.sendable.merge(clock);
}

/** What a node never delivered although it delivered something that depends on it. */
function findMissing(
  membership: Membership,
  known: Knowledge,
  senders: readonly Life[],
  findings: Findings,
): void {
  for (const { sent, slot, node } of senders) {
    const pastCount = known.past.get(slot);
    let expected = 0;
    for (let index = 0; index < pastCount; index++) if (isAsked(sent[index], membership)) expected++;
    // Everything delivered of a sender lies in the past, so equal counts mean that nothing is missing.
    if (known.counts[slot] === expected) continue;
    for (let index = 0; index < pastCount; index++) {
      const message = sent[index];
      if (!isAsked(message, membership) || membership.delivered.has(message)) continue;
      findings.add(
        `${membership.node} never delivers ${message.m} of ${node} but delivers what it could have influenced`,
        message.index,
      );
      if (findings.full) return;
    }
  }
}

function isAsked(message: Message, membership: Membership): boolean {
  return !message.failed && isOwed(message, membership);
}

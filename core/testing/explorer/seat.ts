/**
 * What one member of an instance knows, as plain data: its view change, the messages it holds, the views it has chosen. Seats are
 * immutable and compared by a key.
 */
import type { ChangeState } from "../../membership/view_change.ts";
import { roundOf } from "../../membership/proposal.ts";
import { answerKey, type Instance, type Packet } from "./instance.ts";

/** Where a process stands. */
export type SeatStage =
  /** In a view. */
  | "member"
  /** Outside, and wants to be in the next view. */
  | "joiner"
  /** In the last view: nothing happens any more. */
  | "done"
  /** The next view was decided without it. */
  | "out";

/** A member at one moment. */
export interface Seat {
  /** Where it stands. */
  readonly stage: SeatStage;
  /** Number of its view. */
  readonly view: number;
  /** The members of its view, by index. */
  readonly members: readonly number[];
  /** The state of its view change. */
  readonly change: ChangeState;
  /** What it answered when it wedged, by rank in its view. */
  readonly holds: readonly number[] | undefined;
  /** How many messages of each member it holds, by index. */
  readonly held: readonly number[];
  /** How many messages of each member it has delivered, by index. */
  readonly delivered: readonly number[];
  /** For each message that it has sent, the number of the view. */
  readonly sent: readonly number[];
  /** For each view number, from 2, which proposal it took for decided; 0 for none. */
  readonly chosen: readonly number[];
  /** Views for which no ballot is left, as bits. */
  readonly exhausted: number;
  /** Whether it has restarted. */
  readonly restarted: boolean;
}

/** The state of a view change at its beginning. */
export function freshChange(): ChangeState {
  return {
    promised: 0,
    accepted: undefined,
    pending: undefined,
    decided: undefined,
    installed: false,
    round: 0,
    phase: "idle",
    ballot: 0,
    answers: [],
    proposal: undefined,
    repeats: false,
    acceptors: [],
    confirmed: [],
  };
}

/** A copy that shares only what is never changed. */
export function copyChange(state: ChangeState): ChangeState {
  return {
    ...state,
    answers: [...state.answers],
    acceptors: [...state.acceptors],
    confirmed: [...state.confirmed],
  };
}

/** Everybody at the beginning. */
export function firstSeats(instance: Instance): Seat[] {
  const members = Array.from({ length: instance.options.members }, (_, index) => index);
  const none = instance.members.map(() => 0);
  return instance.members.map((_, index): Seat => ({
    stage: index < members.length ? "member" : "joiner",
    view: 1,
    members,
    change: freshChange(),
    holds: undefined,
    held: none,
    delivered: none,
    sent: [],
    chosen: Array.from({ length: instance.options.changes }, () => 0),
    exhausted: 0,
    restarted: false,
  }));
}

/** Whether a member sends and delivers nothing more in its view. */
export function isWedged({ holds, change }: Seat): boolean {
  return holds !== undefined || change.promised !== 0 || change.decided !== undefined;
}

/** Whether no more ballots can be begun in a member's view. */
export function isExhausted({ exhausted, view }: Seat): boolean {
  return (exhausted & (1 << view)) !== 0;
}

/**
 * Leaves out of a seat what can never be looked at again, so that states that differ only in that are one.
 *
 * A proposer's notes die with its phase; once the next view is decided all else does; rounds only serve to begin ballots.
 */
export function normalized(seat: Seat, instance: Instance): Seat {
  if (!instance.options.reduced) return seat;
  const { change } = seat;
  if (seat.stage !== "member") {
    const cut = seat.stage === "done" ? instance.proposal(seat.chosen.at(-1) as number).cut : undefined;
    return {
      ...seat,
      change: freshChange(),
      holds: undefined,
      delivered: seat.stage === "joiner" ? seat.delivered : seat.delivered.map(() => 0),
      held: cut === undefined ? seat.held : seat.held.map((count, index) => Math.min(count, cut[index])),
      exhausted: 0,
    };
  }
  if (change.decided !== undefined) {
    return { ...seat, change: { ...freshChange(), decided: change.decided, installed: change.installed } };
  }
  const reduced = copyChange(change);
  if (reduced.phase === "idle") {
    reduced.answers = [];
    reduced.proposal = undefined;
    reduced.repeats = false;
    reduced.acceptors = [];
    reduced.confirmed = [];
  } else if (reduced.phase === "accepting") reduced.answers = [];
  reduced.acceptors.sort();
  if (isExhausted(seat)) {
    reduced.round = 0;
    if (reduced.phase === "idle") reduced.ballot = 0;
  }
  return { ...seat, change: reduced };
}

/** A key of a seat: equal for equal seats. */
export function seatKey(seat: Seat, instance: Instance): string {
  const { change, members } = seat;
  const voted = (vote: ChangeState["accepted"]): string =>
    vote === undefined ? "" : `${vote.ballot}:${instance.proposalId(vote.proposal, members)}`;
  const named = (proposal: ChangeState["decided"]): string =>
    proposal === undefined ? "" : `${instance.proposalId(proposal, members)}`;
  return [
    seat.stage,
    seat.view,
    members,
    seat.holds ?? "",
    seat.held,
    seat.delivered,
    seat.sent,
    seat.chosen,
    seat.exhausted,
    seat.restarted,
    change.promised,
    voted(change.accepted),
    voted(change.pending),
    named(change.decided),
    change.installed,
    change.round,
    change.phase,
    change.ballot,
    change.answers.map((answer) => answerKey(instance, answer, members)).join(";"),
    named(change.proposal),
    change.repeats,
    change.acceptors,
    change.confirmed,
  ].join("/");
}

/**
 * Whether a packet can never again do anything at a member. Repetitions of what was answered are among them: the answer is in
 * the network for good.
 */
export function isDead(seat: Seat, packet: Packet, instance: Instance): boolean {
  const { change, view } = seat;
  if (!instance.options.reduced) return false;
  if (seat.stage === "done" || seat.stage === "out" || packet.view < view) return true;
  if (packet.view > view) return false;
  const { body } = packet;
  if (seat.stage === "joiner") {
    return seat.chosen[view - 1] !== 0 || (body.kind !== "cut" && body.kind !== "install");
  }
  if (change.decided !== undefined) return true;
  if (instance.options.restarts > 0) return false; // what was pending is forgotten, and needed once more
  switch (body.kind) {
    case "prepare":
      return body.ballot === change.promised || (body.ballot < change.promised && isExhausted(seat));
    case "promise":
      return body.ballot !== change.ballot || change.phase !== "collecting" ||
        change.answers[seat.members.indexOf(packet.from)] !== undefined;
    case "busy":
      return isExhausted(seat) || body.ballot !== change.ballot || roundOf(body.promised) <= change.round;
    case "accept":
      return body.ballot === change.accepted?.ballot || body.ballot === change.pending?.ballot ||
        (body.ballot < change.promised && isExhausted(seat));
    case "accepted":
      return body.ballot !== change.ballot || change.phase !== "accepting" ||
        change.acceptors.includes(seat.members.indexOf(packet.from));
    case "confirmed":
      return body.ballot !== change.ballot || change.phase === "idle" ||
        change.confirmed.includes(instance.members[packet.from].address);
    case "install":
      return false;
    case "cut":
      return true;
  }
}

/** Steps in words. */
import type { Move } from "./cells.ts";
import type { Instance, Packet } from "./instance.ts";
import type { Seat } from "./seat.ts";

/** What a member does in one step, in one line. */
export function describeMove(
  instance: Instance,
  index: number,
  move: Move,
  before: Seat,
  after: Seat,
): string {
  const { event } = move;
  const told = new Map<string, number[]>();
  for (const [to, id] of move.sends) {
    const text = describePacket(instance, instance.packet(id), before.members);
    told.set(text, [...told.get(text) ?? [], to]);
  }
  let line = `${instance.name(index)} ${describeEvent(instance, index, event, before)}`;
  for (const [text, to] of told) line += `; says ${text} to ${instance.names(to)}`;
  const { accepted } = after.change;
  if (accepted !== undefined && accepted.ballot !== before.change.accepted?.ballot) {
    line += `; has accepted ${instance.ballot(accepted.ballot, before.members)}`;
  }
  after.chosen.forEach((id, number) => {
    if (id !== before.chosen[number]) line += `; takes ${instance.proposal(id).text} for decided`;
  });
  if (after.view !== before.view) line += `; installs view ${after.view}`;
  if (after.stage === "out" && before.stage !== "out") line += "; is out";
  return line;
}

function describeEvent(instance: Instance, index: number, event: Move["event"], before: Seat): string {
  const message = (sender: number): string =>
    `${instance.name(sender).toLowerCase()}${before.held[sender] + 1}`;
  switch (event.kind) {
    case "send":
      return `sends ${message(index)}`;
    case "obtain":
      return before.holds === undefined
        ? `delivers ${message(event.sender)}`
        : `fetches ${message(event.sender)}`;
    case "propose":
      return "proposes";
    case "conclude":
      return "concludes its ballot";
    case "settle":
      return "waits for newcomers no longer";
    case "repeat":
      return "repeats itself";
    case "restart":
      return "restarts";
    case "receive":
      return `hears ${describePacket(instance, event.packet, before.members)} of ${
        instance.name(event.packet.from)
      }`;
  }
}

function describePacket(instance: Instance, { body }: Packet, view: readonly number[]): string {
  const named = (proposal: Parameters<Instance["proposalId"]>[0]): string =>
    instance.proposal(instance.proposalId(proposal, view)).text;
  switch (body.kind) {
    case "prepare":
    case "accepted":
    case "confirmed":
      return `${body.kind.toUpperCase()} ${instance.ballot(body.ballot, view)}`;
    case "busy":
      return `BUSY ${instance.ballot(body.ballot, view)}, ${
        instance.ballot(body.promised, view)
      } was promised`;
    case "accept":
    case "cut":
      return `${body.kind.toUpperCase()} ${instance.ballot(body.ballot, view)} (${named(body.proposal)})`;
    case "install":
      return `INSTALL (${named(body.proposal)})`;
    case "promise": {
      const { holds, accepted } = body.answer;
      const counts = instance.members.map(() => 0);
      view.forEach((index, rank) => counts[index] = holds[rank]);
      const told = accepted === undefined
        ? ""
        : `, accepted ${instance.ballot(accepted.ballot, view)}: ${named(accepted.proposal)}`;
      return `PROMISE ${instance.ballot(body.ballot, view)} (${instance.messages(counts)}${told})`;
    }
  }
}

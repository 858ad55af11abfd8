/** What must hold in every state of an instance. */
import { decides, type Instance } from "./instance.ts";
import type { Claim, ExplorerProperty, Fault } from "./member.ts";
import type { Seat } from "./seat.ts";

/** Everything that is wrong in a state. @param of The seats of all members. */
export function faultsOf(instance: Instance, of: (index: number) => Seat): Fault[] {
  const faults: Fault[] = [];
  const fault = (property: ExplorerProperty, text: string): void => void faults.push({ property, text });
  const seats = instance.members.map((_, index) => of(index));
  for (let number = 2; number <= instance.lastView; number++) {
    const chosen = seats.map((seat) => seat.chosen[number - 2]);
    const first = chosen.findIndex((id) => id !== 0);
    chosen.forEach((id, index) => {
      if (id === 0) return;
      const { text, cut } = instance.proposal(id);
      if (id !== chosen[first]) {
        const other = instance.proposal(chosen[first]).text;
        fault("P1", `${instance.name(first)} goes on to ${other}, ${instance.name(index)} to ${text}`);
      }
      if (cut.some((count, sender) => count > seats[sender].sent.length)) {
        fault("P5", `${text} is decided, and not all of it was ever sent`);
      }
    });
  }
  faults.push(...unheld(instance, seats));
  return faults;
}

/** Whether crashes could leave a quorum of the newest view without a message of its cut. */
function unheld(instance: Instance, seats: readonly Seat[]): Fault[] {
  let newest: Seat | undefined;
  for (const seat of seats) {
    if (seat.view > 1 && seat.view > (newest?.view ?? 1)) newest = seat;
  }
  if (newest === undefined) return [];
  const { members, cut, text } = instance.proposal(newest.chosen[newest.view - 2]);
  for (const dead of crashesOf(instance)) {
    const living = members.filter((index) => !dead.includes(index));
    if (!decides(members, living)) continue;
    const lost = cut.findIndex((count, sender) => living.every((index) => seats[index].held[sender] < count));
    if (lost < 0) continue;
    const gone = dead.length === 0 ? "nobody has crashed" : `${instance.names(dead)} has crashed`;
    const what = `a message of ${instance.name(lost)} in ${text}`;
    return [{ property: "P6", text: `once ${gone}, no member that lives holds ${what}` }];
  }
  return [];
}

const crashSets = new WeakMap<Instance, number[][]>();

/** Every set of members that may have crashed. */
function crashesOf(instance: Instance): number[][] {
  let sets = crashSets.get(instance);
  if (sets === undefined) {
    sets = [[]];
    for (let index = 0; index < instance.size; index++) {
      for (const set of [...sets]) if (set.length < instance.options.crashes) sets.push([...set, index]);
    }
    crashSets.set(instance, sets);
  }
  return sets;
}

/** What is not as a member believes that it is. */
export function disproved(instance: Instance, claim: Claim, of: (index: number) => Seat): Fault[] {
  const { kind, members, ballot, view, proposal } = claim;
  const sound = members.filter((index) => {
    const seat = of(index);
    if (seat.view > view) return true;
    if (kind === "hold") {
      return instance.proposal(proposal).cut.every((count, sender) => seat.held[sender] >= count);
    }
    if (seat.chosen[view - 1] !== 0) return true;
    return (kind === "promised" ? seat.change.promised : seat.change.accepted?.ballot ?? 0) >= ballot;
  });
  if (decides(claim.of, sound)) return [];
  const what = {
    promised: "a ballot is concluded, and promises to it",
    accepted: `${proposal === 0 ? "" : instance.proposal(proposal).text} is decided, and acceptances of it`,
    hold: `${proposal === 0 ? "" : instance.proposal(proposal).text} is decided, and holders of its cut`,
  }[kind];
  return [{
    property: "quorum",
    text: `${what} are only ${instance.names(sound)} of ${instance.names(claim.of)}`,
  }];
}

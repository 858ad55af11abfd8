/** What becomes of the group, in lines of the log: who is in it, who leads, who is silent, why sending waits. */
import type { ControlEvent, View } from "@tutti/tutti";
import type { Log } from "./log.ts";

type ViewEvent = Extract<ControlEvent, { readonly type: "view" }>;
type Departure = ViewEvent["departed"][number]["reason"];

/** Why somebody is no member any more, after its name. */
const DEPARTED: Readonly<Record<Departure, string>> = {
  left: "has left",
  crashed: "was evicted: it was silent for too long",
  slow: "was evicted: it held up the others",
  restarted: "was evicted: its process has been started again",
};

/**
 * Logs an event.
 *
 * @param own Own name.
 * @param advice What a person can do where too few members are heard.
 */
export function announce(event: ControlEvent, own: string, log: Log, advice: string): void {
  switch (event.type) {
    case "view":
      return announceView(event, own, log);
    case "leader":
      return log("SYSTEM", `${event.own ? "This process" : event.leader.name} leads view ${event.epoch}`);
    case "election": {
      const { strategy, winner, epoch, messages } = event;
      return log(
        "SYSTEM",
        `Election (${strategy}) in view ${epoch}: ${winner}; ${messages} messages sent for it`,
      );
    }
    case "suspected":
      return log("CONNECTION", `${event.member.name} is not heard any more: suspected`);
    case "trusted":
      return log("CONNECTION", `${event.member.name} is heard again: trusted`);
    case "evicted":
      return log(
        "SYSTEM",
        `This process was evicted after view ${event.view}${
          event.reason === undefined ? "" : ` (${event.reason})`
        }: it joins again by itself, and sends again what did not get through`,
      );
    case "retry":
      return log(
        "RETRY",
        `${event.count} message${
          event.count === 1 ? "" : "s"
        } of ${event.sender} sent again to ${event.member}`,
      );
    case "blocked": {
      const members = event.members.join(", ");
      if (event.reason === "window") {
        return log(
          "ERROR",
          `${event.pending} messages wait for ${members}; sending goes on when they confirm`,
        );
      }
      return log(
        "ERROR",
        `Blocked: too few members are heard, ${members} away; what is sent waits until enough are heard again${advice}`,
      );
    }
    case "unblocked":
      return log("SYSTEM", "Unblocked: enough members are heard again; what waited is sent");
    case "warning":
      return log("ERROR", event.text);
  }
}

function announceView({ view, joined, departed }: ViewEvent, own: string, log: Log): void {
  log("SYSTEM", `View ${view.number}: ${view.members.map(({ name }) => name).join(", ")}`);
  for (const { member, reason } of departed) log("CONNECTION", `${member.name} ${DEPARTED[reason]}`);
  for (const { name, address } of joined) {
    if (name !== own) log("CONNECTION", `${name} at ${address} is connected`);
  }
}

/** The members of a view, for people. */
export function formatMembers(view: View | undefined, own: string): string {
  if (view === undefined) return "Members: none; this process is not in a group yet, and looks for it";
  const rows = view.members.map(({ name, address }, rank) => {
    const marks = [rank === view.leader ? "leads" : "", name === own ? "this process" : ""];
    const text = marks.filter((mark) => mark !== "").join(", ");
    return `  ${rank + 1}. ${name} at ${address}${text === "" ? "" : ` (${text})`}`;
  });
  return [`Members of view ${view.number}, the most senior first:`, ...rows].join("\n");
}

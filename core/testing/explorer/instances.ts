/** The instances that are explored again and again, and must be clean. */
import type { ExplorerOptions } from "./instance.ts";

/** An instance by name. */
export interface ExplorerInstance {
  /** Its name. */
  readonly name: string;
  /** What it is about. */
  readonly about: string;
  /** Its bounds. */
  readonly options: ExplorerOptions;
  /** Whether it takes more than about fifteen seconds. */
  readonly long: boolean;
}

/** Instances that cover the view change; the first is the plain one. */
export const EXPLORER_INSTANCES: readonly ExplorerInstance[] = [
  {
    name: "three",
    about: "three members, two messages, two ballots",
    options: {},
    long: false,
  },
  {
    name: "three-ballots",
    about: "three members, one message, three ballots",
    options: { ballots: 3, messages: 1 },
    long: false,
  },
  {
    name: "four",
    about: "four members, two messages, one ballot: even splits",
    options: { members: 4, ballots: 1 },
    long: false,
  },
  {
    name: "four-two-ballots",
    about: "four members, no message, two ballots: even splits of two proposers",
    options: { members: 4, messages: 0 },
    long: false,
  },
  {
    name: "streams",
    about: "three members, four messages, two of them of one sender, one ballot",
    options: { messages: 4, ballots: 1 },
    long: false,
  },
  {
    name: "chain-of-three",
    about: "three members, one message, three view changes of one ballot each",
    options: { changes: 3, ballots: 1, messages: 1 },
    long: false,
  },
  {
    name: "two",
    about: "two members, three messages, three ballots: the senior may go on alone",
    options: { members: 2, messages: 3, ballots: 3 },
    long: false,
  },
  {
    name: "chain",
    about: "three members, one message, two view changes of two ballots each",
    options: { changes: 2, messages: 1 },
    long: false,
  },
  {
    name: "leaver",
    about: "three members, the senior of whom wants to leave",
    options: { leaver: true },
    long: false,
  },
  {
    name: "joiner",
    about: "two members and a joiner, two messages, three ballots",
    options: { members: 2, joiner: true, ballots: 3 },
    long: false,
  },
  {
    name: "joiner-of-three",
    about: "three members and a joiner, one message, two ballots",
    options: { joiner: true, messages: 1 },
    long: false,
  },
  {
    name: "joiner-chain",
    about: "two members and a joiner, one message, two view changes of two ballots each",
    options: { members: 2, joiner: true, changes: 2, messages: 1 },
    long: false,
  },
  {
    name: "restart",
    about: "three members, one of which may come back with what it had on disk",
    options: { restarts: 1, messages: 0 },
    long: false,
  },
  {
    name: "restart-with-message",
    about: "the same, and a message",
    options: { restarts: 1, messages: 1 },
    long: true,
  },
  {
    name: "three-ballots-two-messages",
    about: "three members, two messages, three ballots",
    options: { ballots: 3 },
    long: true,
  },
  {
    name: "four-with-message",
    about: "four members, one message, two ballots",
    options: { members: 4, messages: 1 },
    long: true,
  },
  {
    name: "chain-two-messages",
    about: "three members, two messages, two view changes of two ballots each",
    options: { changes: 2 },
    long: true,
  },
];

/** Locks, and what a fencing token promises. */
import { BOOLEAN, BOOLEAN_OR_NULL, NUMBER, type SequentialModel } from "./sequential_model.ts";

/**
 * A lock that nobody takes away: `acquire`, `release`, each `false` when it could not be done. Its state is the client that holds
 * it; a client name is a holder.
 */
export const LOCK: SequentialModel<string> = {
  start: "",
  holders: true,
  rules: {
    acquire: {
      output: BOOLEAN_OR_NULL,
      observes: ({ pending, output }) => !pending && output === false,
      step: (holder, { client, pending, output }) => {
        if (!pending && output === false) return holder !== "" ? holder : undefined;
        return holder === "" ? client : undefined;
      },
    },
    release: {
      output: BOOLEAN_OR_NULL,
      observes: ({ pending, output }) => !pending && output === false,
      step: (holder, { client, pending, output }) => {
        if (!pending && output === false) return holder !== client ? holder : undefined;
        return holder === client ? "" : undefined;
      },
    },
  },
  describe: (holder) => holder === "" ? "free" : `held by ${holder}`,
};

/**
 * Fencing: each `acquire` answers a token higher than all before, and the resource lets nobody `use` it with a token lower than
 * one that it has seen. The state is the highest token, of those given out or of those seen.
 */
export const FENCE: SequentialModel<number> = {
  start: -Infinity,
  rules: {
    acquire: {
      output: NUMBER,
      // What token a pending one got nobody knows: it says nothing.
      observes: ({ pending }) => pending,
      step: (highest, { output }) => output as number > highest ? output as number : undefined,
    },
    use: {
      input: NUMBER,
      output: BOOLEAN,
      observes: ({ pending, output }) => !pending && output === false,
      step: (highest, { input, pending, output }) => {
        const accepts = input as number >= highest;
        if (!pending && accepts !== output) return undefined;
        return accepts ? input as number : highest;
      },
    },
  },
  describe: (highest) => highest === -Infinity ? "no token" : `token ${highest}`,
  partsBy: () => ({ op }) => op,
};

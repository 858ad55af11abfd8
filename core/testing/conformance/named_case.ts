import type { TransportHarness } from "./types.ts";
import type { Bench } from "./probe.ts";

/** A case before it is bound to a harness. */
export type NamedCase = readonly [
  name: string,
  body: (bench: Bench, harness: TransportHarness) => Promise<void>,
];

/**
 * The conformance suites, written without a test runner, for the adapters of this project and for anyone's own: what
 * every adapter must do, what a group must do over it, and what every store must do.
 *
 * @example
 * ```ts ignore
 * import { suite } from "uvu";
 * import { transportConformance } from "@tutti/tutti/testing";
 *
 * const test = suite("my adapter");
 * for (const { name, run } of transportConformance(harness)) test(name, run);
 * test.run();
 * ```
 *
 * @module
 */
export type { ConformanceCase, GroupHarness, HarnessMember, TransportHarness } from "./types.ts";
export { transportConformance } from "./cases.ts";
export { groupConformance } from "./group.ts";
export { storeConformance, type StoreHarness, type StorePlace } from "./store.ts";
export type { SendStatus, Transport, TransportHandler, TransportTraits } from "../../runtime/transport.ts";
export type { Address } from "../../base/ids.ts";
export type { LogBatch, Store, Stored, StoredSnapshot, StoreWrite } from "../../runtime/store.ts";

/**
 * Linearizability: given only what clients called and got back, is that what one object could have answered?
 *
 * @module
 */
export * from "./client_history.ts";
export * from "./history_recorder.ts";
export { checkHistory, type CheckHistoryOptions } from "./check_history.ts";

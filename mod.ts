/**
 * Tutti: group communication for TypeScript.
 *
 * The members of a group - processes on one machine or many - receive the same messages, reliably and in order, with no
 * broker to run. Pick a transport (`@tutti/tutti/zeromq`, `@tutti/tutti/udp`, `@tutti/tutti/memory`) and {@link join}.
 *
 * @module
 */
export { TuttiError, type TuttiErrorCode, type TuttiErrorOptions } from "./core/base/errors.ts";
export type { Address, Incarnation, MemberName } from "./core/base/ids.ts";
export type { Compression } from "./core/base/compression.ts";
export type { Limits, Timing } from "./core/group/config.ts";
export {
  type BlockedEvent,
  type ControlEvent,
  type ElectionEvent,
  type EvictedEvent,
  type GroupEvent,
  type LeaderEvent,
  Message,
  type RetryEvent,
  type SuspicionEvent,
  type UnblockedEvent,
  type ViewEvent,
  type WarningEvent,
} from "./core/group/events.ts";
export type { Departed } from "./core/group/roster.ts";
export type { Counters } from "./core/group/stats.ts";
export type { Departure, Member, View } from "./core/membership/view.ts";
export type { ElectionName } from "./core/election/mod.ts";
export type { OnEvent, OnMessages } from "./core/runtime/inbox.ts";
export type { EngineName, LevelName, OrderName } from "./core/wire/control.ts";
export type {
  CloseReport,
  Discovery,
  JoinOptions,
  ReadyOptions,
  Replica,
  StateHandler,
  WaitOptions,
} from "./core/runtime/options.ts";
export type { Leadership } from "./core/runtime/leadership.ts";
export { type Place, Receipt, type ReceiptSource, type ReceiptTerms } from "./core/runtime/receipt.ts";
export type { GroupStats } from "./core/runtime/stats.ts";
export {
  type LogBatch,
  memoryStore,
  type Store,
  type Stored,
  type StoredSnapshot,
  type StoreWrite,
} from "./core/runtime/store.ts";
export { Group } from "./core/runtime/group.ts";
export { join } from "./core/runtime/join.ts";
export type { ClientSettings } from "./core/replication/client_machine.ts";
export type { LogLimits } from "./core/replication/log_machine.ts";
export type { MapLimits } from "./core/replication/map_machine.ts";
export type { SessionLimits } from "./core/replication/sessions.ts";
export type { CommandContext, StateMachine } from "./core/replication/user_machine.ts";
export { Client, type ClientStats, connect } from "./core/runtime/client.ts";
export type { ConnectOptions } from "./core/runtime/client_options.ts";
export {
  type LocalCounter,
  type RemoteCounter,
  type ReplicatedCounter,
  replicatedCounter,
} from "./core/runtime/replicated_counter.ts";
export {
  type LocalLog,
  type LogEntry,
  type LogPart,
  type RemoteLog,
  type ReplicatedLog,
  replicatedLog,
} from "./core/runtime/replicated_log.ts";
export {
  type MachineLimits,
  type RemoteMachine,
  replicate,
  type ReplicatedMachine,
} from "./core/runtime/replicated_machine.ts";
export {
  type Comparison,
  type Expected,
  type LocalMap,
  type MapChange,
  type RemoteMap,
  type ReplicatedMap,
  replicatedMap,
  type Versioned,
  type WatchOptions,
} from "./core/runtime/replicated_map.ts";
export type { SendStatus, Transport, TransportHandler, TransportTraits } from "./core/runtime/transport.ts";
export * from "./core/runtime/trace.ts";

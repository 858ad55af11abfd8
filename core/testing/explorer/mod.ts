/**
 * An exhaustive explorer of the view change, for tests.
 *
 * @module
 */
export { type Exploration, explore } from "./explorer.ts";
export { EXPLORER_MEMBERS_MAX, type ExplorerOptions } from "./instance.ts";
export { EXPLORER_PROPERTIES, type ExplorerProperty, type Fault } from "./member.ts";
export { EXPLORER_MUTATIONS, type ExplorerMutation } from "./mutations.ts";
export { EXPLORER_INSTANCES, type ExplorerInstance } from "./instances.ts";

/** The log of a durable member is cut when its application gives a snapshot; one that never does is told of. */
import * as assert from "uvu/assert";
import { memoryStore, type Store } from "@tutti/tutti";
import type { WarningEvent } from "../../core/group/events.ts";
import { DEADLINE_MS, groupSuite, member } from "./members.ts";

const test = groupSuite("group/durable log");

const LOG_BYTES = 65_536;
const MESSAGE_BYTES = 8192;

/** Runs a member that is alone, whose application gives snapshots in its own way. */
async function running(snapshot: () => Promise<Uint8Array>): Promise<{
  readonly store: Store;
  readonly warnings: WarningEvent[];
  readonly send: (bytes: number) => Promise<void>;
}> {
  const store = memoryStore();
  const warnings: WarningEvent[] = [];
  const group = await member("P1", [], {
    order: "total",
    level: "durable",
    store,
    limits: { logBytesMax: LOG_BYTES },
    state: { snapshot, restore: () => {} },
    onMessages: () => {},
    onEvent: (event) => {
      if (event.type === "warning") warnings.push(event);
    },
  });
  await group.ready({ deadline: DEADLINE_MS });
  const send = async (bytes: number): Promise<void> => {
    for (let sent = 0; sent < bytes; sent += MESSAGE_BYTES) {
      await (await group.send(new Uint8Array(MESSAGE_BYTES))).placed;
    }
  };
  return { store, warnings, send };
}

async function logBytes(store: Store): Promise<number> {
  return (await store.load())?.log.reduce((sum, { bytes }) => sum + bytes.length, 0) ?? 0;
}

test("an application whose snapshot never comes is told that the log grows", async () => {
  let asked = 0;
  const late = Promise.withResolvers<Uint8Array>();
  const { store, warnings, send } = await running(() => {
    asked++;
    return late.promise;
  });
  await send(LOG_BYTES + 2 * MESSAGE_BYTES);
  assert.equal([asked, warnings], [1, []], "it may take its time");
  await send(LOG_BYTES + MESSAGE_BYTES);
  assert.equal(warnings.map(({ code, count }) => [code, count]), [["snapshot", 1]]);
  assert.match(warnings[0].text, /^the log has \d+ bytes and cannot be shortened: the application has not/);
  assert.ok(await logBytes(store) > 2 * LOG_BYTES);
  late.resolve(new Uint8Array(1));
  await send(2 * MESSAGE_BYTES);
  assert.ok(await logBytes(store) < 2 * LOG_BYTES, "what came before the question is cut off");
});

test("nobody is told of anything while snapshots come", async () => {
  let asked = 0;
  const { store, warnings, send } = await running(() => Promise.resolve(Uint8Array.of(++asked)));
  await send(8 * LOG_BYTES);
  assert.ok(asked >= 6, `${asked} snapshots`);
  assert.equal(warnings, []);
  assert.ok(await logBytes(store) < 2 * LOG_BYTES);
});

test.run();

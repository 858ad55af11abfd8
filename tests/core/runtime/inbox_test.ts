/** The inbox: everything keeps its place, and nothing counts as taken before the application is done with it. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Incarnation, MemberName } from "../../../core/base/ids.ts";
import { type ControlEvent, type GroupOutput, Message } from "../../../core/group/events.ts";
import { Outputs } from "../../../core/group/outputs.ts";
import { Inbox, type InboxOwner, type OnEvent, type OnMessages } from "../../../core/runtime/inbox.ts";
import { Command } from "../../../core/wire/command.ts";
import { UNDECODABLE } from "../../../core/wire/value.ts";

const test = suite("runtime/inbox");

function message(sequence: number, value: unknown = sequence): Message {
  return new Message("P1" as MemberName, 1 as Incarnation, sequence, sequence, value, false);
}

const VIEW: ControlEvent = { type: "unblocked" };
const WARNING: ControlEvent = { type: "warning", code: "clock", text: "", count: 1 };
const SNAPSHOT: GroupOutput = { type: "snapshot", transfer: 5 };

/** An inbox, and what it did with its application, in order. */
function made(choices: {
  readonly onMessages?: boolean;
  readonly onEvent?: boolean;
  readonly stateful?: boolean;
  readonly eventsMax?: number;
  readonly unattended?: boolean;
} = {}): {
  inbox: Inbox;
  owner: InboxOwner;
  story: string[];
  release: () => void;
  give: (...outputs: GroupOutput[]) => void;
} {
  const story: string[] = [];
  let gate: (() => void) | undefined;
  const owner: InboxOwner = {
    stateful: choices.stateful ?? true,
    unattended: choices.unattended ?? false,
    delivering: () => {},
    telling: () => {},
    consumed: (_stream, sequence, count) => story.push(`taken ${count === 1 ? "" : `${count}: `}${sequence}`),
    passed: (_stream, sequence) => story.push(`passed ${sequence}`),
    callbackFailed: (what, cause) => story.push(`${what} failed: ${cause}`),
    snapshot: (transfer) => story.push(`snapshot ${transfer}`),
    restore: ({ snapshot }) => void story.push(`restore ${snapshot?.length}`),
    restored: () => void story.push("restored"),
    settled: () => {},
  };
  const onMessages: OnMessages = (batch) => {
    story.push(`batch ${batch.map(({ value }) => value)}`);
    return new Promise((resolve) => gate = resolve);
  };
  const onEvent: OnEvent = ({ type }) => void story.push(`event ${type}`);
  const inbox = new Inbox(
    owner,
    choices.onMessages ? onMessages : undefined,
    choices.onEvent ? onEvent : undefined,
    choices.eventsMax ?? 16,
  );
  return {
    inbox,
    owner,
    story,
    release: () => gate?.(),
    give: (...items) => {
      const outputs = new Outputs();
      for (const item of items) outputs.push(item, undefined);
      inbox.outputs(outputs);
    },
  };
}

/** Lets promises that are due settle. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

test("batches end at events, and nothing passes a batch that is not done", async () => {
  const { story, release, give } = made({ onMessages: true, onEvent: true });
  give(message(1), message(2), VIEW, message(3), SNAPSHOT, message(4));
  assert.equal(story, ["batch 1,2"]);
  release();
  await settle();
  assert.equal(story.slice(1), ["taken 2: 2", "event unblocked", "batch 3"]);
  release();
  await settle();
  assert.equal(story.slice(4), ["taken 3", "snapshot 5", "batch 4"]);
});

test("who iterates gets everything in its place, and has taken a message when it asks for more", async () => {
  const { inbox, story, give } = made();
  give(message(1), VIEW, message(2));
  const types: (string | undefined)[] = [];
  for (let count = 0; count < 3; count++) {
    const { value } = await inbox.next();
    types.push(value?.type);
    story.push(`got ${value?.type}`);
  }
  assert.equal(types, ["message", "unblocked", "message"]);
  assert.equal(story, ["got message", "taken 1", "got unblocked", "got message"]);
  void inbox.next();
  assert.is(story.at(-1), "taken 2");
});

test("a snapshot is taken when everything before it was taken, and before anything after it", async () => {
  const { inbox, story, give } = made();
  void inbox.next();
  give(message(1), SNAPSHOT, message(2));
  await settle();
  assert.equal(story, [], "the application is working on the first message");
  void inbox.next();
  assert.equal(story, ["taken 1", "snapshot 5"]);
});

test("a snapshot waits for its place when there is a state and a message before it", () => {
  const { story, give } = made();
  give(VIEW, message(1), SNAPSHOT);
  assert.equal(story, []);
});

test("a snapshot is taken at once when there is no state, or nobody has asked for anything yet", () => {
  const stateless = made({ stateful: false });
  stateless.give(VIEW, message(1), SNAPSHOT);
  assert.equal(stateless.story, ["snapshot 5"]);
  const fresh = made();
  fresh.give(VIEW, SNAPSHOT);
  assert.equal(fresh.story, ["snapshot 5"]);
});

test("a state is replaced in its place: behind what came before, ahead of what follows", async () => {
  const { story, release, give } = made({ onMessages: true, onEvent: true });
  give(
    message(1),
    { type: "restore", snapshot: new Uint8Array(3), own: false, position: 0 },
    VIEW,
    message(2),
  );
  release();
  await settle();
  assert.equal(story, ["batch 1", "taken 1", "restore 3", "restored", "event unblocked", "batch 2"]);
});

test("events that matter are never dropped, others beyond eventsMax are, and counted", async () => {
  const { inbox, give } = made({ eventsMax: 16 });
  give(...Array.from({ length: 20 }, () => WARNING), VIEW);
  assert.is(inbox.dropped, 4);
  const types: (string | undefined)[] = [];
  for (let count = 0; count < 17; count++) types.push((await inbox.next()).value?.type);
  assert.equal(types, [...new Array(16).fill("warning"), "unblocked"]);
});

test("what an application does to its batch does not change what it has taken", () => {
  const taken: string[] = [];
  const owner = {
    ...made().owner,
    consumed: (_stream: unknown, sequence: number, count: number) => void taken.push(`${count}: ${sequence}`),
  };
  const empty: OnMessages = (batch) => void (batch as Message[]).splice(0);
  const inbox = new Inbox(owner, empty, undefined, 16);
  const outputs = new Outputs();
  for (const sequence of [1, 2, 3]) outputs.push(message(sequence), undefined);
  inbox.outputs(outputs);
  assert.equal(taken, ["3: 3"]);
});

test("a value that cannot be decoded is passed over, and counts as taken", async () => {
  const { inbox, story, give } = made();
  give(message(1, UNDECODABLE), message(2));
  assert.is((await inbox.next()).value?.type, "message");
  assert.equal(story, ["taken 1"]);
  const batches = made({ onMessages: true });
  batches.give(message(1), message(2, UNDECODABLE));
  batches.release();
  await settle();
  assert.equal(batches.story, ["batch 1", "taken 1", "taken 2"]);
});

test("a value that cannot be decoded counts as taken in its turn, not while the application works on one before it", async () => {
  const { inbox, story, give } = made();
  const first = inbox.next();
  give(message(1), message(2, UNDECODABLE), message(3), message(4, UNDECODABLE));
  await first;
  assert.equal(story, []);
  await inbox.next();
  assert.equal(story, ["taken 1", "taken 2"]);
  inbox.close();
  assert.equal(story, ["taken 1", "taken 2", "taken 3", "taken 4"]);
});

test("nothing comes after close, and who waits is told the end or the error", async () => {
  const { inbox, give } = made();
  const waiting = inbox.next();
  inbox.close();
  give(message(1));
  assert.equal([(await waiting).done, (await inbox.next()).done, inbox.waiting], [true, true, 0]);
  const failed = made().inbox;
  const rejected = failed.next().then(() => "ended", (error) => String(error));
  failed.close("broken");
  assert.is(await rejected, "broken");
});

test("a command keeps its place, is shown to nobody, and is not the application's to take", async () => {
  const { inbox, story, give } = made();
  give(message(1), message(2, Command.open(9)), message(3));
  const values: unknown[] = [];
  for (let count = 0; count < 2; count++) {
    const { value } = await inbox.next();
    if (value?.type === "message") values.push(value.value);
  }
  assert.equal(values, [1, 3]);
  assert.equal(story, ["taken 1", "passed 2"]);
  const batches = made({ onMessages: true });
  batches.give(message(1), message(2, Command.open(9)), message(3), VIEW, message(4, Command.open(9)));
  batches.release();
  await settle();
  assert.equal(batches.story, ["batch 1,3", "taken 1", "passed 2", "taken 3", "passed 4"]);
});

test("events wait aside for whoever will iterate when nobody need, and hold up nothing", async () => {
  const { inbox, story, give } = made({ unattended: true });
  give(VIEW, message(1, Command.open(9)), VIEW, message(2, Command.open(9)), SNAPSHOT);
  assert.equal(story, ["passed 1", "passed 2", "snapshot 5"]);
  for (let count = 0; count < 20; count++) give(VIEW);
  assert.is(inbox.dropped, 6);
  assert.is((await inbox.next()).value, VIEW);
});

test.run();

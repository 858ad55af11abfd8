/** What a sender tells of messages of a life that is over for the machine, and not yet for the application. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Deadlines } from "../../../core/base/deadlines.ts";
import type { Incarnation, MemberName } from "../../../core/base/ids.ts";
import { Message } from "../../../core/group/events.ts";
import type { GroupMachine } from "../../../core/group/machine.ts";
import type { Driver } from "../../../core/runtime/driver.ts";
import type { Environment } from "../../../core/runtime/environment.ts";
import { Sender } from "../../../core/runtime/sender.ts";

const test = suite("runtime/sender");

const NAME = "P1" as MemberName;
const OLD = 7 as Incarnation;
const NEW = 8 as Incarnation;

test("a message that was delivered before an eviction has its place, though the machine is in its next life", async () => {
  const state = {
    config: { name: NAME, order: "total", level: "agreed", limits: { windowMessages: 10 } },
    incarnation: OLD,
  };
  const sender = new Sender({
    machine: { state } as unknown as GroupMachine,
    driver: { deadlines: new Deadlines(), wake: () => {} } as unknown as Driver,
    environment: { now: () => 0 } as Environment,
    trace: undefined,
    checkOpen: () => {},
  });
  const first = sender.whenPlaced(OLD, 1, Infinity, undefined);
  const second = sender.whenPlaced(OLD, 2, Infinity, undefined);
  state.incarnation = NEW;
  const next = sender.whenPlaced(NEW, 1, Infinity, undefined);

  const message = new Message(NAME, OLD, 1, 1, "delivered", true);
  message.position = 30;
  assert.ok(sender.placed(message, 4));
  sender.settlePlaces();
  assert.equal(await first, { position: 30, view: 4, level: "agreed" });
  sender.evicted(OLD, 1);
  assert.is((await second.catch((error) => error)).code, "Excluded");

  const stale = new Message(NAME, OLD, 2, 1, "of a former life", true);
  assert.is(sender.placed(stale, 5), false);
  const own = new Message(NAME, NEW, 1, 2, "of this life", true);
  own.position = 31;
  assert.ok(sender.placed(own, 5));
  sender.settlePlaces();
  assert.is((await next).position, 31);
});

test.run();

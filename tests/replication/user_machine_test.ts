/** Machines of an application that do not keep to their contract. */
import process from "node:process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { TuttiError } from "../../core/base/errors.ts";
import { UserMachine } from "../../core/replication/user_machine.ts";
import { encoded, listMachine } from "./commands.ts";

const test = suite("replication/user machine");

test("a machine that works later is refused, and what it is rejected with harms nobody", async () => {
  let ended = 0;
  const later = async (): Promise<never> => {
    await undefined;
    ended++;
    throw new Error("as wished");
  };
  const unhandled: unknown[] = [];
  const heard = (reason: unknown): void => void unhandled.push(reason);
  process.on("unhandledRejection", heard);
  const machine = new UserMachine({ apply: later, query: later, snapshot: later, restore: later }, 100);
  const snapshot = new Uint8Array(
    [...new UserMachine(listMachine(), 100).capture().chunks].flatMap((c) => [...c]),
  );
  refuses("apply", () => machine.apply(encoded(1), 1));
  refuses("query", () => machine.query(encoded(1)));
  refuses("snapshot", () => machine.capture());
  refuses("restore", () => machine.restore(snapshot));
  // Of rejections that nobody takes the process is told before its next timer.
  await new Promise((resolve) => setTimeout(resolve));
  process.off("unhandledRejection", heard);
  assert.is(ended, 4);
  assert.equal(unhandled, []);
});

function refuses(what: string, call: () => unknown): void {
  try {
    call();
  } catch (error) {
    assert.instance(error, TuttiError);
    assert.is((error as TuttiError).code, "Unencodable");
    assert.match((error as TuttiError).message, new RegExp(`: ${what} returned a promise`));
    return;
  }
  assert.unreachable(`${what} was taken`);
}

test.run();

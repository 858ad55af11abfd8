/** What a durable group of one has sent when its member leaves is on the disk, or nobody says that it is. */
import * as assert from "uvu/assert";
import { type Group, memoryStore, type Store, type StoreWrite } from "@tutti/tutti";
import { DEADLINE_MS, fails, groupSuite, member, Reader, until } from "./members.ts";

const test = groupSuite("group/durable close");

/** The only member of a group, with a reader. */
async function alone(store: Store): Promise<{ group: Group; reader: Reader }> {
  const group = await member("P1", [], { order: "total", level: "durable", store });
  const reader = new Reader(group);
  await group.ready({ deadline: DEADLINE_MS });
  return { group, reader };
}

/** What a member that comes back with this store delivers. */
async function kept(store: Store): Promise<unknown[]> {
  const { group, reader } = await alone(store);
  await until("it goes on", () => (group.view?.number ?? 0) > 1);
  await (await group.send("end")).placed;
  await until("all is delivered", () => reader.values.at(-1) === "end");
  await group.close({ deadline: 0 });
  return reader.values.slice(0, -1);
}

/** A store whose writes end when they are let go. */
class SlowStore implements Store {
  readonly disk = memoryStore();
  /** Ends the writes that are on their way; `undefined` while the disk is fast. */
  waiting: (() => void)[] | undefined = undefined;

  load(): ReturnType<Store["load"]> {
    return this.disk.load();
  }

  async write(write: StoreWrite): Promise<void> {
    const { waiting } = this;
    if (waiting !== undefined) await new Promise<void>((go) => void waiting.push(go));
    await this.disk.write(write);
  }

  go(): void {
    const { waiting } = this;
    this.waiting = undefined;
    for (const go of waiting ?? []) go();
  }
}

for (const deadline of [undefined, 0]) {
  test(`a message sent just before its only member leaves is on the disk, with the deadline ${deadline}`, async () => {
    const store = memoryStore();
    const { group } = await alone(store);
    await (await group.send("first")).placed;
    const receipt = group.offer("second");
    const closing = group.close({ ...(deadline === undefined ? {} : { deadline }) });
    await receipt?.stable;
    assert.is((await receipt?.placed)?.position, 2);
    assert.is((await closing).unconfirmed, 0);
    assert.equal(await kept(store), ["first", "second"]);
  });
}

test("nothing is stable before it is on the disk, although its only member leaves meanwhile", async () => {
  const store = new SlowStore();
  const { group } = await alone(store);
  await (await group.send("first")).placed;
  store.waiting = [];
  const second = await group.send("second");
  await until("it is on its way", () => store.waiting?.length === 1);
  const closing = group.close({ deadline: DEADLINE_MS });
  let stable = false;
  void second.stable.then(() => stable = true);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.not(stable);
  store.go();
  await second.stable;
  assert.equal(await kept(store.disk), ["first", "second"]); // as if the process had been killed at that moment
  assert.is((await closing).unconfirmed, 0);
});

test("a member that leaves without waiting for its disk says what is not there", async () => {
  const store = new SlowStore();
  const { group } = await alone(store);
  await (await group.send("first")).placed;
  store.waiting = [];
  const second = await group.send("second");
  await until("it is on its way", () => store.waiting?.length === 1);
  const third = group.offer("third");
  const report = group.close({ deadline: 0 });
  const lost = [second, third].map((receipt) => fails("Closed", () => receipt?.stable));
  assert.ok((await report).unconfirmed >= 2); // places count as well
  await Promise.all(lost);
});

test.run();

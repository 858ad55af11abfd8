/** The example S1 in total order, real processes: the same positions everywhere, and a group that outlives all of them. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { TOTAL_ORDER_PROPERTIES } from "@tutti/tutti/testing";
import { markCrash, readTraces, violations } from "../../examples/common/traces.ts";
import { clear, freePorts, freshFile, Run } from "./process.ts";

const test = suite("reliable multicast example, total order");

test.after(clear);

/** What a screen says was delivered, as `position sender text`, in the order in which it says so. */
function delivered(run: Run): string[] {
  const found = run.out.matchAll(/Message from (P\d): '(.*)' \(Lamport: \d+ -> \d+, position (\d+)/g);
  return [...found].map(([, sender, text, position]) => `${position} ${sender} ${text}`);
}

for (const engine of ["sequencer", "lamport"]) {
  test(`all deliver the same at the same positions, by ${engine}, and again after all were killed at once`, async () => {
    const ports = await freePorts(3);
    const store = freshFile();
    const names = ports.map((_, index) => `P${index + 1}`);
    const files = names.map(() => ({ journal: freshFile(), trace: freshFile() }));
    const start = (): Run[] =>
      ports.map((port, index) => {
        const { journal, trace } = files[index];
        const others = ports.filter((other) => other !== port);
        const order = ["--order", "total", "--engine", engine, "--store", store];
        return new Run([names[index], port, ...others, ...order, "--journal", journal, "--trace", trace]);
      });
    /** Each says something; waits until all have everything. */
    const talk = async (runs: readonly Run[], from: number, count: number): Promise<string[]> => {
      for (let number = from; number < from + count; number++) {
        for (const [index, run] of runs.entries()) run.type(`send line ${number} of ${names[index]}\n`);
      }
      for (const run of runs) {
        for (const name of names) {
          await run.shows(`Message from ${name}: 'line ${from + count - 1} of ${name}'`);
        }
      }
      for (const [index, run] of runs.entries()) {
        await run.shows(
          new RegExp(`Message (P\\S+ to )?${names[index]}_${from + count - 1} confirmed by all`),
        );
      }
      const [first, ...others] = runs.map(delivered);
      for (const other of others) assert.equal(other, first);
      return first;
    };

    let runs = start();
    await runs[0].shows(`order total (${engine}, durable, store in `);
    const before = await talk(runs, 1, 20);
    assert.is(before.length, 60);
    for (const run of runs) run.signal("SIGKILL");
    for (const run of runs) await run.ends();
    for (const [index, name] of names.entries()) markCrash(files[index].trace, name, "multicast");

    runs = start();
    const after = await talk(runs, 21, 5);
    assert.is(after.length, 15, "what the journals have is not delivered again");
    const positions = [...before, ...after].map((line) => Number(line.split(" ")[0]));
    assert.ok(positions.every((position, index) => index === 0 || position > positions[index - 1]));
    for (const run of runs) run.type("quit\n");
    for (const run of runs) assert.is(await run.ends(), 0);
    const lines = readTraces(files.map(({ trace }) => trace)).filter((line) =>
      "g" in line && line.g === "multicast"
    );
    const end = { e: "end", correct: names } as const;
    assert.equal(violations([...lines, end], ["integrity", "fifo", ...TOTAL_ORDER_PROPERTIES.durable]), []);
  });
}

test("without journals the group on disk is delivered again from the first message on", async () => {
  const [a, b] = await freePorts(2);
  const store = freshFile();
  const start = (): Run[] =>
    [["P1", a, b], ["P2", b, a]].map((args) => new Run([...args, "--order", "total", "--store", store]));
  let runs = start();
  runs[0].type("send one\n");
  runs[1].type("send two\n");
  for (const run of runs) for (const text of ["one", "two"]) await run.shows(`'${text}' (Lamport: `);
  const before = delivered(runs[0]);
  for (const run of runs) run.signal("SIGKILL");
  for (const run of runs) await run.ends();
  runs = start();
  runs[1].type("send three\n");
  for (const run of runs) {
    await run.shows("Message from P2: 'three'");
    assert.equal(delivered(run).slice(0, 2), before);
    assert.match(run.out, /, from disk\)/);
    run.type("quit\n");
  }
  for (const run of runs) assert.is(await run.ends(), 0);
});

test.run();

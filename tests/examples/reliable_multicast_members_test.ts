/** The example S1, real processes: who joins, leaves, is killed, is stopped, and what becomes of the messages. */
import { appendFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { markCrash, readTraces, violations } from "../../examples/common/traces.ts";
import { account, isRight, PROMISES } from "../../examples/reliable_multicast/verdict.ts";
import { freeUdpPort } from "../transports/free_endpoints.ts";
import { clear, freePorts, freshFile, Run } from "./process.ts";

const test = suite("reliable multicast example, members");

test.after(clear);

/** A process with its files, over all its lives. */
class Node {
  readonly name: string;
  readonly journal: string = freshFile();
  readonly trace: string = freshFile();
  /** Every line that it has accepted. */
  typed: string[] = [];
  run: Run;
  readonly #args: readonly string[];

  constructor(name: string, ports: readonly string[], options: readonly string[] = []) {
    this.name = name;
    const files = ["--journal", this.journal, "--trace", this.trace];
    this.#args = [name, ...ports, "--order", "causal", ...files, ...options];
    this.run = new Run(this.#args);
  }

  /** Types lines to be sent. */
  say(count: number): void {
    for (let made = 0; made < count; made++) {
      const line = `line ${this.typed.length + 1} of ${this.name}`;
      this.typed.push(line);
      this.run.type(`send ${line}\n`);
    }
  }

  /** Waits until its last line is confirmed by all, and so all before it. */
  async confirmed(): Promise<void> {
    await this.run.shows(
      new RegExp(`Message (P\\S+ to )?${this.name}_${this.typed.length} confirmed by all`),
    );
  }

  /** Waits until others are in the group with it. @param from Characters to skip. */
  async sees(others: readonly Node[], from: number = 0): Promise<void> {
    for (const { name } of others) {
      if (name !== this.name) await this.run.shows(`[CONNECTION  ] ${name} at `, from);
    }
  }

  async kill(): Promise<void> {
    this.run.signal("SIGKILL");
    await this.run.ends();
    // As a kill in the middle of a write leaves it.
    appendFileSync(this.journal, `{"e":"deliver","id":"P`);
    markCrash(this.trace, this.name, "multicast");
  }

  /** Starts it again. What it had not accepted counts as never typed. */
  async restart(): Promise<void> {
    this.run = new Run(this.#args);
    const pattern = /last own message P\d_(\d+),|nothing sent yet/;
    await this.run.shows(pattern);
    this.typed.length = Number(pattern.exec(this.run.out)?.[1] ?? 0);
  }
}

async function trio(
  ports: readonly string[] = [],
  options: readonly string[] = [],
): Promise<{ nodes: Node[]; ports: readonly string[] }> {
  if (ports.length === 0) ports = await freePorts(4);
  const founders = ports.slice(0, 3);
  const nodes = founders.map((port, index) =>
    new Node(`P${index + 1}`, [port, ...founders.filter((other) => other !== port)], options)
  );
  for (const node of nodes) await node.sees(nodes);
  return { nodes, ports };
}

/** Everybody quits; the files must tell of every line exactly once, in order, everywhere, and of no broken promise. */
async function judge(nodes: readonly Node[]): Promise<void> {
  for (const node of nodes) await node.confirmed();
  for (const { run } of nodes) run.type("quit\n");
  for (const { run } of nodes) assert.is(await run.ends(), 0);
  const typed = new Map(nodes.map((node) => [node.name, node.typed]));
  for (const { name, journal } of nodes) {
    const found = account(name, journal, typed);
    assert.ok(isRight(found), JSON.stringify(found));
  }
  const end = { e: "end", correct: nodes.map(({ name }) => name) } as const;
  const lines = readTraces(nodes.map(({ trace }) => trace));
  assert.equal(violations([...lines, end], PROMISES), []);
}

test("a fourth process joins a running group by one of its members, and has the history", async () => {
  const { nodes, ports } = await trio();
  for (const node of nodes) node.say(20);
  for (const node of nodes) await node.confirmed();
  const fourth = new Node("P4", [ports[3], ports[1]]);
  for (const node of nodes) node.say(20);
  await fourth.sees(nodes);
  fourth.say(1);
  for (const node of [...nodes, fourth]) await node.confirmed();
  await fourth.run.shows(/Message from P3: 'line 1 of P3' \(Lamport: \d+, history\)/);
  await fourth.run.shows(/\d+ messages of the history were new/);
  for (const node of nodes) await node.run.shows("Message from P4: 'line 1 of P4'");
  await judge([...nodes, fourth]);
});

test("a process joins although it lists more than are there, and founds nothing when it may only join", async () => {
  const [a, b, c, d] = await freePorts(4);
  const shy = new Run(["P4", d, a, b, c, "--expect", "0"]);
  const more = new Run(["P3", c, a, b, d]);
  shy.type("members\n");
  await shy.shows("Members: none; this process is not in a group yet");
  const first = new Run(["P1", a, b]);
  const second = new Run(["P2", b, a]);
  for (const run of [shy, more]) await run.shows("[CONNECTION  ] P1 at ");
  first.type("send hello\n");
  for (const run of [second, shy, more]) await run.shows("Message from P1: 'hello'");
  for (const run of [shy, more, second, first]) {
    run.type("quit\n");
    assert.is(await run.ends(), 0);
  }
});

test("what a founder is told to send waits for the others, even if it is told to quit at once", async () => {
  const [a, b, c] = (await freePorts(3)).sort((x, y) => Number(x) - Number(y));
  const first = new Run(["P1", a, b, c]); // the lowest address founds
  first.type("send hello\nquit\n");
  const others = [new Run(["P2", b, a, c]), new Run(["P3", c, a, b])];
  for (const run of others) await run.shows(/Message from P1: 'hello' \(Lamport: 1 -> 2\)/);
  assert.is(await first.ends(), 0);
  assert.match(first.out, /Message P1_1 confirmed by all/);
  for (const run of others) {
    run.type("quit\n");
    assert.is(await run.ends(), 0);
  }
});

test("members shows the view, in order of seniority, who leads and which is this process", async () => {
  const [a, b] = await freePorts(2);
  const first = new Run(["P1", a, b, "--election", "bully"]);
  const second = new Run(["P2", b, a, "--election", "bully"]);
  for (const run of [first, second]) await run.shows(/View 2: /);
  for (const run of [first, second]) run.type("members\n");
  await first.shows(
    /Members of view 2, the most senior first:\n {2}1\. P\d at tcp:\S+ \(.*\n {2}2\. P\d at tcp:\S+/,
  );
  await second.shows(/ {2}\d\. P2 at tcp:\S+ \(.*this process\)/);
  assert.match(first.out, / {2}\d\. P1 at tcp:\S+ \(.*this process\)/);
  assert.is([...first.out.matchAll(/^ {2}\d\. .*\(leads/gm)].length, 1);
  first.type("help\n");
  await first.shows("  members          show who is in the group");
  for (const run of [first, second]) {
    run.type("quit\n");
    assert.is(await run.ends(), 0);
  }
});

test("who quits is gone at once, and what is sent next is confirmed without it", async () => {
  const { nodes } = await trio();
  const [first, second, third] = nodes;
  third.run.type("quit\n");
  assert.is(await third.run.ends(), 0);
  for (const node of [first, second]) await node.run.shows("[CONNECTION  ] P3 has left");
  first.say(1);
  await first.confirmed();
  assert.not.match(first.run.out + second.run.out, /suspected|evicted|Blocked/);
  first.run.type("quit\n");
  assert.is(await first.run.ends(), 0);
  await second.run.shows("[CONNECTION  ] P1 has left");
  second.say(1);
  await second.confirmed();
  second.run.type("quit\n");
  assert.is(await second.run.ends(), 0);
});

test("every line is delivered exactly once and in order over kills and restarts under load", async () => {
  const { nodes } = await trio();
  for (const victim of [nodes[1], nodes[0], nodes[2], nodes[1]]) {
    const others = nodes.filter((node) => node !== victim);
    const from = victim.run.out.length;
    for (const node of nodes) node.say(300);
    await victim.run.shows("[RECEIVE", from);
    const marks = others.map(({ run }) => run.out.length);
    await victim.kill();
    for (const node of others) node.say(50);
    await victim.restart();
    for (const [index, node] of others.entries()) await node.sees([victim], marks[index]);
    await victim.sees(others);
  }
  for (const node of nodes) node.say(1);
  await judge(nodes);
});

test("over UDP a fourth process joins, one is killed under load and comes back, and no line is lost", async () => {
  const ports: string[] = [];
  while (ports.length < 4) ports.push(String(await freeUdpPort()));
  const options = ["--transport", "udp"];
  const { nodes } = await trio(ports, options);
  for (const node of nodes) node.say(100);
  nodes.push(new Node("P4", [ports[3], ports[1]], options));
  const [first, second, third, fourth] = nodes;
  assert.match(fourth.run.out + first.run.out, /udp at udp:\/\/127\.0\.0\.1:/);
  await fourth.sees(nodes.slice(0, 3));
  fourth.say(10);
  for (const node of nodes) await node.confirmed();
  const marks = nodes.map(({ run }) => run.out.length);
  for (const node of nodes) node.say(300);
  await third.run.shows("[RECEIVE", marks[2]);
  await third.kill();
  for (const node of [first, second, fourth]) node.say(50);
  await third.restart();
  for (const [index, node] of nodes.entries()) await node.sees([third], marks[index]);
  for (const node of nodes) node.say(1);
  await judge(nodes);
});

test("the others go on without a process that was killed, and it has what it missed when it is back", async () => {
  const { nodes } = await trio();
  const [first, second, third] = nodes;
  for (const node of nodes) node.say(10);
  for (const node of nodes) await node.confirmed();
  await first.kill(); // who leads
  for (const node of [second, third]) {
    await node.run.shows("P1 was evicted: it was silent for too long");
    node.say(10);
  }
  for (const node of [second, third]) await node.confirmed();
  await first.restart();
  await first.run.shows(/20 messages of the history were new/);
  first.say(1);
  await judge(nodes);
});

test("a process that is stopped is evicted, joins again by itself, and sends what was not delivered", async () => {
  const { nodes } = await trio();
  const [, second, third] = nodes;
  for (const victim of [nodes[0], second]) {
    const others = nodes.filter((node) => node !== victim);
    const from = victim.run.out.length;
    const marks = others.map(({ run }) => run.out.length);
    for (const node of nodes) node.say(200);
    await victim.run.shows("[SEND", from);
    victim.run.signal("SIGSTOP");
    victim.say(100);
    for (const [index, node] of others.entries()) {
      await node.run.shows(`${victim.name} was evicted`, marks[index]);
      node.say(100);
    }
    for (const node of others) await node.confirmed();
    victim.run.signal("SIGCONT");
    await victim.run.shows("This process was evicted", from);
    victim.say(10);
    for (const node of nodes) await node.confirmed();
  }
  assert.is(third.typed.length, 600);
  await judge(nodes);
});

test("a minority waits: what it is told to send is sent once enough are back", async () => {
  const { nodes } = await trio();
  const [first, second, third] = nodes;
  for (const node of [first, second]) node.run.signal("SIGSTOP");
  await third.run.shows("Blocked: too few members are heard");
  third.say(3);
  third.run.type("stats\n");
  await third.run.shows("pending_messages:    3");
  assert.not.match(third.run.out, /Message 'line 1 of P3' sent/);
  for (const node of [first, second]) node.run.signal("SIGCONT");
  await third.confirmed();
  assert.match(third.run.out, /Unblocked: enough members are heard again/);
  for (const node of [first, second]) node.say(1);
  await judge(nodes);
});

test.run();

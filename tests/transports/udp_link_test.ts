/**
 * The handshake of the UDP adapter between two links in virtual time: loss, restarts, and multicast that comes and
 * goes.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Random } from "../../core/base/random.ts";
import { parseEndpoint } from "../../transports/udp/endpoint.ts";
import { type Boot, type Control, Kind } from "../../transports/udp/frames.ts";
import { Link, type LinkPorts } from "../../transports/udp/link.ts";

const test = suite("udp link");
const SILENCE_MS = 1500;
const PROBE_MS = 250;

/** A member with one link, driven as the adapter drives it. */
class Side {
  readonly link: Link;
  readonly changes: boolean[] = [];
  readonly port: number;
  readonly peerPort: number;
  readonly fanOut: boolean;
  readonly boot: Boot;
  nonces: number[] = [];
  probeAtMs = 0;

  constructor(boot: Boot, port: number, peerPort: number, fanOut = false) {
    this.boot = boot;
    this.port = port;
    this.peerPort = peerPort;
    this.fanOut = fanOut;
    let nonce = boot * 1000;
    const ports: LinkPorts = {
      silenceMs: SILENCE_MS,
      fanOut,
      probe: (asked) => void this.nonces.push(asked),
      nonce: () => ++nonce,
      lived: () => {},
      changed: (link) => void this.changes.push(link.up),
    };
    this.link = new Link(parseEndpoint(`udp://10.0.0.1:${peerPort}`, "reach"), boot * 7, ports);
  }

  frame(kind: Control["kind"], change: Partial<Control> = {}): Control {
    const { boot, port, fanOut: deaf } = this;
    return { boot, host: "10.0.0.1", port, deaf, final: false, ...this.link.hello(), ...change, kind };
  }
}

/** Two members and the network between them. */
class World {
  readonly random: Random;
  now = 0;
  lossRate = 0;
  /** Whether multicast passes, by sender. */
  multicast: [boolean, boolean] = [true, true];
  sides: [Side, Side];
  #flying: { atMs: number; arrive: () => void }[] = [];

  constructor(seed: number, fanOut: readonly [boolean, boolean] = [false, false]) {
    this.random = new Random(seed);
    this.sides = [new Side(11, 1, 2, fanOut[0]), new Side(22, 2, 1, fanOut[1])];
  }

  restart(index: 0 | 1, boot: Boot): void {
    const { port, peerPort, fanOut } = this.sides[index];
    this.sides[index] = new Side(boot, port, peerPort, fanOut);
  }

  get bothUp(): boolean {
    return this.sides.every(({ link }) => link.up);
  }

  run(milliseconds: number): void {
    for (const endMs = this.now + milliseconds; this.now < endMs; this.now++) {
      const due = this.#flying.filter(({ atMs }) => atMs <= this.now);
      this.#flying = this.#flying.filter(({ atMs }) => atMs > this.now);
      for (const { arrive } of due) arrive();
      for (const index of [0, 1] as const) this.#tick(index);
    }
  }

  until(condition: () => boolean, withinMs: number, what: string): number {
    const startedMs = this.now;
    while (!condition()) {
      assert.ok(this.now - startedMs < withinMs, `${what}, within ${withinMs} ms`);
      this.run(1);
    }
    return this.now - startedMs;
  }

  unicast(to: 0 | 1, frame: Control): void {
    const source = { address: frame.host, port: frame.port };
    this.#fly(() => {
      const { link } = this.sides[to];
      if (frame.echo !== link.token) {
        const answer = this.sides[to].frame(Kind.answer, { token: link.token, echo: frame.token });
        if (frame.kind === Kind.hello) this.unicast(to === 0 ? 1 : 0, answer);
      } else if (frame.kind === Kind.hello) link.receiveHello(frame, source, this.now);
      else if (frame.kind === Kind.answer) link.receiveAnswer(frame, this.now);
      else link.receiveBye(frame.boot, frame.final, this.now);
    });
  }

  #tick(index: 0 | 1): void {
    const side = this.sides[index];
    const other = index === 0 ? 1 : 0;
    side.link.tick(this.now);
    if (this.now >= side.link.helloAtMs) {
      this.unicast(other, side.frame(Kind.hello));
      side.link.helloDone(this.now);
    }
    if (side.fanOut || (side.nonces.length === 0 && this.now < side.probeAtMs)) return;
    side.probeAtMs = this.now + PROBE_MS;
    const { nonces, boot, port } = side;
    side.nonces = [];
    if (!this.multicast[index]) return;
    this.#fly(() => {
      const { link } = this.sides[other];
      if (link.boot === boot) link.receiveProbe(nonces, { address: "10.0.0.1", port }, this.now);
    });
  }

  #fly(arrive: () => void): void {
    if (this.random.chance(this.lossRate)) return;
    this.#flying.push({ atMs: this.now + 1 + this.random.uint32() % 4, arrive });
  }
}

test("two members that reach for each other are up soon, without copies", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const world = new World(seed);
    const met = (): boolean => {
      assert.ok(world.sides.every(({ link }) => !link.copying), `seed ${seed}: copies were sent`);
      return world.bothUp;
    };
    assert.ok(world.until(met, 200, `seed ${seed}: they did not meet`) < 100);
  }
  const world = new World(1);
  world.run(20_000);
  assert.ok(world.sides.every(({ link }) => !link.copying));
  assert.ok(world.sides.every(({ changes }) => changes.join() === "true"), "it did not stay so");
});

test("they meet when three datagrams of ten are lost, with any seed", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const world = new World(seed);
    world.lossRate = 0.3;
    world.until(() => world.bothUp, 10_000, `seed ${seed}: they did not meet`);
    world.run(1000);
    world.lossRate = 0;
    world.until(() => world.bothUp && world.sides.every(({ link }) => !link.copying), 3000, `seed ${seed}`);
  }
});

test("where no multicast passes, copies take its place, one way or both; and when it passes, they end", () => {
  for (const passes of [[false, false], [true, false], [false, true]] as [boolean, boolean][]) {
    const world = new World(2);
    world.multicast = passes;
    world.until(() => world.bothUp, 2000, "they did not meet");
    assert.equal(world.sides.map(({ link }) => link.copying), passes.map((pass) => !pass));
    world.run(10_000);
    world.multicast = [true, true];
    world.until(() => world.sides.every(({ link }) => !link.copying), 1000, "copies went on");
    world.run(10_000);
    assert.ok(world.sides.every(({ changes }) => changes.join() === "true"), "they lost each other");
  }
});

test("when multicast stops passing, copies take its place before the peer is given up", () => {
  for (const index of [0, 1] as const) {
    const world = new World(3);
    world.until(() => world.bothUp, 200, "they did not meet");
    world.run(3000);
    world.multicast[index] = false;
    world.until(() => world.sides[index].link.copying, SILENCE_MS, "no copies were sent");
    world.run(10_000);
    assert.ok(world.sides.every(({ changes }) => changes.join() === "true"), "they lost each other");
    assert.not.ok(world.sides[1 - index].link.copying);
  }
});

test("a member without multicast meets one with it, by copies both ways", () => {
  for (const fanOut of [[true, false], [false, true], [true, true]] as [boolean, boolean][]) {
    const world = new World(4, fanOut);
    assert.ok(world.until(() => world.bothUp, 200, "they did not meet") < 100);
    assert.ok(world.sides.every(({ link }) => link.copying));
    world.run(10_000);
    assert.ok(world.sides.every(({ changes }) => changes.join() === "true"), "they lost each other");
  }
});

test("a restart is noticed at once, and the former life's late words change nothing", () => {
  const world = new World(5);
  world.until(() => world.bothUp, 200, "they did not meet");
  const late = world.sides[1].frame(Kind.hello);
  for (let boot = 30; boot < 40; boot++) {
    world.restart(1, boot);
    world.until(() => world.bothUp && world.sides[0].link.boot === boot, 1000, "they did not meet again");
    const [side] = world.sides;
    if (boot === 30) {
      side.link.receiveHello(late, { address: late.host, port: late.port }, world.now);
      assert.is(side.link.boot, boot);
    }
  }
});

test("a peer is taken back when somebody who reads the network has greeted in its name", () => {
  const world = new World(8);
  world.until(() => world.bothUp, 200, "they did not meet");
  const [{ link }, { boot }] = world.sides;
  world.unicast(0, world.sides[1].frame(Kind.hello, { boot: 666 }));
  world.until(() => link.boot === 666, 100, "the forged greeting was not believed");
  world.until(() => link.boot === boot && world.bothUp, 3 * SILENCE_MS, "the peer was not taken back");
});

test("a silent peer is given up, and not for the time in which this process was stopped", () => {
  const world = new World(6);
  world.until(() => world.bothUp, 200, "they did not meet");
  const [{ link }] = world.sides;
  link.excuse(60_000);
  link.tick(world.now + 60_000);
  assert.ok(link.up);
  link.tick(world.now + 60_000 + SILENCE_MS + 1);
  assert.not.ok(link.up);
});

test("after a final farewell what is on its way still counts, and then the life is over", () => {
  const world = new World(7);
  world.until(() => world.bothUp, 200, "they did not meet");
  const [{ link }, other] = world.sides;
  world.unicast(0, other.frame(Kind.bye, { final: true }));
  world.run(10);
  assert.ok(link.boot === other.boot && link.up);
  world.until(() => !link.up, 200, "the farewell was not heard");
  assert.is(link.boot, 0);
});

test.run();

/** The ZeroMQ adapter against malformed endpoints, hostile input (H33, H35, H49, H50, H12), and killed processes. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Context, Dealer, Publisher } from "zeromq";
import { TuttiError } from "../../core/base/errors.ts";
import { type Address, type Transport, zeromq, type ZeroMqOptions } from "../../transports/zeromq/mod.ts";
import { freePort, freeTcp, ipcEndpoints } from "./free_endpoints.ts";

interface Member {
  readonly transport: Transport;
  readonly address: Address;
  readonly packets: Uint8Array[];
  readonly up: Set<Address>;
  readonly drains: number;
}

const nextIpc = await ipcEndpoints();
const test = suite("zeromq faults");
const opened: Transport[] = [];
const children: Set<ChildProcess> = new Set();

test.after.each(async () => {
  for (const child of [...children]) await kill(child);
  await Promise.all(opened.splice(0).map((transport) => transport.close(300)));
});

async function member(options: Partial<ZeroMqOptions> = {}): Promise<Member> {
  const transport = zeromq({ listen: options.listen ?? await freeTcp(), silenceMs: 1500, ...options });
  opened.push(transport);
  const packets: Uint8Array[] = [];
  const up = new Set<Address>();
  let drains = 0;
  const address = await transport.open({
    packet: (bytes) => packets.push(bytes),
    drain: () => drains++,
    reachable: (peer, isUp) => isUp ? up.add(peer) : up.delete(peer),
  });
  return {
    transport,
    address,
    packets,
    up,
    get drains(): number {
      return drains;
    },
  };
}

async function until(condition: () => boolean, what: string, deadlineMs = 10_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`${what}, within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function meet(a: Member, b: Member): Promise<void> {
  a.transport.connect(b.address);
  b.transport.connect(a.address);
  await until(() => a.up.has(b.address) && b.up.has(a.address), "the members did not meet");
}

async function exchange(a: Member, b: Member): Promise<void> {
  for (const [from, to] of [[a, b], [b, a]]) {
    const count = to.packets.length;
    assert.is(from.transport.multicast(Uint8Array.of(0x54, 0x55, 1)), "sent");
    assert.is(from.transport.unicast(to.address, Uint8Array.of(0x54, 0x55, 2)), "sent");
    await until(() => to.packets.length >= count + 2, "packets did not pass");
  }
}

function code(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return error instanceof TuttiError ? error.code : String(error);
  }
  return "no error";
}

async function openCode(options: ZeroMqOptions): Promise<string> {
  try {
    await member(options);
  } catch (error) {
    return error instanceof TuttiError ? `${error.code} ${error.message}` : String(error);
  }
  return "no error";
}

test("zeromq throws InvalidAddress when an own endpoint cannot work", () => {
  for (
    const options of [
      { listen: "tcp://0.0.0.0:8001" },
      { listen: "tcp://*:8001" },
      { listen: "tcp://127.0.0.1:0" },
      { listen: "tcp://127.0.0.1:8001", advertise: "tcp://*:8001" },
      { listen: "tcp://127.0.0.1:8001", publish: "ipc:///tmp/x" },
      { listen: "tcp://127.0.0.1:8001", publish: "tcp://127.0.0.1:99999" },
      { listen: "ipc:///tmp/x", advertise: "tcp://127.0.0.1:1" },
      { listen: `ipc:///tmp/${"x".repeat(100)}` },
      { listen: undefined as unknown as string },
    ]
  ) assert.is(code(() => zeromq(options)), "InvalidAddress", JSON.stringify(options));
  assert.is(code(() => zeromq({ listen: "tcp://*:8001", advertise: "tcp://10.0.0.1:8001" })), "no error");
  for (const packetBytesMax of [0, 1023, 1.5, NaN, 2 ** 31]) {
    assert.is(code(() => zeromq({ listen: "tcp://127.0.0.1:1", packetBytesMax })), "InvalidArgument");
  }
});

test("open names the endpoint when a foreign server listens there", async () => {
  const port = await freePort();
  const server = createServer().listen(port, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const listen = `tcp://127.0.0.1:${port}`;
  const text = await openCode({ listen });
  const publishText = await openCode({ listen: await freeTcp(), publish: listen });
  await new Promise((resolve) => server.close(resolve));
  assert.match(text, /^AddressInUse/);
  assert.ok(text.includes(listen), text);
  assert.match(publishText, /^AddressInUse/);
  await member({ listen });
});

test("open works when a dead process left its ipc socket file, and never removes another file", async () => {
  const listen = nextIpc();
  // A listener that is killed leaves its file behind.
  const child = spawn(process.execPath, [
    ...("Deno" in globalThis ? ["eval"] : ["-e"]),
    `require("node:net").createServer().listen(${JSON.stringify(listen.slice(6))}, () => console.log("up"));`
      .replace(/^require\((.*?)\)/, `(await import("node:net"))`)
      .replace(/^/, "Deno" in globalThis ? "" : "(async () => {")
      .concat("Deno" in globalThis ? "" : "})()"),
  ], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  assert.match(await openCode({ listen }), /^AddressInUse/);
  await kill(child);
  await member({ listen });

  const file = join(await mkdtemp(join(tmpdir(), "tutti-")), "notes");
  await writeFile(file, "precious");
  assert.match(await openCode({ listen: `ipc://${file}` }), /^InvalidAddress .*not a socket/);
});

test("a wildcard listener is reached under its advertised address", async () => {
  const port = await freePort();
  const a = await member({ listen: `tcp://*:${port}`, advertise: `tcp://127.0.0.1:${port}` });
  const b = await member();
  await meet(a, b);
  await exchange(a, b);
});

test("garbage on every socket is counted and harms nobody", async () => {
  const publishPort = await freePort();
  const a = await member({ publish: `tcp://127.0.0.1:${publishPort}`, packetBytesMax: 65_536 });
  const b = await member();
  await meet(a, b);

  // Not ZMTP at all, to the ROUTER and to the PUB; cut, endless, and gone at once.
  const greeting = Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 0x4e, 0x55, 0x4c, 0x4c);
  for (const port of [Number(a.address.split(":")[2]), publishPort]) {
    for (const bytes of [new Uint8Array(0), new Uint8Array(100_000).fill(0xaa), greeting, Uint8Array.of(0)]) {
      await new Promise<void>((resolve) => {
        const socket = connect({ port, host: "127.0.0.1" }, () => socket.end(bytes));
        socket.on("error", () => {});
        socket.once("close", () => resolve());
        socket.resume();
        setTimeout(() => socket.destroy(), 200);
      });
    }
  }

  // ZMTP, but not ours: wrong numbers of parts, cut and unknown frames, an oversize message.
  const context = new Context();
  const dealer = new Dealer({ context, linger: 200, sendTimeout: 1000 });
  dealer.connect(a.address);
  const hello = new Uint8Array(60);
  hello.set([0x54, 0x5a, 0xf7, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
  const before = a.transport.stats().foreignFrames;
  let sent = 0;
  const send = async (message: Uint8Array | Uint8Array[]): Promise<void> => {
    await dealer.send(message);
    sent++;
  };
  await send([new Uint8Array(1), new Uint8Array(1)]);
  await send([new Uint8Array(0), new Uint8Array(0), new Uint8Array(0)]);
  await send(new Uint8Array(0));
  for (let bytes = 4; bytes < 60; bytes++) await send(hello.subarray(0, bytes));
  for (const kind of [1, 4, 255]) await send(hello.map((byte, index) => index === 4 ? kind : byte));
  await until(() => a.transport.stats().foreignFrames >= before + sent, "garbage was not counted");
  await dealer.send(new Uint8Array(200_000));
  dealer.close();
  // ZMTP 1.0 has no greeting, so some garbage is frames to libzmq, and a packet to whoever reads no further; telling
  // it from a group's packets is the group's task. None of it may be larger than allowed.
  assert.ok(a.packets.every((packet) => packet.byteLength <= 65_536 && packet.byteLength > 0));

  // A stranger that says hello properly is not taken for a peer.
  const stranger = await member();
  stranger.transport.connect(a.address);
  await until(() => a.transport.stats().unknownPeers > 0, "the stranger was not counted");
  assert.is(a.up.size, 1);
  await exchange(a, b);
});

test("garbage from a publisher is counted and harms nobody", async () => {
  // A peer of ours by its hello, whose PUB is somebody else's.
  const context = new Context();
  const publisher = new Publisher({ context, linger: 0, sendTimeout: 0 });
  await publisher.bind("tcp://127.0.0.1:*");
  const port = Number(publisher.lastEndpoint?.split(":")[2]);
  const a = await member();
  const b = await member();
  await meet(a, b);
  const fake = await freeTcp();
  a.transport.connect(fake as Address);
  const address = new TextEncoder().encode(fake);
  const hello = new Uint8Array(31 + address.length);
  hello.set([0x54, 0x5a, 0xf7, 1, 0, 9, 9, 9, 9, 9, 9, 9, 9]);
  const view = new DataView(hello.buffer);
  view.setUint16(25, port);
  view.setUint16(27, address.length);
  hello.set(address, 31);
  const dealer = new Dealer({ context, linger: 0, sendTimeout: 1000 });
  dealer.connect(a.address);
  await dealer.send(hello);
  const before = a.transport.stats().foreignFrames;
  await until(() => {
    publisher.send([new Uint8Array(2), new Uint8Array(2)]).catch(() => {});
    publisher.send(Uint8Array.of(0x54, 0x5a, 0xf7, 1, 7)).catch(() => {});
    return a.transport.stats().foreignFrames > before + 10;
  }, "garbage was not counted");
  dealer.close();
  publisher.close();
  assert.not.ok(a.up.has(fake as Address));
  await exchange(a, b);
});

test("a storm of connections and disconnections harms nobody (H12)", async () => {
  const a = await member();
  const b = await member();
  await meet(a, b);
  const port = Number(a.address.split(":")[2]);
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      Array.from({ length: 20 }, () =>
        new Promise<void>((resolve) => {
          const socket = connect({ port, host: "127.0.0.1" }, () => socket.destroy());
          socket.on("error", () => {});
          socket.once("close", () => resolve());
        })),
    );
  }
  await exchange(a, b);
});

test("an unread peer costs bounded memory: unicast answers full, and drain follows", async () => {
  const a = await member({ queuePacketsMax: 100 });
  const child = await spawnPeer(a);
  const b = child.address;
  signal(child.process, "SIGSTOP");
  let status = "sent";
  for (let index = 0; index < 5000 && status === "sent"; index++) {
    status = a.transport.unicast(b, new Uint8Array(65_536));
  }
  assert.is(status, "full");
  assert.is(a.drains, 0);
  signal(child.process, "SIGCONT");
  await until(() => a.drains > 0, "no drain followed the full");
  await until(() => a.transport.unicast(b, Uint8Array.of(0x54, 0x55)) === "sent", "no room came");
  await kill(child.process);
});

test("a killed and restarted process is reached again, five times", async () => {
  const a = await member();
  const listen = await freeTcp();
  for (let round = 0; round < 5; round++) {
    const child = await spawnPeer(a, listen);
    a.packets.length = 0;
    assert.is(a.transport.multicast(Uint8Array.of(0x54, 0x55, round)), "sent");
    assert.is(a.transport.unicast(child.address, Uint8Array.of(0x54, 0x55, 100 + round)), "sent");
    await until(
      () => a.packets.filter((packet) => packet[2] === round).length >= 1,
      "no echo of the multicast",
    );
    await until(() => a.packets.some((packet) => packet[2] === 100 + round), "no echo of the unicast");
    await kill(child.process);
    if (round % 2 === 0) await until(() => !a.up.has(child.address), "a killed process stayed reachable");
  }
});

test("a stopped process is given up and taken back when it goes on", async () => {
  const a = await member();
  const child = await spawnPeer(a);
  signal(child.process, "SIGSTOP");
  await until(() => !a.up.has(child.address), "a stopped process stayed reachable");
  assert.is(a.transport.unicast(child.address, Uint8Array.of(0x54, 0x55)), "unreachable");
  signal(child.process, "SIGCONT");
  await until(() => a.up.has(child.address), "the process was not taken back");
  a.packets.length = 0;
  a.transport.multicast(Uint8Array.of(0x54, 0x55, 7));
  await until(() => a.packets.some((packet) => packet[2] === 7), "no echo");
  await kill(child.process);
});

test("a process exits by itself after close, with packets left for a dead peer", async () => {
  const child = spawnScript(["exit", await freeTcp(), await freeTcp()]);
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  assert.is(await exit, 0);
});

test("twelve members in one process all reach each other", async () => {
  const members: Member[] = [];
  for (let index = 0; index < 12; index++) members.push(await member());
  for (const a of members) for (const b of members) if (a !== b) a.transport.connect(b.address);
  await until(() => members.every(({ up }) => up.size === 11), "not all met", 30_000);
  for (const { transport } of members) transport.multicast(Uint8Array.of(0x54, 0x55));
  await until(() => members.every(({ packets }) => packets.length === 11), "packets are missing");
});

test("open throws Unsupported on Bun, before it loads the addon", async () => {
  Object.defineProperty(globalThis, "Bun", { value: {}, configurable: true });
  try {
    assert.match(await openCode({ listen: await freeTcp() }), /^Unsupported Cannot open zeromq: Bun/);
  } finally {
    Reflect.deleteProperty(globalThis, "Bun");
  }
});

function spawnScript(parameters: readonly string[]): ChildProcess {
  const script = fileURLToPath(new URL("./zeromq_peer.ts", import.meta.url));
  const runtime = "Deno" in globalThis
    ? ["run", "-A", script]
    : ["--experimental-strip-types", "--no-warnings", script];
  const child = spawn(process.execPath, [...runtime, ...parameters], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

/** Starts a real process that sends everything back, and meets it. */
async function spawnPeer(a: Member, listen?: string): Promise<{ process: ChildProcess; address: Address }> {
  const address = (listen ?? await freeTcp()) as Address;
  a.up.delete(address);
  const child = spawnScript(["echo", address, a.address]);
  a.transport.connect(address);
  await until(() => a.up.has(address), "the process was not reached", 20_000);
  return { process: child, address };
}

/** By process id: Deno's `ChildProcess.kill` does nothing once it has delivered a first signal, such as SIGSTOP. */
function signal(child: ChildProcess, name: "SIGSTOP" | "SIGCONT" | "SIGKILL"): void {
  if (child.pid !== undefined) process.kill(child.pid, name);
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once("exit", resolve));
  signal(child, "SIGKILL");
  await gone;
}

test.run();

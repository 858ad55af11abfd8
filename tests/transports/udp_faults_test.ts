/**
 * The UDP adapter: its options (H61), its pace, networks without multicast, and processes that are killed or stopped.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { TuttiError } from "../../core/base/errors.ts";
import { type Address, udp, type UdpOptions } from "../../transports/udp/mod.ts";
import { freeMulticast, freeUdp, freeUdpPort } from "./free_endpoints.ts";
import { closeAll, exchange, GROUP, meet, type Member, member, until } from "./udp_members.ts";

const test = suite("udp faults");
const children: Set<ChildProcess> = new Set();

test.after.each(async () => {
  for (const child of [...children]) await kill(child);
  await closeAll();
});

function code(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return error instanceof TuttiError ? error.code : String(error);
  }
  return "no error";
}

async function openError(options: Partial<UdpOptions>): Promise<string> {
  try {
    await member(options);
  } catch (error) {
    return error instanceof TuttiError ? `${error.code} ${error.message}` : String(error);
  }
  return "no error";
}

// ---- options ----

test("udp throws InvalidAddress or InvalidArgument when an option cannot work (H61)", () => {
  const listen = "udp://127.0.0.1:5000";
  const wrong: Partial<UdpOptions>[] = [
    { listen: "udp://0.0.0.0:5000" }, // nobody can reach it, and no other is advertised
    { listen: "udp://*:5000" },
    { listen: "udp://127.0.0.1:0" },
    { listen: "udp://239.1.2.3:5000" },
    { listen: "tcp://127.0.0.1:5000" },
    { listen: undefined as unknown as string },
    { advertise: "udp://*:5000" },
    { multicast: "udp://127.0.0.1:5001" },
    { multicast: "udp://224.0.0.5:5001" },
    { multicast: "udp://239.255.1.1:0" },
    { multicast: true as unknown as string },
    { interface: "eth0" },
    { interface: "0.0.0.0" },
    { interface: "" },
  ];
  for (const options of wrong) {
    assert.is(code(() => udp({ listen, ...options })), "InvalidAddress", JSON.stringify(options));
  }
  const numbers: [keyof UdpOptions, number[]][] = [
    ["ttl", [-1, 256, 1.5, NaN]],
    ["datagramBytesMax", [511, 65_508]],
    ["packetBytesMax", [1023, (1 << 20) + 1]],
    ["bytesPerSecond", [9999, 1e11, Infinity]],
    ["burstBytes", [4095, 1 << 25]],
    ["queueBytesMax", [65_535, 2 ** 31]],
    ["receiveBufferBytes", [0, 2 ** 31]],
    ["sendBufferBytes", [0, 2 ** 31]],
    ["silenceMs", [1499, 600_001]],
  ];
  for (const [name, values] of numbers) {
    for (const value of values) {
      assert.is(code(() => udp({ listen, [name]: value })), "InvalidArgument", `${name}: ${value}`);
    }
  }
  assert.is(code(() => udp({ listen, loopback: 1 as unknown as boolean })), "InvalidArgument");
  for (
    const sound of [{ listen: "udp://*:5000", advertise: listen }, { multicast: "udp://224.1.1.1:5007" }]
  ) {
    assert.is(code(() => udp({ listen, ...sound })), "no error");
  }
});

test("traits say what fits into a datagram, and how multicast travels", () => {
  const listen = "udp://127.0.0.1:5000";
  const { traits } = udp({ listen });
  assert.equal(traits, {
    name: "udp",
    multicast: "native",
    lossy: true,
    packetBytesMax: 61_440,
    packetBytesBest: 1387,
  });
  assert.is(udp({ listen, multicast: false }).traits.multicast, "fan-out");
  assert.is(udp({ listen, datagramBytesMax: 9000, packetBytesMax: 2000 }).traits.packetBytesBest, 2000);
});

test("open says what is wrong when the system refuses", async () => {
  assert.match(
    await openError({ listen: `udp://10.255.255.1:${await freeUdpPort()}` }),
    /^InvalidAddress Cannot listen on "udp:\/\/10\.255\.255\.1/,
  );
  assert.match(
    await openError({ interface: "10.255.255.1" }),
    /^Unsupported Cannot open udp: multicast on the interface 10\.255\.255\.1/,
  );
  const zero = await openError({ ttl: 0 });
  if ("Deno" in globalThis) {
    assert.match(zero, /^Unsupported Cannot open udp: a ttl of 0 is refused by this runtime/);
  } else assert.is(zero, "no error");
  // Nothing of them is left: the same endpoint can be opened.
  const listen = await freeUdp();
  assert.match(await openError({ listen, interface: "10.255.255.1" }), /^Unsupported/);
  await member({ listen });
});

test("open names the endpoint when something else listens there, also at the multicast port", async () => {
  const socket = createSocket("udp4");
  const port = await freeUdpPort();
  await new Promise<void>((resolve) => socket.bind(port, "0.0.0.0", () => resolve()));
  const texts = [
    await openError({ listen: `udp://127.0.0.1:${port}` }),
    await openError({ multicast: `udp://239.255.84.86:${port}` }),
  ];
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  assert.match(texts[0], /^AddressInUse .*udp:\/\/127\.0\.0\.1:/);
  assert.match(texts[1], /^AddressInUse .*udp:\/\/239\.255\.84\.86:/);
  assert.ok(texts.every((text) => text.includes(String(port))), texts.join("\n"));
  await member({ listen: `udp://127.0.0.1:${port}` });
});

test("a wildcard listener is reached under its advertised address", async () => {
  const port = await freeUdpPort();
  const a = await member({
    listen: `udp://*:${port}`,
    advertise: `udp://127.0.0.1:${port}`,
    interface: "127.0.0.1",
  });
  const b = await member();
  await meet(a, b);
  await exchange(a, b);
});

// ---- pace ----

for (const bytes of [100, 1387, 60_000]) {
  test(`a burst of packets of ${bytes} bytes is not lost, waits in a bounded queue, and drains`, async () => {
    const queueBytesMax = 256 << 10;
    const a = await member({ queueBytesMax });
    const others = [await member(), await member()];
    await meet(a, ...others);
    const count = Math.ceil(6_000_000 / (bytes + 1000));
    let fulls = 0;
    for (let index = 0; index < count; index++) {
      const packet = new Uint8Array(bytes).fill(index);
      new DataView(packet.buffer).setUint32(0, index);
      while (a.transport.multicast(packet) === "full") {
        fulls++;
        assert.ok(a.stat("queuedBytesNow") <= queueBytesMax && a.stat("queuedBytesNow") > 0);
        const { drains } = a;
        await until(() => a.drains > drains, "no drain followed a full");
        assert.ok(a.stat("queuedBytesNow") <= queueBytesMax / 2, "it drained too early");
      }
    }
    assert.ok(fulls > 0, "the queue was never full");
    for (const { packets } of others) {
      await until(() => packets.length === count, () => `${packets.length} of ${count} packets arrived`);
      // The order may differ: Deno's sends overtake each other when the system is busy.
      const numbers = packets.map((packet) => new DataView(packet.buffer, packet.byteOffset).getUint32(0));
      numbers.sort((a, b) => a - b).forEach((number, index) => assert.is(number, index));
    }
    assert.is(a.drains, fulls);
  });
}

test("packets leave no faster than they may", async () => {
  const [a, b] = [await member({ bytesPerSecond: 1_000_000, burstBytes: 20_000 }), await member()];
  await meet(a, b);
  const started = performance.now();
  const count = 300; // each 1,000 bytes, the header, and what every datagram counts besides
  for (let index = 0; index < count; index++) {
    assert.is(a.transport.unicast(b.address, new Uint8Array(1000)), "sent");
  }
  await until(() => b.packets.length === count, () => `${b.packets.length} of ${count} packets arrived`);
  const leastMs = (count * (1000 + 13 + 512) - 22_000) / 1000;
  const tookMs = performance.now() - started;
  assert.ok(tookMs >= leastMs, `it took ${tookMs} ms, not ${leastMs} or more`);
});

test("what waits when an adapter is closed at once is dropped and counted", async () => {
  const [a, b] = [await member({ bytesPerSecond: 10_000, burstBytes: 4096 }), await member()];
  await meet(a, b);
  for (let index = 0; index < 50; index++) a.transport.unicast(b.address, new Uint8Array(1000));
  const started = performance.now();
  await a.transport.close(100);
  assert.ok(performance.now() - started < 5000, "close did not come back in time");
  assert.ok(a.stat("packetsDropped") > 40, `${a.stat("packetsDropped")} were dropped`);
  assert.is(a.stat("queuedBytesNow"), 0);
  await until(() => !b.up.has(a.address), "the peer was not told");
});

test("an unfinished packet is forgotten with its sender", async () => {
  const a = await member();
  const b = await member({ bytesPerSecond: 10_000, burstBytes: 4096 });
  await meet(a, b);
  b.transport.unicast(a.address, new Uint8Array(60_000));
  await until(() => a.stat("unfinishedPacketsNow") === 1, "no part came");
  a.transport.disconnect(b.address);
  assert.is(a.stat("unfinishedPacketsNow"), 0);
  assert.is(a.stat("unfinishedBytesNow"), 0);
});

test("nobody is given up for the time in which this process was busy", async () => {
  const [a, b] = [await member(), await member()];
  await meet(a, b);
  const endMs = performance.now() + 2000;
  while (performance.now() < endMs);
  await exchange(a, b);
  assert.ok(a.stat("stalls") > 0);
  assert.is(a.stat("losses") + b.stat("losses"), 0);
});

// ---- networks without multicast ----

/** Members whose multicast counts as lost only after long: on a busy machine a probe may be late. */
const patient = { silenceMs: 20_000 };

/** Waits until so many peers of each member get copies, and then passes every packet once. */
async function once(members: readonly Member[], copied: readonly number[]): Promise<void> {
  const now = (): number[] => members.map((each) => each.stat("copiedNow"));
  await until(() => now().join() === copied.join(), () => `${now()} peers get copies, not ${copied}`);
  for (const each of members) each.packets.length = 0;
  for (const [index, each] of members.entries()) {
    assert.is(each.transport.multicast(Uint8Array.of(0x54, 0x55, index, 0)), "sent");
    assert.is(each.transport.multicast(new Uint8Array(5000)), "sent");
  }
  const expected = 2 * (members.length - 1);
  await until(() => members.every(({ packets }) => packets.length >= expected), "packets are missing");
  for (const a of members) for (const b of members) if (a !== b) await exchange(a, b);
  for (const { packets } of members) {
    assert.is(
      packets.filter((packet) => packet.length === 5000).length,
      members.length - 1,
      "a packet came twice",
    );
  }
}

test("members that do not hear each other's multicast get copies", async () => {
  const alone = await member({ multicast: await freeMulticast(), ...patient });
  const members = [await member(patient), await member(patient), alone];
  await meet(...members);
  await once(members, [1, 1, 2]);
});

test("members on one machine meet when loopback is off, by copies unless the system loops back all the same", async () => {
  const members = [await member({ loopback: false }), await member({ loopback: false })];
  await meet(...members);
  await exchange(members[0], members[1]);
});

test("members with and without multicast work together", async () => {
  const without = { multicast: false as const, ...patient };
  const members = [
    await member(patient),
    await member(patient),
    await member(without),
    await member(without),
  ];
  await meet(...members);
  await once(members, [2, 2, 3, 3]);
});

test("twelve members in one process all reach each other by multicast alone", async () => {
  const members: Member[] = [];
  for (let index = 0; index < 12; index++) members.push(await member(patient));
  await meet(...members);
  await once(members, members.map(() => 0));
});

// ---- processes ----

test("a killed and restarted process is reached again", async () => {
  const a = await member();
  const listen = await freeUdp();
  for (let round = 0; round < 4; round++) {
    const child = await spawnPeer(a, listen);
    await echoes(a, child.address);
    await kill(child.process);
    if (round % 2 === 0) await until(() => !a.up.has(child.address), "a killed process stayed reachable");
    else a.up.delete(child.address);
  }
});

test("a stopped process is given up and taken back when it goes on", async () => {
  const a = await member();
  const child = await spawnPeer(a, await freeUdp());
  signal(child.process, "SIGSTOP");
  await until(() => !a.up.has(child.address), "a stopped process stayed reachable");
  const send = () => a.transport.unicast(child.address, Uint8Array.of(0x54, 0x55));
  await until(() => send() === "unreachable", "packets to a stopped process were accepted");
  signal(child.process, "SIGCONT");
  await until(() => a.up.has(child.address), "the process was not taken back");
  await echoes(a, child.address);
});

test("a process exits by itself after close, with packets left for a peer that was never there", async () => {
  const child = spawnScript(["exit", await freeUdp(), await freeUdp(), GROUP]);
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  assert.is(await exit, 0);
});

/** Packets of each size go there by multicast and unicast, and come back. */
async function echoes(a: Member, to: Address): Promise<void> {
  for (const bytes of [10, 1387, 1388, 61_440]) {
    for (
      const send of [
        (packet: Uint8Array) => a.transport.multicast(packet),
        (packet: Uint8Array) => a.transport.unicast(to, packet),
      ]
    ) {
      a.packets.length = 0;
      let again = 0;
      await until(() => {
        if (performance.now() >= again) {
          send(new Uint8Array(bytes).fill(7));
          again = performance.now() + 100;
        }
        return a.packets.some((packet) => packet.length === bytes && packet.every((byte) => byte === 7));
      }, `no echo of ${bytes} bytes`);
    }
  }
}

function spawnScript(parameters: readonly string[]): ChildProcess {
  const script = fileURLToPath(new URL("./udp_peer.ts", import.meta.url));
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
async function spawnPeer(a: Member, listen: string): Promise<{ process: ChildProcess; address: Address }> {
  const address = listen as Address;
  const handshakes = a.stat("handshakes");
  const child = spawnScript(["echo", listen, a.address, GROUP]);
  a.transport.connect(address);
  await until(
    () => a.stat("handshakes") > handshakes && a.up.has(address),
    "the process was not reached",
    30_000,
  );
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

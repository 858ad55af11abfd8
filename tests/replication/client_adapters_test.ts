/** Clients reach groups, and are answered, over each adapter. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { connect, join, replicatedCounter, replicatedMap, type Transport } from "@tutti/tutti";
import { zeromq } from "@tutti/tutti/zeromq";
import { udp } from "../../transports/udp/mod.ts";
import { DEADLINE_MS } from "../group/members.ts";
import { freeTcp, freeUdp, ipcEndpoints } from "../transports/free_endpoints.ts";

const test = suite("replication/client/adapters");
/** About every third one was not answered at once when answers had no way back yet. */
const CLIENTS = 12;
const nextIpc = await ipcEndpoints();

const adapters: readonly (readonly [
  name: string,
  next: () => string | Promise<string>,
  make: (listen: string) => Transport,
])[] = [
  ["zeromq tcp", freeTcp, (listen) => zeromq({ listen })],
  ["zeromq ipc", nextIpc, (listen) => zeromq({ listen })],
  ["udp", freeUdp, (listen) => udp({ listen })],
];

for (const [name, next, make] of adapters) {
  test(`a client calls a group over ${name}, and goes on when a member goes`, async () => {
    const addresses = await Promise.all([next(), next(), next()]);
    const groups = await Promise.all(addresses.map((listen, index) =>
      join({
        group: "test",
        name: `P${index}`,
        transport: make(listen),
        peers: addresses,
        order: "total",
        timing: { heartbeatMs: 50, suspectMinMs: 600, suspectMaxMs: 2000, confirmMs: 3000 },
        replicas: { users: replicatedMap(), hits: replicatedCounter() },
      })
    ));
    const client = await connect({
      group: "test",
      transport: make(await next()),
      members: addresses.slice(0, 1),
      settings: { attemptMs: 300 },
    });
    try {
      await Promise.all(groups.map((group) => group.ready({ deadline: DEADLINE_MS })));
      const users = client.map<string, unknown>("users");
      await users.set("large", "x".repeat(30_000));
      assert.is((await users.get("large") as string).length, 30_000);
      const leader = Math.max(0, groups.findIndex((group) => group.leadership() !== undefined));
      await groups[leader].close({ deadline: 0 });
      assert.is(await client.counter("hits").add(2), 2);
      assert.is(await client.counter("hits").get(), 2);
    } finally {
      await Promise.all([client.close(), ...groups.map((group) => group.close({ deadline: 0 }))]);
    }
  });
}

for (const [name, next, make] of adapters) {
  test(`the first calls of a client over ${name} are answered without a second attempt`, async () => {
    const addresses = await Promise.all([next(), next(), next()]);
    const groups = await Promise.all(addresses.map((listen, index) =>
      join({
        group: "test",
        name: `P${index}`,
        transport: make(listen),
        peers: addresses,
        order: "total",
        replicas: { hits: replicatedCounter() },
      })
    ));
    try {
      await Promise.all(groups.map((group) => group.ready({ deadline: DEADLINE_MS })));
      for (let count = 1; count <= CLIENTS; count++) {
        const client = await connect({
          group: "test",
          transport: make(await next()),
          members: count % 2 === 0 ? addresses : addresses.slice(2),
          settings: { attemptMs: 2 * DEADLINE_MS },
        });
        const hits = client.counter("hits");
        if (count % 3 === 0) await hits.get({ deadline: DEADLINE_MS });
        assert.is(await hits.add(1, { deadline: DEADLINE_MS }), count);
        assert.is(await hits.get({ deadline: DEADLINE_MS }), count);
        await client.close();
      }
    } finally {
      await Promise.all(groups.map((group) => group.close({ deadline: 0 })));
    }
  });
}

test.run();

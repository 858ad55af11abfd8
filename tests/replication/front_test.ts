/** The front of a member against clients that mean no good: everything bounded, nothing thrown, no answer larger than wanted. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Address } from "../../core/base/ids.ts";
import { Random } from "../../core/base/random.ts";
import { type FrontLimits, QUESTION_BYTES_MAX, REPLY_OVERHEAD_BYTES } from "../../core/replication/front.ts";
import { MapCall } from "../../core/replication/map_layout.ts";
import { OutcomeCode } from "../../core/replication/outcome.ts";
import {
  encodeReply,
  encodeRequest,
  readReply,
  readRequest,
  type Reply,
  REPLY_MEMBERS_MAX,
  type Request,
  RequestKind,
  UNPROVED_BYTES_MIN,
} from "../../core/wire/exchange.ts";
import { Kind } from "../../core/wire/message.ts";
import { PacketReader } from "../../core/wire/packet_reader.ts";
import { add, Feed, mapOf, oneOfEach, set } from "./commands.ts";
import { FakeGroup, type FakeMember, opened, packet, requestPacket } from "./fake_group.ts";

const test = suite("replication/front");

const FROM = "c:evil" as Address;

/** A member, and every reply that it sends. */
function alone(
  limits: Partial<FrontLimits> = {},
): { group: FakeGroup; member: FakeMember; replies: Reply[]; bytes: number[] } {
  const group = new FakeGroup(1, ["a"], oneOfEach, limits);
  const replies: Reply[] = [];
  const bytes: number[] = [];
  group.carry = (_from, _to, sent) => {
    bytes.push(sent.length);
    replies.push(readReply(opened(sent)) as Reply);
  };
  return { group, member: group.members[0], replies, bytes };
}

function request(change: Partial<Request> = {}): Request {
  const { encoding, bytes } = mapOf({ call: MapCall.size });
  return {
    kind: RequestKind.query,
    client: 5,
    call: 1,
    from: FROM,
    group: "fake",
    token: 0,
    view: 0,
    waitMs: 1000,
    session: 0,
    sequence: 0,
    lowest: 0,
    name: "users",
    encoding,
    bytes,
    ...change,
  };
}

/** What the client has to show. */
function tokenOf(member: FakeMember, replies: Reply[], change: Partial<Request> = {}): number {
  member.front.request(request(change), 0);
  return replies.pop()?.token ?? 0;
}

test("who has not shown that answers reach it gets a token and nothing else, never more than it sent (H57)", () => {
  const { member, replies, bytes, group } = alone();
  const long = `c:${"x".repeat(250)}` as Address;
  for (const from of [FROM, long]) {
    for (const kind of [RequestKind.query, RequestKind.poll, RequestKind.open]) {
      const asked = request({ from, kind, name: kind === RequestKind.open ? "" : "users" });
      member.front.request(asked, 0);
      const reply = replies.at(-1);
      assert.is(reply?.code, OutcomeCode.prove);
      assert.ok((reply?.token ?? 0) > 0);
      assert.equal([reply?.members, reply?.leader, reply?.view], [[], undefined, 0]);
      const size = requestPacket(asked).length;
      assert.ok(size >= UNPROVED_BYTES_MIN);
      assert.ok((bytes.at(-1) as number) <= size, `${bytes.at(-1)} bytes for ${size}`);
    }
  }
  assert.is(member.front.size, 0);
  assert.is(group.order.length, 0);
});

test("a token is for one client at one address", () => {
  const { member, replies } = alone();
  const token = tokenOf(member, replies);
  assert.is(tokenOf(member, replies), token);
  assert.not(tokenOf(member, replies, { client: 6 }) === token);
  assert.not(tokenOf(member, replies, { from: "c:other" as Address }) === token);
  member.front.request(request({ token: token + 1 }), 0);
  assert.is(replies.at(-1)?.code, OutcomeCode.prove);
  assert.is(member.front.size, 0);
  member.front.request(request({ token }), 0);
  assert.is(member.front.size, 1);
});

test("one client has as many requests served as the limit says; one past that is told to wait", () => {
  const { member, replies, group } = alone({ clientRequestsMax: 3, requestsMax: 5 });
  const token = tokenOf(member, replies);
  for (let call = 1; call <= 3; call++) member.front.request(request({ token, call }), 0);
  member.front.request(request({ token, call: 3 }), 0); // a repeat is none more
  assert.is(member.front.size, 3);
  assert.is(replies.length, 0);
  member.front.request(request({ token, call: 4 }), 0);
  assert.is(replies.at(-1)?.code, OutcomeCode.busy);
  const others = [6, 7].map((client) => ({ client, token: tokenOf(member, replies, { client }) }));
  for (const { client, token } of others) member.front.request(request({ client, token }), 0);
  assert.is(member.front.size, 5, "the limit of all");
  const last = { client: 8, token: tokenOf(member, replies, { client: 8 }) };
  member.front.request(request(last), 0);
  assert.is(replies.at(-1)?.code, OutcomeCode.busy);
  group.run(100);
  assert.is(member.front.size, 0);
  member.front.request(request(last), group.now);
  assert.is(member.front.size, 1);
});

test("whatever is served ends in time, also what waits for news that never come", () => {
  const { member, replies, group } = alone({ waitMsMax: 500 });
  const token = tokenOf(member, replies);
  const changes = mapOf({ call: MapCall.changes, prefix: "", after: 0 });
  member.front.request(request({ token, kind: RequestKind.poll, waitMs: 1e9, ...changes }), 0);
  group.submit = () => true; // commands get lost
  const execute = { kind: RequestKind.execute, session: 1, sequence: 1, lowest: 1, name: "hits" };
  member.front.request(request({ token, call: 2, waitMs: 1e9, ...execute, ...add(1) }), 0);
  assert.is(member.front.size, 2);
  group.run(499);
  assert.is(member.front.size, 2);
  group.run(1);
  assert.is(member.front.size, 0);
  assert.is(replies.length, 1, "of a command nobody knows what became, so nothing is said");
  assert.is(replies[0].code, OutcomeCode.done);
});

test("an answer has as many bytes as the limit says, and one past that is refused", () => {
  const { member, replies, group } = alone({ replyBytesMax: 1000 });
  const token = tokenOf(member, replies);
  const client = new Feed(member.set).open(1);
  let call = 1;
  const ask = (length: number): Reply => {
    client.execute("users", set("k", new Uint8Array(length)));
    const get = mapOf({ call: MapCall.get, key: "k" });
    member.front.request(request({ token, call: ++call, ...get }), group.now);
    group.run(100);
    return replies.at(-1) as Reply;
  };
  assert.is(ask(1000 - 14).code, OutcomeCode.done);
  assert.is(replies.at(-1)?.bytes.length, 1000);
  assert.is(ask(1000 - 13).code, OutcomeCode.tooLarge);
});

test("questions and operations have as many bytes as the limits say", () => {
  const { member, replies } = alone({ operationBytesMax: 100 });
  const token = tokenOf(member, replies);
  const bytes = (length: number): { encoding: 1; bytes: Uint8Array } => ({
    encoding: 1,
    bytes: new Uint8Array(length),
  });
  const code = (change: Partial<Request>): number | undefined => {
    const before = replies.length;
    member.front.request(request({ token, ...change }), 0);
    return replies[before]?.code;
  };
  assert.is(code({ call: 2, ...bytes(QUESTION_BYTES_MAX) }), undefined);
  assert.is(code({ call: 3, ...bytes(QUESTION_BYTES_MAX + 1) }), OutcomeCode.tooLarge);
  const execute = { kind: RequestKind.execute, session: 1, sequence: 1, lowest: 1 };
  assert.is(code({ call: 4, ...execute, ...bytes(100) }), undefined);
  assert.is(code({ call: 5, ...execute, ...bytes(101) }), OutcomeCode.tooLarge);
});

test("a member that stops serving sends everybody on, and serves nobody", () => {
  const { member, replies, group } = alone();
  const token = tokenOf(member, replies);
  for (let call = 1; call <= 3; call++) member.front.request(request({ token, call }), 0);
  member.serves = false;
  member.front.stop();
  assert.equal(replies.map(({ code }) => code), [8, 8, 8]);
  member.front.request(request({ token, call: 4 }), 0);
  assert.is(replies.at(-1)?.code, OutcomeCode.away);
  assert.is(member.front.size, 0);
  group.run(1000);
  assert.is(replies.length, 4);
});

test("a member without room in its window says so at once", () => {
  const { member, replies } = alone();
  const token = tokenOf(member, replies);
  member.roomy = false;
  member.front.request(request({ token, kind: RequestKind.open, name: "" }), 0);
  assert.is(replies.at(-1)?.code, OutcomeCode.busy);
  assert.is(member.front.size, 0);
});

test("a flood costs bounded memory, and honest clients get through afterwards", () => {
  const { member, replies, group } = alone({ clientRequestsMax: 10, requestsMax: 100 });
  const random = new Random(3);
  for (let count = 0; count < 20_000; count++) {
    const client = random.int(1, 50);
    const token = random.chance(0.5) ? tokenOf(member, replies, { client }) : random.uint32();
    const kind = random.int(1, 4) as Request["kind"];
    const command = kind === RequestKind.execute;
    const change = {
      client,
      token,
      kind,
      call: random.int(1, 1e6),
      waitMs: random.int(0, 1e9),
      name: kind === RequestKind.open ? "" : random.pick(["users", "hits", "nobody"]),
      session: command ? random.int(1, 100) : 0,
      sequence: command ? 7 : 0,
      lowest: command ? 3 : 0,
    };
    member.front.request(
      request({ ...change, encoding: 1, bytes: new Uint8Array(random.int(0, 30)) }),
      group.now,
    );
    assert.ok(member.front.size <= 100);
    replies.length = 0;
  }
  group.run(60_000);
  assert.is(member.front.size, 0);
  const token = tokenOf(member, replies);
  member.front.request(request({ token }), group.now);
  group.run(1000);
  assert.is(replies.at(-1)?.code, OutcomeCode.done);
});

test("requests and replies travel, and what is cut or altered is refused without a throw (H33-H36, H41, H49)", () => {
  const sound = request({ token: 9, view: 3, kind: RequestKind.execute, session: 4, sequence: 6, lowest: 5 });
  const read = readRequest(opened(requestPacket(sound)));
  assert.equal({ ...read, bytes: [...read?.bytes ?? []] }, { ...sound, bytes: [...sound.bytes] });
  const { count, body } = encodeRequest(sound);
  for (let cut = 0; cut < body.length; cut++) {
    const shorter = { count: Math.min(count, cut), body: body.subarray(0, cut) };
    const one = readRequest(opened(packet(Kind.request, 2, 5, 1, shorter)));
    if (cut < count) assert.is(one, undefined);
  }
  const random = new Random(1);
  for (let round = 0; round < 5000; round++) {
    const altered = body.slice();
    for (let change = random.int(1, 4); change > 0; change--) {
      altered[random.int(0, altered.length - 1)] = random.int(0, 255);
    }
    const reader = new PacketReader();
    if (
      reader.open(packet(Kind.request, random.int(0, 255), random.int(0, 9), 1, { count, body: altered })) !==
        ""
    ) continue;
    reader.next();
    readRequest(reader);
    readReply(reader);
  }
  assert.is(readRequest(opened(packet(Kind.request, 2, 5, 1, { count: 65_535, body }))), undefined);
});

test("a request that contradicts itself is refused", () => {
  const refused = (change: Partial<Request>): void => {
    assert.is(readRequest(opened(requestPacket(request(change)))), undefined, JSON.stringify(change));
  };
  refused({ kind: 5 as never });
  refused({ kind: 0 as never });
  refused({ client: 0 });
  refused({ call: 0 });
  refused({ from: "" as Address });
  refused({ from: "a b" as Address });
  refused({ group: "" });
  refused({ name: "" });
  refused({ kind: RequestKind.open });
  refused({ sequence: 1 });
  refused({ kind: RequestKind.execute });
  refused({ kind: RequestKind.execute, session: 1, sequence: 1, lowest: 2 });
  refused({ encoding: 2 as never });
  refused({ encoding: 0, bytes: new Uint8Array([0xff]) });
  refused({ waitMs: -1 });
  refused({ token: 1.5 });
});

test("a reply is at most so much larger than its result", () => {
  const address = `m:${"x".repeat(250)}` as Address;
  const members = Array.from({ length: REPLY_MEMBERS_MAX }, () => address);
  const reply = {
    code: 0,
    client: 1,
    call: 1,
    from: address,
    token: 2 ** 53 - 1,
    position: 2 ** 53 - 1,
    leader: address,
    view: 2 ** 53 - 1,
    members,
  };
  const { body } = encodeReply({ ...reply, encoding: 1, bytes: new Uint8Array(10) });
  assert.ok(body.length - 10 <= REPLY_OVERHEAD_BYTES, `${body.length - 10} bytes`);
  const read = readReply(opened(packet(Kind.reply, 0, 1, 1, { count: body.length - 10, body })));
  assert.is(read?.members.length, REPLY_MEMBERS_MAX);
  const one = { ...reply, members: [...members, address], encoding: 1 as const, bytes: new Uint8Array(0) };
  assert.is(readReply(opened(packet(Kind.reply, 0, 1, 1, encodeReply(one)))), undefined);
});

test.run();

/** The own stream: what waits for whom, within which window. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "fast-check";
import { PacketStore } from "../../../core/multicast/packet_store.ts";
import { SendStream } from "../../../core/multicast/send_stream.ts";

const test = suite("multicast/send_stream");

const PACKET = new Uint8Array(100);

/** Sends messages, each in a packet of its own. */
function send(stream: SendStream, count: number, packet: Uint8Array = PACKET): void {
  for (let sent = 0; sent < count; sent++) {
    stream.last++;
    stream.keep(stream.last, stream.last, packet);
  }
}

function confirm(stream: SendStream, ranks: readonly number[], sequence: number): void {
  for (const rank of ranks) assert.ok(stream.acknowledge(rank, sequence, sequence));
}

test("W7, H53: the window has room up to its last message, and none for one more", () => {
  const stream = new SendStream(2, 4, 1_000_000);
  send(stream, 3);
  assert.ok(stream.hasRoom(1));
  send(stream, 1);
  assert.not(stream.hasRoom(1));
  confirm(stream, [0, 1], 1);
  assert.ok(stream.hasRoom(1));
  assert.is(stream.pending, 3);
});

test("W7, H53: the window has room up to its last byte, and none for one more", () => {
  const stream = new SendStream(1, 100, 10_000);
  send(stream, 2);
  const left = 10_000 - 2 * PacketStore.cost(PACKET);
  assert.is(stream.pendingBytes, 2 * PacketStore.cost(PACKET));
  assert.ok(stream.hasRoom(left));
  assert.not(stream.hasRoom(left + 1));
  stream.openBytes = 10;
  assert.ok(stream.hasRoom(left - 10));
  assert.not(stream.hasRoom(left - 9));
});

test("a message larger than the window has room when nothing else is pending", () => {
  const stream = new SendStream(1, 1, 1000);
  assert.ok(stream.hasRoom(1_000_000));
  send(stream, 1, new Uint8Array(1_000_000));
  assert.not(stream.hasRoom(1));
  confirm(stream, [0], 1);
  assert.ok(stream.hasRoom(1_000_000));
  assert.is(stream.pendingBytes, 0);
});

test("H18: an acknowledgement of what was never sent is refused, and changes nothing", () => {
  const stream = new SendStream(2, 100, 1_000_000);
  send(stream, 3);
  confirm(stream, [0], 3);
  for (const [received, delivered] of [[4, 0], [4, 4], [Number.MAX_SAFE_INTEGER, 3], [2, 3], [0, 1]]) {
    assert.not(stream.acknowledge(1, received, delivered));
  }
  assert.equal([stream.stable, stream.deliveredBy(1), stream.progressOf(1).received], [0, 0, 0]);
  assert.ok(stream.acknowledge(1, 3, 2));
  assert.equal([stream.stable, stream.deliveredBy(1), stream.progressOf(1).received], [2, 2, 3]);
});

test("an acknowledgement that comes late, or again, takes nothing back (W4)", () => {
  const stream = new SendStream(1, 100, 1_000_000);
  send(stream, 5);
  confirm(stream, [0], 4);
  assert.ok(stream.acknowledge(0, 2, 1));
  assert.ok(stream.acknowledge(0, 4, 4));
  assert.equal([stream.stable, stream.deliveredBy(0), stream.progressOf(0).received], [4, 4, 4]);
});

test("a message is stable when every member has delivered it, not when it was received (W3, W11)", () => {
  const stream = new SendStream(3, 100, 1_000_000);
  send(stream, 3);
  confirm(stream, [0, 1], 3);
  assert.is(stream.stable, 0);
  assert.equal(stream.missing(), [2]);
  stream.acknowledge(2, 3, 1);
  assert.is(stream.stable, 1);
  assert.is(stream.store.first, 2, "only what is not stable is kept");
  stream.acknowledge(2, 3, 3);
  assert.equal([stream.stable, stream.store.size, stream.missing().length], [3, 0, 0]);
});

test("only the members of the new view are waited for when a view was installed", () => {
  const stream = new SendStream(3, 100, 1_000_000);
  send(stream, 6);
  confirm(stream, [0, 1], 6);
  stream.acknowledge(2, 6, 4);
  assert.equal([stream.stable, stream.missing()], [4, [2]]);
  stream.reform([stream.progressOf(0), stream.progressOf(1)]);
  assert.equal([stream.stable, stream.pending, stream.store.size, stream.missing().length], [6, 0, 0, 0]);
});

test("a newcomer is asked for what is sent from its first view on", () => {
  const stream = new SendStream(1, 100, 1_000_000);
  send(stream, 3);
  confirm(stream, [0], 3);
  stream.reform([stream.progressOf(0), { received: 3, delivered: 3 }]);
  send(stream, 1);
  confirm(stream, [0], 4);
  assert.equal([stream.stable, stream.missing()], [3, [1]]);
  confirm(stream, [1], 4);
  assert.is(stream.stable, 4);
});

test("what a view change hands on is a copy: who has the old list changes nothing in the new one", () => {
  const stream = new SendStream(2, 100, 1_000_000);
  const progress = [{ received: 0, delivered: 0 }, { received: 0, delivered: 0 }];
  stream.reform(progress);
  send(stream, 1);
  confirm(stream, [0, 1], 1);
  assert.equal(progress.map(({ delivered }) => delivered), [0, 0]);
});

test("messages wait no longer for a member whose application has ended", () => {
  const stream = new SendStream(2, 100, 1_000_000);
  send(stream, 3);
  confirm(stream, [1], 3);
  assert.is(stream.stable, 0);
  stream.release(0);
  assert.equal([stream.stable, stream.pending], [3, 0]);
  send(stream, 1);
  assert.equal([stream.stable, stream.missing()], [3, [1]]);
});

test("everything is stable when nobody is left", () => {
  const stream = new SendStream(2, 100, 1_000_000);
  send(stream, 3);
  stream.release(0);
  stream.release(1);
  assert.is(stream.stable, 3);
});

test("stability never falls, and never passes anybody who counts, whatever happens", () => {
  const step = fc.record({ what: fc.nat(3), rank: fc.nat(2), a: fc.nat(30), b: fc.nat(30) });
  fc.assert(fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
    const stream = new SendStream(3, 1000, 1_000_000);
    let before = 0;
    let size = 3;
    for (const { what, rank, a, b } of steps) {
      if (what === 0) send(stream, 1);
      else if (what === 1 && rank < size) stream.acknowledge(rank, a, b);
      else if (what === 2 && rank < size && a % 9 === 0) stream.release(rank);
      else if (what === 3 && a % 5 === 0) { // one goes, another comes
        const progress = Array.from({ length: size }, (_, member) => stream.progressOf(member));
        progress.splice(rank % size, 1);
        if (b % 2 === 0) progress.push({ received: stream.last, delivered: stream.last });
        if (progress.length === 0) continue;
        stream.reform(progress);
        size = progress.length;
      }
      assert.ok(stream.stable >= before && stream.stable <= stream.last);
      for (let member = 0; member < size; member++) {
        assert.ok(stream.deliveredBy(member) >= stream.stable);
        assert.ok(stream.deliveredBy(member) <= stream.progressOf(member).received);
      }
      for (let sequence = stream.stable + 1; sequence <= stream.last; sequence++) {
        assert.is.not(stream.store.find(sequence), undefined, "whatever is not stable is kept");
      }
      before = stream.stable;
    }
  }));
});

test.run();

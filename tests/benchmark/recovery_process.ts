/**
 * One member of a group whose leader is killed: sends numbered messages flat out, and notes what it was promised and what was
 * delivered. A payload begins with the time at which it was sent and its sender's number for it.
 */
import type { Group, Message } from "../../mod.ts";
import { serve, settings } from "./command_loop.ts";
import { joinMeasured, type MemberSettings } from "./member.ts";

/** A receipt is waited for each so many messages: it covers those before. */
const RECEIPT_EVERY = 64;
const HEADER_BYTES = 12;
const SETTLE_POLL_MS = 20;

let sent = 0;
let sending = false;
/** The last own message with a receipt. */
let acknowledged = 0;
let position = 0;
/** Over all that was delivered, in order. */
let digest = 0;
let faults = 0;
/** Last number delivered of each member. */
const last: Record<string, number> = {};
let awaited: { readonly afterMs: number; readonly resolve: (atMs: number) => void } | undefined = undefined;

function take(message: Message): void {
  const { buffer, byteOffset } = message.value as Uint8Array;
  const view = new DataView(buffer, byteOffset, HEADER_BYTES);
  const number = view.getUint32(8);
  const { sender } = message;
  if (number !== (last[sender] ?? 0) + 1 || message.position !== position + 1) faults++;
  last[sender] = number;
  position = message.position;
  digest = (Math.imul(digest, 31) + number * 8 + sender.charCodeAt(1)) | 0;
  if (awaited !== undefined && view.getFloat64(0) > awaited.afterMs) {
    awaited.resolve(Date.now());
    awaited = undefined;
  }
}

const group: Group = await joinMeasured(settings<MemberSettings>(), {
  onMessages: (messages) => messages.forEach(take),
});

async function send(payloadBytes: number): Promise<void> {
  const payload = new Uint8Array(payloadBytes);
  const view = new DataView(payload.buffer);
  while (sending) {
    view.setFloat64(0, Date.now());
    view.setUint32(8, sent + 1);
    const receipt = group.offer(payload);
    if (receipt === undefined) await group.writable({ deadline: Infinity });
    else if (++sent % RECEIPT_EVERY === 0) {
      const number = sent;
      receipt.placed.then(() => acknowledged = number, () => faults++);
    }
  }
}

await serve({
  ready: async () => {
    await group.ready();
  },
  name: () => ({ name: group.name }),
  leader: () => ({ leader: group.view?.members[group.view.leader].name }),
  send: ({ payloadBytes }) => {
    sending = true;
    send(Number(payloadBytes)).catch((error) => {
      console.error(String(error));
      faults++;
    });
  },
  report: () => ({ acknowledged, sent, position, digest, faults, last }),
  // Answered once a message is delivered that was sent later than a time.
  recovered: async ({ afterMs }) => ({
    atMs: await new Promise<number>((resolve) => awaited = { afterMs: Number(afterMs), resolve }),
  }),
  // Sends nothing more. Answered once all own messages are delivered here.
  settle: async () => {
    sending = false;
    while ((last[group.name] ?? 0) < sent) {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS));
    }
  },
});

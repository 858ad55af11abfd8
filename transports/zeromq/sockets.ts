/** The ZeroMQ sockets of one adapter: loading the addon, the choice of every socket option, and bounded closing. */
import type * as ZeroMq from "zeromq";
import { TuttiError } from "../../core/base/errors.ts";
import type { Endpoint } from "./endpoint.ts";
import { addressInUse, checkIpcPath } from "./occupancy.ts";
import type { Settings } from "./options.ts";

/** Room for the adapter's own frames and for what ZeroMQ counts besides the packet. */
const FRAME_BYTES_SLACK = 2048;
/** A member needs three sockets and one for each peer; several members may share a process, as in tests. */
const SOCKETS_MAX = 16_384;
/** Notices a peer whose host vanished without closing its connections, in ZeroMQ's own thread, in milliseconds. */
const HEARTBEAT_MS = 2000;
const HEARTBEAT_TIMEOUT_MS = 8000;
const RECONNECT_MS = 50;
const RECONNECT_MS_MAX = 500;

type Addon = typeof ZeroMq;
let loaded: Promise<{ readonly addon: Addon; readonly context: ZeroMq.Context }> | undefined;

/** The sockets that an open adapter always has. */
export interface Sockets {
  readonly router: ZeroMq.Router;
  readonly publisher: ZeroMq.Publisher;
  readonly subscriber: ZeroMq.Subscriber;
  /** TCP port of the PUB socket, 0 for ipc. */
  readonly publishPort: number;
  /** What the PUB socket is bound to. */
  readonly publish: Endpoint;
  /** A socket that only sends, to one peer. */
  dealer(peer: string): ZeroMq.Dealer;
}

/**
 * Loads zeromq and binds.
 *
 * @throws {TuttiError} `AddressInUse`, `InvalidAddress`, `Unsupported`
 */
export async function openSockets(settings: Settings): Promise<Sockets> {
  const { addon, context } = await load();
  const { listen, publish, packetBytesMax, queuePacketsMax } = settings;
  const shared = { context, linger: 0, ipv6: listen.kind === "tcp" && listen.host.startsWith("[") };
  // A timeout of 0 makes receive and send answer at once: a send that waits would make the next one fail (EBUSY).
  const polled = settings.receive === "polling" ? { receiveTimeout: 0 } : {};
  const alive = { heartbeatInterval: HEARTBEAT_MS, heartbeatTimeout: HEARTBEAT_TIMEOUT_MS };
  const receiving = {
    ...polled,
    maxMessageSize: packetBytesMax + FRAME_BYTES_SLACK,
    receiveHighWaterMark: 4096,
  };
  const reconnecting = { reconnectInterval: RECONNECT_MS, reconnectMaxInterval: RECONNECT_MS_MAX };

  const router = new addon.Router({ ...shared, ...receiving });
  const publisher = new addon.Publisher({
    ...shared,
    sendTimeout: 0,
    sendHighWaterMark: queuePacketsMax,
    maxMessageSize: 256, // What comes in here are subscriptions only (H52).
  });
  const subscriber = new addon.Subscriber({ ...shared, ...receiving, ...reconnecting, ...alive });
  try {
    await bind(router, listen);
    if (publish !== undefined) await bind(publisher, publish);
    else if (listen.kind === "tcp") await bindAnywhere(publisher, listen.host, listen.text);
    subscriber.subscribe();
    const bound = publish ?? { ...listen, ...portOf(publisher.lastEndpoint, listen.text) };
    return {
      router,
      publisher,
      subscriber,
      publishPort: bound.kind === "tcp" ? bound.port : 0,
      publish: bound,
      dealer: (peer) => {
        const dealer = new addon.Dealer({
          ...shared,
          ...reconnecting,
          ...alive,
          sendTimeout: 0,
          sendHighWaterMark: queuePacketsMax,
          immediate: true, // Nothing is queued for a peer that is not there.
          receiveHighWaterMark: 1,
          maxMessageSize: 256, // Nobody sends packets to a DEALER; the limit also holds for the handshake of ZMTP.
        });
        dealer.connect(peer);
        return dealer;
      },
    };
  } catch (error) {
    for (const socket of [router, publisher, subscriber]) socket.close();
    throw error;
  }
}

async function load(): Promise<{ readonly addon: Addon; readonly context: ZeroMq.Context }> {
  if ("Bun" in globalThis) {
    // The addon aborts the whole process there (oven-sh/bun#19549): never load it.
    throw new TuttiError(
      "Unsupported",
      "Cannot open zeromq: Bun is a runtime that its addon aborts on; use Deno or Node, or another transport",
    );
  }
  loaded ??= import("zeromq").then((addon) => ({
    addon,
    context: new addon.Context({ maxSockets: SOCKETS_MAX, blocky: false }),
  }));
  try {
    return await loaded;
  } catch (cause) {
    loaded = undefined;
    throw new TuttiError(
      "Unsupported",
      'Cannot open zeromq: the package "zeromq" is not loadable; install it and allow native addons',
      { cause },
    );
  }
}

async function bind(socket: ZeroMq.Router | ZeroMq.Publisher, endpoint: Endpoint): Promise<void> {
  if (endpoint.kind === "ipc") await checkIpcPath(endpoint.path);
  try {
    await socket.bind(endpoint.text);
  } catch (cause) {
    throw bindError(endpoint.text, cause);
  }
}

async function bindAnywhere(socket: ZeroMq.Publisher, host: string, listen: string): Promise<void> {
  try {
    await socket.bind(`tcp://${host}:*`);
  } catch (cause) {
    throw bindError(listen, cause);
  }
}

function bindError(endpoint: string, cause: unknown): TuttiError {
  const code = (cause as { code?: unknown } | null)?.code;
  if (code === "EADDRINUSE") return addressInUse(endpoint, cause);
  return new TuttiError(
    "InvalidAddress",
    `Cannot listen on "${endpoint}": binding it is refused by the system (${
      String(code)
    }); choose another endpoint`,
    { cause },
  );
}

function portOf(lastEndpoint: string | null, listen: string): { port: number; text: Endpoint["text"] } {
  const port = Number(/:(\d+)$/.exec(lastEndpoint ?? "")?.[1]);
  return { port, text: listen.replace(/:\d+$/, `:${port}`) as Endpoint["text"] };
}

import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { z } from 'zod';
import type { Logger } from '../platform/logger.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** A connection that was cut without a word is found by asking. */
const PROBE_EVERY_MS = 15_000;
const PROBE_TIMEOUT_MS = 5_000;
const END_TIMEOUT_MS = 300;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
const databaseError = z.object({ code: z.string() });
/** SQLSTATE 28xxx (the role or password is refused) and 3D000 (no such database): no later try can mend these. */
const FATAL = /^(28...|3D000)$/;

/** Gets the payload of a notification. What it throws is logged and goes no further. */
export type NotificationHandler = (payload: string) => void;

export interface ListenerOptions {
  readonly url: string;
  readonly logger?: Logger;
  /**
   * Called once when the connection cannot be had again (a refused password, a dropped database), which is logged in any
   * case. No notification comes after it.
   */
  readonly onFatal?: (error: Error) => void;
}

/**
 * PostgreSQL's NOTIFY on one connection of its own, for all channels. When it breaks it is made again, with pauses from 0.1
 * to 5 seconds, and the `onReconnect` functions are called: what was notified meanwhile is lost, so they read anew.
 */
export class Listener implements AsyncDisposable {
  readonly #options: ListenerOptions;
  readonly #handlers = new Map<string, Set<NotificationHandler>>();
  readonly #reconnected = new Set<() => void>();
  readonly #stopping = new AbortController();
  #client: pg.Client;
  #probe: NodeJS.Timeout | undefined;
  #reconnecting: Promise<void> | undefined;
  #fatal: Error | undefined;

  /** Resolves when connected. @throws the driver's error when that fails */
  static async start(options: ListenerOptions): Promise<Listener> {
    return new Listener(options, await connect(options.url));
  }

  private constructor(options: ListenerOptions, client: pg.Client) {
    this.#options = options;
    this.#client = client;
    this.#attach(client);
  }

  /**
   * Resolves when every notification sent from now on reaches `handler`.
   * @param channel a name of at most 63 letters, digits and underscores
   * @returns ends the subscription
   * @throws the driver's error when the connection is gone for good, or this is disposed of
   */
  async subscribe(channel: string, handler: NotificationHandler): Promise<() => void> {
    const handlers = this.#handlers.get(channel) ?? new Set();
    handlers.add(handler);
    this.#handlers.set(channel, handlers);
    const client = this.#client;
    try {
      // Also when another handler is there: its LISTEN may still be on its way, and the same one twice does no harm.
      await listenTo(client, channel);
    } catch (error) {
      // A broken connection is made again, and then listens to all that is in the map.
      if (this.#stopping.signal.aborted) throw error;
      if (client === this.#client) this.#onLost(client, error);
      await this.#reconnecting;
      if (this.#fatal !== undefined) throw this.#fatal;
    }
    return () => this.#unsubscribe(channel, handler);
  }

  /** Calls `handler` each time the connection was made again and all channels are listened to. @returns ends that */
  onReconnect(handler: () => void): () => void {
    this.#reconnected.add(handler);
    return () => this.#reconnected.delete(handler);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#probe);
    await this.#reconnecting;
    // A connection whose other end is silent is not waited for.
    await Promise.race([this.#client.end(), delay(END_TIMEOUT_MS, undefined, { ref: false })]).catch(() => undefined);
  }

  #unsubscribe(channel: string, handler: NotificationHandler): void {
    const handlers = this.#handlers.get(channel);
    if (handlers?.delete(handler) !== true || handlers.size > 0) return;
    this.#handlers.delete(channel);
    queryInTurn(this.#client, `UNLISTEN ${pg.escapeIdentifier(channel)}`).catch(() => undefined); // a new connection listens to none
  }

  #attach(client: pg.Client): void {
    client.on('notification', ({ channel, payload }) => {
      for (const handler of [...(this.#handlers.get(channel) ?? [])]) this.#call(() => handler(payload ?? ''));
    });
    client.on('error', (error) => this.#onLost(client, error));
    client.on('end', () => this.#onLost(client, new Error('the connection ended')));
    clearInterval(this.#probe);
    this.#probe = setInterval(() => {
      queryInTurn(client, 'SELECT 1').catch((error: unknown) => this.#onLost(client, error));
    }, PROBE_EVERY_MS).unref();
  }

  #onLost(client: pg.Client, error: unknown): void {
    if (this.#stopping.signal.aborted || client !== this.#client) return;
    if (this.#reconnecting !== undefined || this.#fatal !== undefined) return;
    this.#options.logger?.warn({ err: error }, 'listen.lost');
    clearInterval(this.#probe);
    client.end().catch(() => undefined);
    this.#reconnecting = this.#reconnect().finally(() => {
      this.#reconnecting = undefined;
    });
  }

  async #reconnect(): Promise<void> {
    const { signal } = this.#stopping;
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      let client: pg.Client | undefined;
      try {
        client = await connect(this.#options.url);
        for (const channel of this.#handlers.keys()) await listenTo(client, channel);
      } catch (error) {
        await client?.end().catch(() => undefined);
        const parsed = databaseError.safeParse(error);
        if (parsed.success && FATAL.test(parsed.data.code)) {
          const fatal = error instanceof Error ? error : new Error(String(error));
          this.#fatal = fatal;
          this.#options.logger?.error({ err: fatal }, 'listen.fatal');
          this.#call(() => this.#options.onFatal?.(fatal));
          return;
        }
        continue;
      }
      this.#client = client;
      this.#attach(client);
      this.#options.logger?.info('listen.reconnected');
      for (const handler of [...this.#reconnected]) this.#call(handler);
      return;
    }
  }

  #call(handler: () => void): void {
    try {
      handler();
    } catch (error) {
      this.#options.logger?.error({ err: error }, 'listen.handler_failed');
    }
  }
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: PROBE_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'asgard-listen',
  });
  // A loss before anyone attends to it fails the statement under way, or the next; unheard, it would end the process.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function listenTo(client: pg.Client, channel: string): Promise<void> {
  await queryInTurn(client, `LISTEN ${pg.escapeIdentifier(channel)}`);
}

const lastQueries = new WeakMap<pg.Client, Promise<unknown>>();

/** The driver takes one statement at a time; its own queue for more is going away. */
function queryInTurn(client: pg.Client, sql: string): Promise<unknown> {
  const before = lastQueries.get(client) ?? Promise.resolve();
  const query = before.catch(() => undefined).then(() => client.query(sql));
  lastQueries.set(client, query);
  return query;
}

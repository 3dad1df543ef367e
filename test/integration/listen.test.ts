import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Listener } from '../../src/database/listen.ts';
import { EmbeddedPostgres } from '../../src/embedded/postgres.ts';

let home: string;
let postgres: EmbeddedPostgres;
let sender: pg.Client;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'asgard-listen-'));
  postgres = await EmbeddedPostgres.start({ folder: join(home, 'postgres'), logFile: join(home, 'postgres.log') });
  sender = new pg.Client({ connectionString: postgres.url('asgard') });
  await sender.connect();
});
afterAll(async () => {
  await sender.end();
  await postgres[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});

const notify = (channel: string, payload: string) => sender.query('SELECT pg_notify($1, $2)', [channel, payload]);

/** Ends the listener's connection from the server's side. */
async function cutConnection(): Promise<void> {
  const admin = new pg.Client({ connectionString: postgres.url('postgres') });
  await admin.connect();
  await admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'asgard-listen'`);
  await admin.end();
}

test('every handler of a channel gets each payload in order, and none of other channels', async () => {
  await using listener = await Listener.start({ url: postgres.url('asgard') });
  const [first, second, other]: [string[], string[], string[]] = [[], [], []];
  await listener.subscribe('one', (payload) => first.push(payload));
  await listener.subscribe('one', (payload) => second.push(payload));
  await listener.subscribe('two', (payload) => other.push(payload));
  for (const payload of ['a', 'b', 'c']) await notify('one', payload);
  await notify('two', 'last');
  await expect.poll(() => other).toEqual(['last']);
  expect(first).toEqual(['a', 'b', 'c']);
  expect(second).toEqual(['a', 'b', 'c']);
});

test('a handler that has unsubscribed gets nothing more; one that throws does not keep the next from its turn', async () => {
  await using listener = await Listener.start({ url: postgres.url('asgard') });
  const [gone, kept]: [string[], string[]] = [[], []];
  const stop = await listener.subscribe('one', (payload) => gone.push(payload));
  await listener.subscribe('one', () => {
    throw new Error('a fault of a handler');
  });
  await listener.subscribe('one', (payload) => kept.push(payload));
  await notify('one', 'a');
  await expect.poll(() => kept).toEqual(['a']);
  stop();
  stop();
  await notify('one', 'b');
  await expect.poll(() => kept).toEqual(['a', 'b']);
  expect(gone).toEqual(['a']);
});

test('a connection that was cut is made again, subscribers are told to read anew, and notifications flow', async () => {
  await using listener = await Listener.start({ url: postgres.url('asgard') });
  const received: string[] = [];
  await listener.subscribe('one', (payload) => received.push(payload));
  for (const payload of ['after the first cut', 'after the second cut']) {
    const reconnected = new Promise<void>((resolve) => {
      const stop = listener.onReconnect(() => {
        stop();
        resolve();
      });
    });
    await cutConnection();
    await reconnected;
    await notify('one', payload);
    await expect.poll(() => received.at(-1)).toBe(payload);
  }
  expect(received).toHaveLength(2);
});

test('a subscription made while the connection is broken holds once it is back', async () => {
  await using proxy = await startProxy(postgres.port);
  const url = new URL(postgres.url('asgard'));
  url.port = String(proxy.port);
  await using listener = await Listener.start({ url: url.href });
  proxy.isOpen = false;
  proxy.cut();
  const received: string[] = [];
  const subscribed = listener.subscribe('late', (payload) => received.push(payload));
  await expect.poll(() => proxy.refused).toBeGreaterThan(0);
  proxy.isOpen = true;
  await subscribed;
  await notify('late', 'here');
  await expect.poll(() => received).toEqual(['here']);
});

test('a connection that is lost while channels are listened to again is made anew', async () => {
  await using proxy = await startProxy(postgres.port);
  const url = new URL(postgres.url('asgard'));
  url.port = String(proxy.port);
  await using listener = await Listener.start({ url: url.href });
  const received: string[] = [];
  await listener.subscribe('one', (payload) => received.push(payload));
  const reconnected = new Promise<void>((resolve) => listener.onReconnect(resolve));
  proxy.listensToCut = 2;
  proxy.cut();
  await reconnected;
  expect(proxy.listensToCut).toBe(0);
  await notify('one', 'here');
  await expect.poll(() => received).toEqual(['here']);
});

test('a password that is refused fails the start', async () => {
  const url = new URL(postgres.url('asgard'));
  url.password = 'wrong';
  await expect(Listener.start({ url: url.href })).rejects.toMatchObject({ code: '28P01' });
});

test('a password that is refused later is told once and not tried for ever', async () => {
  const admin = new pg.Client({ connectionString: postgres.url('postgres') });
  await admin.connect();
  await admin.query(`CREATE ROLE passing LOGIN PASSWORD 'first'; GRANT CONNECT ON DATABASE asgard TO passing`);
  const url = new URL(postgres.url('asgard'));
  url.username = 'passing';
  url.password = 'first';
  const onFatal = vi.fn();
  const log: Record<string, unknown>[] = [];
  const logger = pino({ base: null }, { write: (line) => void log.push(JSON.parse(line)) });
  await using listener = await Listener.start({ url: url.href, onFatal, logger });
  await admin.query(`ALTER ROLE passing PASSWORD 'second'`);
  await cutConnection();
  await expect.poll(() => onFatal.mock.calls).toHaveLength(1);
  expect(log.filter(({ msg }) => msg === 'listen.fatal')).toMatchObject([{ level: 50, err: { code: '28P01' } }]);
  await expect(listener.subscribe('late', () => undefined)).rejects.toMatchObject({ code: '28P01' });
  expect(onFatal).toHaveBeenCalledOnce();
  await admin.end();
});

test('disposing while the connection is broken waits for no other', async () => {
  await using proxy = await startProxy(postgres.port);
  const url = new URL(postgres.url('asgard'));
  url.port = String(proxy.port);
  const listener = await Listener.start({ url: url.href });
  proxy.isOpen = false;
  proxy.cut();
  await expect.poll(() => proxy.refused).toBeGreaterThan(0);
  await listener[Symbol.asyncDispose]();
  expect(proxy.isOpen).toBe(false);
});

interface Proxy extends AsyncDisposable {
  readonly port: number;
  readonly refused: number;
  isOpen: boolean;
  /** How many of the next LISTEN statements break their connection instead of arriving. */
  listensToCut: number;
  cut(): void;
}

/** Stands between the listener and the server, so that the way between them can be broken. */
async function startProxy(target: number): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const state = { isOpen: true, refused: 0, listensToCut: 0 };
  const server = createServer((socket) => {
    if (!state.isOpen) {
      state.refused += 1;
      socket.destroy();
      return;
    }
    const upstream = connect(target, '127.0.0.1');
    for (const end of [socket, upstream]) {
      sockets.add(end);
      end.on('error', () => undefined);
      end.once('close', () => {
        sockets.delete(end);
        socket.destroy();
        upstream.destroy();
      });
    }
    socket.on('data', (chunk) => {
      if (state.listensToCut > 0 && chunk.includes('LISTEN')) {
        state.listensToCut -= 1;
        socket.resetAndDestroy();
      } else upstream.write(chunk);
    });
    upstream.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return Object.assign(state, {
    port: address.port,
    cut,
    [Symbol.asyncDispose]: async () => {
      cut();
      server.close();
      await once(server, 'close');
    },
  });
}

import { Connection, requestBytes } from './connection.ts';
import { percentile } from './figures.ts';

/** One request of a load; `body` is JSON. */
export interface LoadRequest {
  readonly path: string;
  readonly body?: string;
  /** What a good answer holds: an error of GraphQL's is answered 200 too. */
  readonly expects: string;
}

export interface LoadOptions {
  readonly url: string;
  /** Connections that are kept, each with one request at a time. */
  readonly clients: number;
  readonly seconds: number;
  readonly signal: AbortSignal;
  /** Called for each request. */
  readonly next: () => LoadRequest;
}

/** What a load came to. */
export interface Load {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/**
 * Sends requests for some seconds, each client its next one as soon as it has the answer before.
 * @throws with the answer when one is not 200 with what is expected: a refusal is fast, and no figure
 */
export async function load({ url, clients, seconds, signal, next }: LoadOptions): Promise<Load> {
  using stack = new DisposableStack();
  const abort = () => stack.dispose();
  signal.addEventListener('abort', abort);
  stack.defer(() => signal.removeEventListener('abort', abort));
  const opened = await Promise.all(Array.from({ length: clients }, () => Connection.open(url)));
  for (const connection of opened) stack.use(connection);
  const known = new WeakMap<LoadRequest, Buffer>();
  const bytesOf = (request: LoadRequest) => {
    const bytes = known.get(request) ?? requestBytes(url, request.path, request.body);
    known.set(request, bytes);
    return bytes;
  };
  const times: number[] = [];
  const startedAt = performance.now();
  const endsAt = startedAt + seconds * 1000;
  const client = async (connection: Connection) => {
    for (let now = startedAt; now < endsAt; ) {
      signal.throwIfAborted();
      const request = next();
      const bytes = bytesOf(request);
      const sentAt = performance.now();
      await askFor(request, connection, bytes);
      now = performance.now();
      times.push(now - sentAt);
    }
  };
  await Promise.all(opened.map(client));
  const tookSeconds = (performance.now() - startedAt) / 1000;
  return { perSecond: times.length / tookSeconds, p50Ms: percentile(times, 50), p99Ms: percentile(times, 99) };
}

/** A server, and what it is asked. */
export interface Subject {
  readonly url: string;
  /** Called for each request. */
  readonly next: () => LoadRequest;
}

/**
 * How long each of many requests took, in ms, for each server. It has one connection, kept, with one request at a time. A block of
 * requests goes to one server, then one to the next, so that whatever else the machine does meets all alike.
 * @param warmUp how many of the blocks come before those that count
 */
export async function latencies(
  subjects: readonly Subject[],
  { blocks, warmUp, requests, signal }: { blocks: number; warmUp: number; requests: number; signal: AbortSignal },
): Promise<number[][]> {
  using stack = new DisposableStack();
  const servers = await Promise.all(
    subjects.map(async ({ url, next }) => ({
      url,
      next,
      connection: await Connection.open(url),
      times: [] as number[],
    })),
  );
  for (const { connection } of servers) stack.use(connection);
  for (let block = 0; block < warmUp + blocks; block += 1) {
    for (const server of servers) {
      const { url, next, times } = server;
      for (let answered = 0; answered < requests; ) {
        signal.throwIfAborted();
        const request = next();
        const bytes = requestBytes(url, request.path, request.body);
        const sentAt = performance.now();
        try {
          await askFor(request, server.connection, bytes);
        } catch (error) {
          // Some servers have a process end after so many requests: what it was sent last does not count.
          if (!server.connection.isClosed) throw error;
          server.connection = stack.use(await Connection.open(url));
          continue;
        }
        answered += 1;
        if (block >= warmUp) times.push(performance.now() - sentAt);
      }
    }
  }
  return servers.map(({ times }) => times);
}

async function askFor(request: LoadRequest, connection: Connection, bytes: Buffer): Promise<void> {
  const { status, text } = await connection.ask(bytes);
  if (status !== 200 || !text.includes(request.expects)) throw notExpected(request, status, text);
}

function notExpected({ path }: LoadRequest, status: number, text: string): Error {
  return new Error(`${path} was answered ${status}: ${text.slice(0, 500)}`);
}

/** Whether a server gives a good answer to a request. */
export async function isAnswered(url: string, request: LoadRequest, signal: AbortSignal): Promise<boolean> {
  try {
    using connection = await Connection.open(url);
    await askFor(request, connection, requestBytes(url, request.path, request.body));
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

import type { Readable } from 'node:stream';
import { Agent } from 'undici';
import type { z } from 'zod';
import { AsgardError } from '../platform/errors.ts';
import { parseMlflowJson } from './json.ts';
import { answeredError, socketCode, unansweredError } from './upstream-error.ts';

const REQUEST_TIMEOUT_MS = 30_000;
const HEALTH_TIMEOUT_MS = 3_000;
/** How long a server may send nothing of a file: it may have to fetch it from somewhere first. */
const FILE_IDLE_MS = 60_000;
/** uvicorn closes a connection that was idle for 5 s; ours go first, so that no request meets a closing one. */
const IDLE_CONNECTION_MS = 3_000;
/** More would only wait in the server, which answers about this many at once. */
const MAX_CONNECTIONS = 32;

/** What one request came to. `status` is 0 when no answer came. `path` holds no query, so that it may be a metric's label. */
export interface MlflowRequest {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly seconds: number;
}

export interface ConnectionOptions {
  /** The server's address, which may end in a path; asked before every request, since a managed server may move. */
  readonly baseUrl: () => string;
  /** Runs after every request, answered or not; it must not throw. */
  readonly onRequest?: (request: MlflowRequest) => void;
}

/** A request of ours. `path` is the encoded path and query below the server's address. */
interface OutgoingRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: string;
  readonly signal: AbortSignal | undefined;
  /** Sending it twice does no harm. */
  readonly isRepeatable: boolean;
}

/** Kept-alive connections to one MLflow server, and the one place where requests are timed, bounded and understood. */
export class MlflowConnection implements AsyncDisposable {
  readonly #options: ConnectionOptions;
  readonly #agent = new Agent({
    connections: MAX_CONNECTIONS,
    keepAliveTimeout: IDLE_CONNECTION_MS,
    connect: { timeout: REQUEST_TIMEOUT_MS },
  });

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Whether `/health` is answered well within 3 s. Never rejects. */
  async isHealthy(signal?: AbortSignal): Promise<boolean> {
    try {
      const { status } = await this.#exchange(
        { method: 'GET', path: '/health', signal, isRepeatable: true },
        HEALTH_TIMEOUT_MS,
      );
      return status === 200;
    } catch {
      return false;
    }
  }

  /**
   * The answer, parsed by `answer`. A repeatable request that lost its connection is sent once more.
   * @throws AsgardError for every failure, as `MlflowClient` says; the signal's reason when the caller aborts
   */
  async request<T extends z.ZodType>(request: OutgoingRequest, answer: T): Promise<z.output<T>> {
    const call = `${request.method} ${withoutQuery(request.path)}`;
    const { status, text } = await this.#exchange(request, REQUEST_TIMEOUT_MS)
      .catch((error: unknown) => {
        const isConnectionLost = ['ECONNRESET', 'UND_ERR_SOCKET', 'EPIPE'].includes(socketCode(error));
        if (!request.isRepeatable || !isConnectionLost) throw error;
        return this.#exchange(request, REQUEST_TIMEOUT_MS);
      })
      .catch((error: unknown) => {
        request.signal?.throwIfAborted();
        throw unansweredError(call, error);
      });
    if (status >= 400) throw answeredError(call, status, text);
    try {
      // Some of its answers have no body.
      return answer.parse(parseMlflowJson(text === '' ? '{}' : text));
    } catch (cause) {
      throw new AsgardError('UPSTREAM', `MLflow answered ${call} in a form that Asgard does not know`, { cause });
    }
  }

  /**
   * The bytes of an answer, which may be many, as they come.
   * @throws AsgardError as `request` does; what fails later, the stream tells
   */
  async download(path: string, signal: AbortSignal): Promise<Readable> {
    const base = new URL(this.#options.baseUrl());
    const call = `GET ${withoutQuery(path)}`;
    try {
      const { statusCode, body } = await this.#agent.request({
        origin: base.origin,
        path: `${base.pathname.replace(/\/+$/, '')}${path}`,
        method: 'GET',
        headersTimeout: FILE_IDLE_MS,
        bodyTimeout: FILE_IDLE_MS,
        signal,
      });
      if (statusCode < 400) return body;
      throw answeredError(call, statusCode, await body.text());
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof AsgardError ? error : unansweredError(call, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  async #exchange(request: OutgoingRequest, timeoutMs: number): Promise<{ status: number; text: string }> {
    const { method, path, body, signal } = request;
    const base = new URL(this.#options.baseUrl());
    const timeout = AbortSignal.timeout(timeoutMs);
    const startedAt = performance.now();
    let status = 0;
    try {
      const response = await this.#agent.request({
        origin: base.origin,
        path: `${base.pathname.replace(/\/+$/, '')}${path}`,
        method,
        headers: body === undefined ? {} : { 'content-type': 'application/json' },
        body: body ?? null,
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      });
      const text = await response.body.text();
      status = response.statusCode;
      return { status, text };
    } finally {
      const seconds = (performance.now() - startedAt) / 1000;
      this.#options.onRequest?.({ method, path: withoutQuery(path), status, seconds });
    }
  }
}

function withoutQuery(path: string): string {
  return path.split('?', 1)[0] ?? path;
}

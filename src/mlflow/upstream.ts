import type { IncomingHttpHeaders } from 'node:http';
import { Agent, type Dispatcher } from 'undici';
import type { MlflowRequest } from './connection.ts';
import { requestHeaders } from './gateway-headers.ts';

/** How long either side may send nothing. MLflow's own client gives up after 120 s. */
const IDLE_TIMEOUT_MS = 300_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** uvicorn closes a connection that was idle for 5 s; ours go first, so that no request meets a closing one. */
const IDLE_CONNECTION_MS = 3_000;
const MAX_CONNECTIONS = 256;

export interface UpstreamOptions {
  /** Where the real server is; asked for every request. */
  readonly upstream: () => string;
  /** Whether callers authorize themselves to this platform, so that the upstream is not told how. False when absent. */
  readonly isKeyDemanded?: boolean;
  /** Runs once MLflow began to answer a request that was forwarded, or did not; not for artifacts' content. Must not throw. */
  readonly onRequest?: (request: MlflowRequest) => void;
}

/** A client's request, as it goes on. */
interface ForwardedRequest {
  readonly method: string;
  /** Path and query, byte for byte. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Dispatcher.DispatchOptions['body'];
  /** Aborted when the client has left: MLflow is then not waited for. */
  readonly signal?: AbortSignal;
}

/** The connections to the real server, and what is sent through them. */
export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #agent = new Agent({
    connections: MAX_CONNECTIONS,
    keepAliveTimeout: IDLE_CONNECTION_MS,
    headersTimeout: IDLE_TIMEOUT_MS,
    bodyTimeout: IDLE_TIMEOUT_MS,
    connect: { timeout: CONNECT_TIMEOUT_MS },
  });

  constructor(options: UpstreamOptions) {
    this.#options = options;
  }

  /** Its address as it is now. */
  get base(): URL {
    return new URL(this.#options.upstream());
  }

  /** Resolves when MLflow began to answer. Rejects with undici's error when it does not. */
  async send({ method, url, headers, body, signal }: ForwardedRequest): Promise<Dispatcher.ResponseData> {
    const { onRequest, isKeyDemanded = false } = this.#options;
    const base = this.base;
    const startedAt = performance.now();
    let status = 0;
    try {
      const answer = await this.#agent.request({
        origin: base.origin,
        path: `${base.pathname.replace(/\/+$/, '')}${url}`,
        method: method as Dispatcher.HttpMethod, // undici's type lists the usual ones; it sends any
        headers: requestHeaders(headers, base, isKeyDemanded),
        body: body ?? null,
        signal: signal ?? null,
      });
      status = answer.statusCode;
      return answer;
    } finally {
      if (!isArtifact(url) && signal?.aborted !== true) {
        const seconds = (performance.now() - startedAt) / 1000;
        onRequest?.({ method, path: pathOf(url), status, seconds });
      }
    }
  }

  destroy(): Promise<void> {
    return this.#agent.destroy();
  }
}

/** A URL without its query. */
export function pathOf(url: string): string {
  return url.split('?', 1)[0] ?? url;
}

/** An artifact's own bytes, which may be as many as a model has. */
export function isArtifact(url: string): boolean {
  return /^\/(ajax-)?api\/2\.0\/mlflow-artifacts\/artifacts\//.test(url);
}

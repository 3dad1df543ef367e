import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { GraphQLClient } from 'graphql-request';
import { type Client, createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { AsgardRequestError, requestErrorOf } from './errors.ts';
import { resuming } from './resuming.ts';
import { payloadsOf } from './subscription.ts';

export interface ConnectionOptions {
  /** Where the platform listens, e.g. `http://localhost:8000`. */
  readonly url: string;
  /** What the platform's `ASGARD_API_KEY` is, when it demands one. */
  readonly apiKey?: string;
  /** Of one request; 120 s when absent: a model's first prediction may have to load it. */
  readonly timeoutMs?: number;
  /** How long a stream tries to connect again before it throws UNAVAILABLE; 60 s when absent. */
  readonly giveUpAfterMs?: number;
}

const PING_EVERY_MS = 10_000;
const PONG_LIMIT_MS = 5_000;

type Variables = Record<string, unknown>;

/**
 * A platform's GraphQL API: requests over HTTP, and one WebSocket while something is followed. Disposing ends all that
 * is under way.
 */
export class Connection implements AsyncDisposable {
  readonly #http: GraphQLClient;
  readonly #socket: Client;
  readonly #timeoutMs: number;
  readonly #giveUpAfterMs: number;
  readonly #url: string;
  readonly #disposed = new AbortController();

  constructor({ url, apiKey, timeoutMs = 120_000, giveUpAfterMs = 60_000 }: ConnectionOptions) {
    this.#timeoutMs = timeoutMs;
    this.#giveUpAfterMs = giveUpAfterMs;
    this.#url = new URL('/graphql', url).href;
    this.#http = new GraphQLClient(
      this.#url,
      apiKey === undefined ? {} : { headers: { authorization: `Bearer ${apiKey}` } },
    );
    this.#socket = createSocket(this.#url.replace(/^http/, 'ws'), apiKey === undefined ? {} : { apiKey });
  }

  /** The data of a query or mutation. @throws AsgardRequestError, also TIMEOUT and UNAVAILABLE; the signal's reason */
  async request<Data, Given extends Variables>(
    document: TypedDocumentNode<Data, Given>,
    variables: Given,
    givenSignal?: AbortSignal,
  ): Promise<Data> {
    const timeout = AbortSignal.timeout(this.#timeoutMs);
    const ending = this.#ending(givenSignal);
    ending.throwIfAborted();
    try {
      const signal = AbortSignal.any([timeout, ending]);
      return await this.#http.request<Data>({ document, variables, signal });
    } catch (error) {
      if (timeout.aborted && !ending.aborted) {
        const message = `${this.#url} did not answer within ${this.#timeoutMs / 1000} s`;
        throw new AsgardRequestError('TIMEOUT', message, { isRetryable: true, cause: error });
      }
      throw requestErrorOf(error, this.#url, ending);
    }
  }

  /** The payloads of a subscription, until it completes; a loss of its connection ends them with an error. */
  payloads<Data, Given extends Variables>(
    document: TypedDocumentNode<Data, Given>,
    variables: Given,
    signal?: AbortSignal,
  ): AsyncGenerator<Data, void> {
    return payloadsOf(this.#socket, document, variables, this.#ending(signal));
  }

  /**
   * The same over as many connections as it takes.
   * @param variables of the next connection, so that it goes on where the last one stopped
   * @param purpose what cannot be done when it gives up: `go on with …`
   * @throws AsgardRequestError of the platform; UNAVAILABLE when it gives up
   */
  resumedPayloads<Data, Given extends Variables>(
    document: TypedDocumentNode<Data, Given>,
    variables: () => Given,
    options: { readonly signal: AbortSignal | undefined; readonly purpose: () => string },
  ): AsyncGenerator<Data, void> {
    const signal = this.#ending(options.signal);
    return resuming(() => payloadsOf(this.#socket, document, variables(), signal), {
      signal,
      giveUpAfterMs: this.#giveUpAfterMs,
      purpose: options.purpose,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed.abort(new Error('the client was disposed of'));
    await this.#socket.dispose();
  }

  #ending(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? this.#disposed.signal : AbortSignal.any([this.#disposed.signal, signal]);
  }
}

/** Connects when the first subscription begins. It never connects again by itself: who follows knows where to go on. */
function createSocket(url: string, connectionParams: Record<string, string>): Client {
  let pong: NodeJS.Timeout | undefined;
  const client = createClient({
    url,
    connectionParams,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    keepAlive: PING_EVERY_MS,
    on: {
      // A network that went away silently closes no socket.
      ping: (isReceived) => {
        if (!isReceived) pong = setTimeout(() => client.terminate(), PONG_LIMIT_MS);
      },
      pong: (isReceived) => {
        if (isReceived) clearTimeout(pong);
      },
      closed: () => clearTimeout(pong),
    },
  });
  return client;
}

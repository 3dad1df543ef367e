import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { GraphQLClient } from 'graphql-request';
import { type Client, createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { AsgardRequestError, requestErrorOf, type Success, successOf } from './errors.ts';
import {
  CancelTrainingJobDocument,
  type CancelTrainingJobMutation,
  type JobEventType,
  JobLogTextDocument,
  JobStatusChangesDocument,
  type JobStatusChangesSubscription,
  ModelsDocument,
  type ModelsQuery,
  PlatformStatusDocument,
  type PlatformStatusQuery,
  PredictDocument,
  type PredictInput,
  type PredictMutation,
  SubmitTrainingJobDocument,
  type SubmitTrainingJobInput,
  type SubmitTrainingJobMutation,
  TrainingJobDocument,
  type TrainingJobFilter,
  type TrainingJobQuery,
  TrainingJobsDocument,
  type TrainingJobsQuery,
} from './generated/graphql.ts';
import { type JobEvent, jobEventStream } from './job-event-stream.ts';
import { payloadsOf } from './subscription.ts';

export type { JobEvent };
export type LogLine = Extract<JobEvent, { readonly __typename: 'LogLine' }>;
export type JobStatusChange = JobStatusChangesSubscription['jobStatusChanges'][number];
export type SubmittedJob = Success<SubmitTrainingJobMutation['submitTrainingJob']>;
export type CancelledJob = Success<CancelTrainingJobMutation['cancelTrainingJob']>;
export type Prediction = Success<PredictMutation['predict']>;
export type Job = NonNullable<TrainingJobQuery['trainingJob']>;
export type ListedJob = TrainingJobsQuery['trainingJobs']['edges'][number]['node'];
export type Model = ModelsQuery['models']['edges'][number]['node'];
export type PlatformStatus = PlatformStatusQuery['platformStatus'];

/** A part of a list. `endCursor`, given as `after`, begins the next one; null when this is the last. */
export interface Page<Item> {
  readonly items: readonly Item[];
  readonly endCursor: string | null;
}

export interface PageOptions {
  /** How many items, 1 to 100; 20 when absent. */
  readonly first?: number;
  readonly after?: string;
}

export interface FollowOptions {
  /** The number of the last event that the caller has; 0, the default, for all. */
  readonly after?: number;
  /** Ends the stream: the iteration throws its reason. */
  readonly signal?: AbortSignal;
}

export interface AsgardClientOptions {
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

/**
 * Asgard's GraphQL API as typed calls. Every method throws `AsgardRequestError` for what the platform refuses, or when
 * it cannot be reached. It holds a WebSocket while something is followed: whoever makes it disposes of it, which ends
 * every stream.
 */
export class AsgardClient implements AsyncDisposable {
  readonly #http: GraphQLClient;
  readonly #socket: Client;
  readonly #options: AsgardClientOptions;
  readonly #url: string;
  readonly #disposed = new AbortController();

  constructor(options: AsgardClientOptions) {
    this.#options = options;
    this.#url = new URL('/graphql', options.url).href;
    const { apiKey } = options;
    this.#http = new GraphQLClient(
      this.#url,
      apiKey === undefined ? {} : { headers: { authorization: `Bearer ${apiKey}` } },
    );
    this.#socket = createSocket(this.#url.replace(/^http/, 'ws'), apiKey === undefined ? {} : { apiKey });
  }

  /** Hands in a script; the job is QUEUED when this returns. */
  async submit(input: SubmitTrainingJobInput): Promise<SubmittedJob> {
    return successOf((await this.#request(SubmitTrainingJobDocument, { input })).submitTrainingJob);
  }

  /** A job with its run and model version. @throws AsgardRequestError NOT_FOUND */
  async job(id: string): Promise<Job> {
    return found((await this.#request(TrainingJobDocument, { id })).trainingJob, id);
  }

  /** Jobs, the newest first. */
  async jobs(options: PageOptions & { readonly filter?: TrainingJobFilter } = {}): Promise<Page<ListedJob>> {
    return pageOf((await this.#request(TrainingJobsDocument, { ...options })).trainingJobs);
  }

  /** Asks for a job's end. @throws AsgardRequestError NOT_FOUND; CONFLICT when it has ended in another way */
  async cancel(id: string, reason?: string): Promise<CancelledJob> {
    return successOf(
      (await this.#request(CancelTrainingJobDocument, { id, reason: reason ?? null })).cancelTrainingJob,
    );
  }

  /** A job's whole log so far. @throws AsgardRequestError NOT_FOUND */
  async logText(id: string): Promise<string> {
    return found((await this.#request(JobLogTextDocument, { id })).trainingJob, id).logText;
  }

  /** Registered models by name. */
  async models(options: PageOptions & { readonly search?: string } = {}): Promise<Page<Model>> {
    return pageOf((await this.#request(ModelsDocument, { ...options })).models);
  }

  /** `inputs: {column: value[n]}` → `predictions: value[n]`. */
  async predict(input: PredictInput): Promise<Prediction> {
    return successOf((await this.#request(PredictDocument, { input })).predict);
  }

  /** How the platform is. */
  async status(): Promise<PlatformStatus> {
    return (await this.#request(PlatformStatusDocument, {})).platformStatus;
  }

  /**
   * A job's events, those that happened and then each as it happens, until it has ended: each once, in the order of
   * their numbers, over as many connections as it takes.
   * @throws AsgardRequestError NOT_FOUND; UNAVAILABLE when the platform cannot be reached again
   */
  jobEvents(
    id: string,
    options: FollowOptions & { readonly types?: readonly JobEventType[] } = {},
  ): AsyncGenerator<JobEvent, void> {
    const { after = 0, types } = options;
    const giveUpAfterMs = this.#options.giveUpAfterMs ?? 60_000;
    return jobEventStream(this.#socket, { id, after, types, signal: this.#ending(options.signal), giveUpAfterMs });
  }

  /** A job's log lines, as `jobEvents` gives them. */
  async *jobLog(id: string, options: FollowOptions = {}): AsyncGenerator<LogLine, void> {
    for await (const event of this.jobEvents(id, { ...options, types: ['LOG'] })) {
      if (event.__typename === 'LogLine') yield event;
    }
  }

  /** Transitions of all jobs from now on, over one connection: a loss of it ends the iteration with an error. */
  async *statusChanges(options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<JobStatusChange, void> {
    const signal = this.#ending(options.signal);
    for await (const payload of payloadsOf(this.#socket, JobStatusChangesDocument, {}, signal)) {
      yield* payload.jobStatusChanges;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed.abort(new Error('the client was disposed of'));
    await this.#socket.dispose();
  }

  async #request<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
  ): Promise<Data> {
    const timeoutMs = this.#options.timeoutMs ?? 120_000;
    const timeout = AbortSignal.timeout(timeoutMs);
    const { signal: disposed } = this.#disposed;
    try {
      const signal = AbortSignal.any([timeout, disposed]);
      return await this.#http.request<Data>({ document, variables, signal });
    } catch (error) {
      if (timeout.aborted && !disposed.aborted) {
        const message = `${this.#url} did not answer within ${timeoutMs / 1000} s`;
        throw new AsgardRequestError('TIMEOUT', message, { isRetryable: true, cause: error });
      }
      throw requestErrorOf(error, this.#url, disposed);
    }
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

function found<T>(job: T | null, id: string): T {
  if (job === null) throw new AsgardRequestError('NOT_FOUND', `there is no job "${id}"`);
  return job;
}

function pageOf<Item>(connection: {
  readonly edges: readonly { readonly node: Item }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}): Page<Item> {
  const { edges, pageInfo } = connection;
  return { items: edges.map(({ node }) => node), endCursor: pageInfo.hasNextPage ? pageInfo.endCursor : null };
}

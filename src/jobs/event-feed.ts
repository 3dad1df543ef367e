import type { Listener } from '../database/listen.ts';
import { AsgardError } from '../platform/errors.ts';
import {
  type DatabaseClient,
  EVENTS_CHANNEL,
  isOfTypes,
  type JobStatusChange,
  parseStatusChange,
  readEvents,
  STATUS_CHANNEL,
} from './event-store.ts';
import type { JobEventType, NumberedJobEvent } from './events.ts';
import { readEventsOfMany } from './events-of-many.ts';
import { checkJobId, noSuchJob } from './job-id.ts';
import { isTerminal } from './states.ts';

/** Events that one list holds at most. */
const MAX_LIST_EVENTS = 1000;
/** A reader looks again after this long even when nothing woke it. */
const IDLE_READ_MS = 10_000;
/** Transitions that wait for a slow subscriber of the feed of all jobs before it is ended. */
const MAX_PENDING_CHANGES = 10_000;

/** Where to begin and what to see. */
export interface FollowOptions {
  /** The number of the last event that the reader has; 0 for all. */
  readonly after?: number | undefined;
  readonly types?: readonly JobEventType[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads of job events, past and live. A follower pulls from PostgreSQL at its own pace: nothing is buffered for it,
 * so a slow one costs no memory and can miss nothing. Followers that wait at the same place share one read.
 */
export class JobEventFeed {
  readonly #database: DatabaseClient;
  readonly #listener: Listener;
  readonly #waiters = new Map<string, Set<(lastSequence: number) => void>>();
  readonly #subscribers = { job: 0, allJobs: 0 };
  #stopListening: (() => void)[] = [];
  /** Reads under way, by job and by the number that they begin after. */
  readonly #reads = new Map<string, Map<number, Promise<NumberedJobEvent[]>>>();
  /** Resolves when every event from now on wakes its followers. */
  static async start(database: DatabaseClient, listener: Listener): Promise<JobEventFeed> {
    const feed = new JobEventFeed(database, listener);
    const unsubscribe = await listener.subscribe(EVENTS_CHANNEL, (payload) => {
      const separator = payload.lastIndexOf(':');
      feed.#wake(payload.slice(0, separator), Number(payload.slice(separator + 1)));
    });
    // Notifications sent while the connection was away are gone: every follower looks for itself.
    const stopReconnect = listener.onReconnect(() => {
      for (const jobId of feed.#waiters.keys()) feed.#wake(jobId, Number.POSITIVE_INFINITY);
    });
    feed.#stopListening = [unsubscribe, stopReconnect];
    return feed;
  }

  private constructor(database: DatabaseClient, listener: Listener) {
    this.#database = database;
    this.#listener = listener;
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stopListening) stop();
  }

  /** Who reads now: one job's events, and all jobs' transitions. */
  get subscribers(): { readonly job: number; readonly allJobs: number } {
    return { ...this.#subscribers };
  }

  /**
   * A job's events above `after`, then each as it happens: non-empty lists in the order of their numbers, which have no
   * hole unless `types` leaves some out. Ends after the `end` event, or when `signal` aborts.
   * @throws AsgardError NOT_FOUND
   */
  async *follow(jobId: string, options: FollowOptions = {}): AsyncGenerator<NumberedJobEvent[], void> {
    const { types, signal } = options;
    using _subscriber = this.#counted('job');
    let cursor = options.after ?? 0;
    let isEnded = await this.#isEnded(jobId);
    while (signal?.aborted !== true) {
      const waiter = this.#waitFor(jobId, cursor, signal);
      try {
        const events = await this.#read(jobId, cursor);
        const last = events.at(-1);
        if (last !== undefined) {
          cursor = last.sequence;
          const wanted = events.filter((event) => isOfTypes(event, types));
          for (let from = 0; from < wanted.length; from += MAX_LIST_EVENTS) {
            yield wanted.slice(from, from + MAX_LIST_EVENTS);
          }
          if (last.type === 'end') return;
          continue;
        }
        if (isEnded) return;
        await waiter.woken;
        isEnded = await this.#isEnded(jobId);
      } finally {
        waiter.dispose();
      }
    }
  }

  /** Up to `limit` events of a job above `after`. @throws AsgardError NOT_FOUND */
  async list(
    jobId: string,
    options: { after?: number; limit: number; types?: readonly JobEventType[] | undefined },
  ): Promise<NumberedJobEvent[]> {
    await this.#isEnded(jobId);
    const [events = []] = await this.listOfMany([jobId], { after: 0, ...options });
    return events;
  }

  /** `list` of many jobs that exist, in the order of `jobIds`, in as few statements as one takes. */
  listOfMany(
    jobIds: readonly string[],
    options: { after: number; limit: number; types?: readonly JobEventType[] | undefined },
  ): Promise<NumberedJobEvent[][]> {
    return readEventsOfMany(this.#database, jobIds, options);
  }

  /**
   * Transitions of all jobs from now on. A subscriber that falls too far behind is ended with an error rather than
   * shown a feed with holes.
   * @throws AsgardError UNAVAILABLE
   */
  async *statusChanges(signal?: AbortSignal): AsyncGenerator<JobStatusChange[], void> {
    using _subscriber = this.#counted('allJobs');
    let pending: JobStatusChange[] = [];
    let failure: AsgardError | undefined;
    let wake = () => {};
    const lose = (why: string) => {
      failure ??= new AsgardError('UNAVAILABLE', `${why}: read the jobs again and subscribe anew`);
      wake();
    };
    const stopListening = await this.#listener.subscribe(STATUS_CHANNEL, (payload) => {
      pending.push(parseStatusChange(payload));
      if (pending.length > MAX_PENDING_CHANGES) lose('this subscriber reads too slowly');
      wake();
    });
    const stopReconnect = this.#listener.onReconnect(() => lose('the connection to the database was interrupted'));
    const abort = () => wake();
    signal?.addEventListener('abort', abort);
    try {
      while (signal?.aborted !== true) {
        if (failure !== undefined) throw failure;
        if (pending.length === 0) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        const changes = pending;
        pending = [];
        yield changes;
      }
    } finally {
      stopListening();
      stopReconnect();
      signal?.removeEventListener('abort', abort);
    }
  }

  #counted(feed: 'job' | 'allJobs'): Disposable {
    this.#subscribers[feed] += 1;
    return {
      [Symbol.dispose]: () => {
        this.#subscribers[feed] -= 1;
      },
    };
  }

  #read(jobId: string, after: number): Promise<NumberedJobEvent[]> {
    const reads = this.#reads.get(jobId) ?? new Map<number, Promise<NumberedJobEvent[]>>();
    const running = reads.get(after);
    if (running !== undefined) return running;
    const read = readEvents(this.#database, jobId, after).finally(() => {
      if (reads.get(after) === read) reads.delete(after);
      if (reads.size === 0 && this.#reads.get(jobId) === reads) this.#reads.delete(jobId);
    });
    this.#reads.set(jobId, reads.set(after, read));
    return read;
  }

  async #isEnded(jobId: string): Promise<boolean> {
    checkJobId(jobId);
    const job = await this.#database.trainingJob.findUnique({ where: { id: jobId }, select: { status: true } });
    if (job === null) throw noSuchJob(jobId);
    return isTerminal(job.status);
  }

  /** Registered before the read that it follows, so that an event between the two wakes it. */
  #waitFor(jobId: string, cursor: number, signal: AbortSignal | undefined) {
    const { promise: woken, resolve } = Promise.withResolvers<void>();
    const wake = (lastSequence: number) => {
      if (lastSequence > cursor) resolve();
    };
    const stop = () => resolve();
    const timer = setTimeout(stop, IDLE_READ_MS);
    signal?.addEventListener('abort', stop);
    const waiters = this.#waiters.get(jobId) ?? new Set();
    this.#waiters.set(jobId, waiters.add(wake));
    const dispose = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
      waiters.delete(wake);
      if (waiters.size === 0 && this.#waiters.get(jobId) === waiters) this.#waiters.delete(jobId);
    };
    return { woken, dispose };
  }

  #wake(jobId: string, lastSequence: number): void {
    // A read that began before this may miss what it tells of: who reads from now on begins anew.
    this.#reads.delete(jobId);
    for (const wake of this.#waiters.get(jobId) ?? []) wake(lastSequence);
  }
}

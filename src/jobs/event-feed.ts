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
import { FollowedJob } from './followed-job.ts';
import { checkJobId, noSuchJob } from './job-id.ts';
import { isTerminal } from './states.ts';

/** Events that one list holds at most. */
const MAX_LIST_EVENTS = 1000;
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
  /** With how many follow each. */
  readonly #followed = new Map<string, { readonly job: FollowedJob; followers: number }>();
  readonly #subscribers = { job: 0, allJobs: 0 };
  #stopListening: (() => void)[] = [];

  /** Resolves when every event from now on wakes its followers. */
  static async start(database: DatabaseClient, listener: Listener): Promise<JobEventFeed> {
    const feed = new JobEventFeed(database, listener);
    const unsubscribe = await listener.subscribe(EVENTS_CHANNEL, (payload) => {
      const separator = payload.lastIndexOf(':');
      feed.#followed.get(payload.slice(0, separator))?.job.notify(Number(payload.slice(separator + 1)));
    });
    // Notifications sent while the connection was away are gone.
    const stopReconnect = listener.onReconnect(() => {
      for (const { job } of feed.#followed.values()) job.distrust();
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
    // Before the first look at the job, so that whatever comes after that is notified.
    using followed = this.#follow(jobId);
    let cursor = options.after ?? 0;
    let isEnded = await this.#isEnded(jobId);
    let isToRead = true;
    while (signal?.aborted !== true) {
      using wait = followed.job.wait(cursor, signal);
      const events = isToRead || !followed.job.isAllUpTo(cursor) ? await followed.job.read(cursor) : [];
      isToRead = false;
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
      if ((await wait.over) === 'woken') continue;
      isEnded = await this.#isEnded(jobId);
      isToRead = true;
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

  #follow(jobId: string): Disposable & { readonly job: FollowedJob } {
    const followed = this.#followed.get(jobId) ?? {
      job: new FollowedJob((after) => readEvents(this.#database, jobId, after)),
      followers: 0,
    };
    followed.followers += 1;
    this.#followed.set(jobId, followed);
    const leave = () => {
      followed.followers -= 1;
      if (followed.followers === 0) this.#followed.delete(jobId);
    };
    return { job: followed.job, [Symbol.dispose]: leave };
  }

  async #isEnded(jobId: string): Promise<boolean> {
    checkJobId(jobId);
    const job = await this.#database.trainingJob.findUnique({ where: { id: jobId }, select: { status: true } });
    if (job === null) throw noSuchJob(jobId);
    return isTerminal(job.status);
  }
}

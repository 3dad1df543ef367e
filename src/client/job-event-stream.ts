import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'graphql-ws';
import { AsgardRequestError } from './errors.ts';
import { JobEventsDocument, type JobEventsSubscription, type JobEventType } from './generated/graphql.ts';
import { ConnectionLostError, payloadsOf } from './subscription.ts';

type SentEvent = JobEventsSubscription['jobEvents'][number];
type SentLines = Extract<SentEvent, { readonly __typename: 'LogLines' }>;

/** Something that happened to a job; `__typename` says what. Lines that came together are events of their own again. */
export type JobEvent = Exclude<SentEvent, SentLines>;

const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;

export interface JobEventStreamOptions {
  readonly id: string;
  /** The number of the last event that the caller has; 0 for all. */
  readonly after: number;
  readonly types: readonly JobEventType[] | undefined;
  /** Ends the stream with its reason. */
  readonly signal: AbortSignal;
  /** How long to go on trying to connect while no event comes. */
  readonly giveUpAfterMs: number;
}

/**
 * The events of a job, each once and in the order of their numbers, until it has ended. A connection that drops is made
 * again, as is one whose platform was without its database; the stream goes on after the last event that came.
 * @throws AsgardRequestError NOT_FOUND; UNAVAILABLE when it gives up
 */
export async function* jobEventStream(client: Client, options: JobEventStreamOptions): AsyncGenerator<JobEvent, void> {
  const { id, types, signal, giveUpAfterMs } = options;
  let { after } = options;
  let lostSince: number | undefined;
  for (let attempts = 0; ; attempts += 1) {
    try {
      for await (const { jobEvents } of payloadsOf(
        client,
        JobEventsDocument,
        { id, after, types: types ?? null },
        signal,
      )) {
        lostSince = undefined;
        attempts = 0;
        for (const event of singleEvents(jobEvents)) {
          if (event.sequence <= after) continue;
          after = event.sequence;
          yield event;
        }
      }
      return; // the platform completes it when the job has ended, and only then
    } catch (error) {
      if (!isPassing(error)) throw error;
      lostSince ??= Date.now();
      if (Date.now() - lostSince > giveUpAfterMs) {
        const message = `cannot reach the platform to go on with the events of job "${id}" after number ${after}`;
        throw new AsgardRequestError('UNAVAILABLE', message, { isRetryable: true, cause: error });
      }
    }
    await delay(Math.min(FIRST_DELAY_MS * 2 ** attempts, MAX_DELAY_MS), undefined, { signal });
  }
}

/** Each line of those that were sent together is an event of its own. */
export function* singleEvents(events: readonly SentEvent[]): Generator<JobEvent, void> {
  for (const event of events) {
    if (event.__typename !== 'LogLines') {
      yield event;
      continue;
    }
    const { firstSequence, at, stream, texts } = event;
    for (const [index, text] of texts.entries()) {
      yield { __typename: 'LogLine', sequence: firstSequence + index, at, stream, text, isContinued: false };
    }
  }
}

function isPassing(error: unknown): boolean {
  return error instanceof ConnectionLostError || (error instanceof AsgardRequestError && error.isRetryable);
}

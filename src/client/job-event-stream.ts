import type { Connection } from './connection.ts';
import { JobEventsDocument, type JobEventsSubscription, type JobEventType } from './generated/graphql.ts';

type SentEvent = JobEventsSubscription['jobEvents'][number];
type SentLines = Extract<SentEvent, { readonly __typename: 'LogLines' }>;

/** Something that happened to a job; `__typename` says what. Lines that came together are events of their own again. */
export type JobEvent = Exclude<SentEvent, SentLines>;

export interface JobEventStreamOptions {
  readonly id: string;
  /** The number of the last event that the caller has; 0 for all. */
  readonly after: number;
  readonly types: readonly JobEventType[] | undefined;
  /** Ends the stream with its reason. */
  readonly signal: AbortSignal | undefined;
}

/**
 * The events of a job, each once and in the order of their numbers, until it has ended. After a loss of its connection the
 * stream goes on after the last event that came.
 * @throws AsgardRequestError NOT_FOUND; UNAVAILABLE when it gives up
 */
export async function* jobEventStream(
  connection: Connection,
  options: JobEventStreamOptions,
): AsyncGenerator<JobEvent, void> {
  const { id, types = null, signal } = options;
  let { after } = options;
  const variables = () => ({ id, after, types });
  const purpose = () => `go on with the events of job "${id}" after number ${after}`;
  for await (const { jobEvents } of connection.resumedPayloads(JobEventsDocument, variables, { signal, purpose })) {
    for (const event of singleEvents(jobEvents)) {
      if (event.sequence <= after) continue;
      after = event.sequence;
      yield event;
    }
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

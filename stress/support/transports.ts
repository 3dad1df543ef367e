import {
  type EventMessage,
  overEventStream,
  overSocket,
  overSse,
  type Payload,
} from '../../test/support/subscriptions.ts';
import type { StreamedEvent } from './received.ts';

/** One of the ways in which a job's events can be followed. */
export interface Transport {
  readonly name: string;
  /** The events above `after`, until the platform completes the stream. @throws when the connection is cut */
  follow(url: string, jobId: string, after: number): AsyncGenerator<StreamedEvent, void>;
}

const SUBSCRIPTION = `subscription ($id: ID!, $after: Int!) {
  jobEvents(id: $id, after: $after) {
    sequence
    ... on LogLine { stream text }
    ... on JobEnded { status lines sha256 }
  }
}`;

export const TRANSPORTS: readonly Transport[] = [
  {
    name: 'GraphQL over WebSocket',
    follow: (url, id, after) => eventsOf(overSocket(url, SUBSCRIPTION, { id, after })),
  },
  { name: 'GraphQL over SSE', follow: (url, id, after) => eventsOf(overSse(url, SUBSCRIPTION, { id, after })) },
  { name: 'plain SSE', follow: (url, id, after) => eventsOfMessages(overEventStream(url, id, { after })) },
];

async function* eventsOf(payloads: AsyncGenerator<Payload, void>): AsyncGenerator<StreamedEvent, void> {
  for await (const { data, errors } of payloads) {
    if (errors !== undefined) throw new Error(`the subscription was refused: ${JSON.stringify(errors)}`);
    for (const { sequence, stream, text, status, lines, sha256 } of data.jobEvents) {
      yield {
        sequence,
        ...(text !== undefined && stream !== 'PLATFORM' && { line: text }),
        ...(sha256 !== undefined && { end: { status, lines, sha256 } }),
      };
    }
  }
}

async function* eventsOfMessages(messages: AsyncGenerator<EventMessage, void>): AsyncGenerator<StreamedEvent, void> {
  for await (const { id: sequence, event, data } of messages) {
    yield {
      sequence,
      ...(event === 'log' && data.stream !== 'platform' && { line: data.text }),
      ...(event === 'end' && { end: { status: data.state.toUpperCase(), lines: data.lines, sha256: data.sha256 } }),
    };
  }
}

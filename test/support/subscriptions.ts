import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

/** What one message of a subscription holds. */
// biome-ignore lint/suspicious/noExplicitAny: a test's own document decides the shape of what it gets
export type Payload = { readonly data?: any; readonly errors?: readonly unknown[] };

/**
 * The payloads of a subscription over graphql-ws, on a socket of its own, until the server completes it. The errors of
 * a refused operation come as a payload, as they do over SSE.
 */
export async function* overSocket(
  url: string,
  query: string,
  variables: Record<string, unknown> = {},
): AsyncGenerator<Payload, void> {
  const client = createClient({ url: graphqlUrl(url, 'ws'), webSocketImpl: WebSocket, retryAttempts: 0 });
  try {
    for await (const { data, errors } of client.iterate({ query, variables })) {
      yield errors === undefined ? { data } : { data, errors };
    }
  } catch (error) {
    if (!Array.isArray(error)) throw error;
    yield { errors: error };
  } finally {
    await client.dispose();
  }
}

/** The same over server-sent events, by a plain POST. @throws when the stream ends before it is complete */
export async function* overSse(
  url: string,
  query: string,
  variables: Record<string, unknown> = {},
): AsyncGenerator<Payload, void> {
  const leaving = new AbortController();
  try {
    const response = await fetch(graphqlUrl(url, 'http'), {
      method: 'POST',
      headers: { accept: 'text/event-stream', 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
      signal: leaving.signal,
    });
    if (response.headers.get('content-type')?.startsWith('text/event-stream') !== true || response.body === null) {
      throw new Error(`no event stream but ${response.status}: ${await response.text()}`);
    }
    for await (const message of messagesOf(response.body)) {
      if (message.startsWith('event: complete')) return;
      const data = /^data: ([^\n]*)$/m.exec(message)?.[1];
      if (message.startsWith('event: next') && data !== undefined) yield JSON.parse(data);
    }
    throw new Error('the stream was cut before it was complete');
  } finally {
    leaving.abort();
  }
}

/** One message of a job's event stream. */
export interface EventMessage {
  readonly id: number;
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: the kind of the event decides
  readonly data: any;
}

/**
 * The messages of a job's event stream (`GET /mlops/training/jobs/{id}/events`) on one connection, until the server ends
 * it. Leaving the iteration closes the connection.
 * @param after is sent as `Last-Event-ID`, as a browser does
 * @throws when it is refused, or cut in the middle
 */
export async function* overEventStream(
  url: string,
  id: string,
  { after, query = '', signal }: { after?: number; query?: string; signal?: AbortSignal } = {},
): AsyncGenerator<EventMessage, void> {
  const leaving = new AbortController();
  try {
    const response = await fetch(`${url}/mlops/training/jobs/${id}/events${query}`, {
      headers: after === undefined ? {} : { 'last-event-id': String(after) },
      signal: signal === undefined ? leaving.signal : AbortSignal.any([signal, leaving.signal]),
    });
    if (response.status === 204) return;
    if (response.status !== 200 || response.body === null) {
      throw new Error(`no event stream but ${response.status}: ${await response.text()}`);
    }
    for await (const message of messagesOf(response.body)) {
      const fields = /^id: (\d+)\nevent: (\w+)\ndata: ([^\n]*)$/.exec(message);
      if (fields !== null) yield { id: Number(fields[1]), event: fields[2] ?? '', data: JSON.parse(fields[3] ?? '') };
    }
  } finally {
    leaving.abort();
  }
}

async function* messagesOf(body: NonNullable<Response['body']>): AsyncGenerator<string, void> {
  let rest = '';
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const messages = (rest + read.value).split('\n\n');
    rest = messages.pop() ?? '';
    yield* messages;
  }
}

function graphqlUrl(url: string, scheme: 'ws' | 'http'): string {
  return `${url.replace(/^http/, scheme)}/graphql`;
}

import type { ServerResponse } from 'node:http';

/** Aborts when the connection of a response ends before all of the response was sent: nobody reads it any more. */
export function departureOf(response: ServerResponse): AbortSignal {
  const departure = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) departure.abort();
  });
  return departure.signal;
}

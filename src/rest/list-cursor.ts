import { type ListPlace, listPlace } from '../mlflow/list.ts';

/** What a cursor of a list of MLflow's holds; null when it is none. */
export function placeAt(cursor: string): ListPlace | null {
  try {
    return listPlace.safeParse(JSON.parse(Buffer.from(cursor, 'base64url').toString())).data ?? null;
  } catch {
    return null;
  }
}

/** What a client gives back to read on behind a place. */
export function cursorOf(place: ListPlace): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

/** The `Link` of an answer to `url` that leads to the page behind it, as RFC 8288 has it; relative, as proxies may change the rest. */
export function nextLink(url: string, cursor: string): string {
  const query = new URLSearchParams(url.split('?')[1]);
  query.set('cursor', cursor);
  return `<?${query}>; rel="next"`;
}

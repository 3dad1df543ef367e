import type { ListPlace } from '../mlflow/list.ts';

/** A place's offset and, in base64url, its item's id, of at most 1,000 bytes: every text of this form is a place of some list. */
export const CURSOR = /^(0|[1-9][0-9]{0,8})\.([A-Za-z0-9_-]{2,1334})$/;

/** @param cursor as CURSOR has it */
export function placeAt(cursor: string): ListPlace {
  const [, offset, id = ''] = CURSOR.exec(cursor) ?? [];
  return { offset: Number(offset ?? 0), ids: [Buffer.from(id, 'base64url').toString()], key: null };
}

/** What a client gives back to read on behind a place. It goes into a URL, so that of the items before it none is in there. */
export function cursorOf({ offset, ids: [id = ''] }: ListPlace): string {
  return `${offset}.${Buffer.from(id).toString('base64url')}`;
}

/** The `Link` of an answer to `url` that leads to the page behind it, as RFC 8288 has it; relative, as proxies may change the rest. */
export function nextLink(url: string, cursor: string): string {
  const query = new URLSearchParams(url.split('?')[1]);
  query.set('cursor', cursor);
  return `<?${query}>; rel="next"`;
}

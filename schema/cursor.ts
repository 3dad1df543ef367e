import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { AsgardError } from '../src/platform/errors.ts';

/** The cursors of one list: opaque texts that hold a place in it, and a mark of the list. */
export interface Cursors<Place> {
  encode(place: Place): string;
  /**
   * The place behind a cursor; undefined when there is no cursor.
   * @param name of the argument that gave it
   * @throws AsgardError INVALID_INPUT, naming the argument, when it is none of this list's
   */
  decode(cursor: string | null | undefined, name: string): Place | undefined;
}

/**
 * @param list what makes the list another one: whose it is, its order, what it holds. A cursor of any other is refused,
 * since going on from it would show something else than what follows.
 * @param place what a cursor of the list holds, bounded: anybody can write one
 */
export function cursorsOf<Place>(list: readonly unknown[], place: z.ZodType<Place>): Cursors<Place> {
  const mark = createHash('sha256').update(JSON.stringify(list)).digest('base64url').slice(0, 8);
  return {
    encode: (value) => Buffer.from(JSON.stringify([mark, value])).toString('base64url'),
    decode: (cursor, name) => {
      if (cursor == null) return undefined;
      const [found, value] = parse(cursor);
      const parsed = place.safeParse(value);
      if (found !== mark || !parsed.success) throw invalidCursor(cursor, name);
      return parsed.data;
    },
  };
}

function parse(cursor: string): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

function invalidCursor(cursor: string, name: string): AsgardError {
  const message = 'is no cursor of this list in this order: cursors go with the arguments that they came from';
  return new AsgardError('INVALID_INPUT', `"${name}" ${message}: ${cursor.slice(0, 100)}`, {
    issues: [{ path: [name], message, type: 'value_error' }],
  });
}

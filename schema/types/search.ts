import { invalidInput } from '../../src/platform/errors.ts';
import { checkDatabaseText } from '../database-text.ts';

const MAX_SEARCH = 250;

/** What the argument `search` of a list does. */
export function searchDescription(things: string): string {
  return (
    `Only ${things} whose name contains this, in any case; at most ${MAX_SEARCH} characters. The characters ` +
    '`_`, `%`, `\'`, `"` and `\\` stand for any one.'
  );
}

/** @throws AsgardError INVALID_INPUT for a text that is too long or that no database can hold */
export function checkSearch(search: string | null | undefined): string | undefined {
  checkDatabaseText(['search'], search);
  if (search != null && search.length > MAX_SEARCH) {
    throw invalidInput(['search'], `"search" must have at most ${MAX_SEARCH} characters, it has ${search.length}`);
  }
  return search ?? undefined;
}

import { invalidInput } from '../src/platform/errors.ts';
import { isStorableText } from '../src/platform/text.ts';

/** @throws AsgardError INVALID_INPUT when the databases cannot hold the text; absent and null pass */
export function checkDatabaseText(path: readonly string[], text: string | null | undefined): void {
  if (text == null || isStorableText(text)) return;
  throw invalidInput(path, `"${path.join('.')}" must be text without NUL and without half characters`);
}

/** Loads those keys that can exist; the others are null. Results are in the order of `keys`. */
export async function loadPossible<T>(
  keys: readonly string[],
  load: (keys: string[]) => Promise<readonly (T | null)[]>,
): Promise<(T | null)[]> {
  const possible = keys.filter(isStorableText);
  const loaded = possible.length === 0 ? [] : await load(possible);
  const found = new Map(possible.map((key, index) => [key, loaded[index] ?? null]));
  return keys.map((key) => found.get(key) ?? null);
}

import { invalidInput } from '../src/platform/errors.ts';

/** An input without what is null, for which absent is one more word. */
export function withoutNulls(input: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== null));
}

/** A map of pairs. @throws AsgardError INVALID_INPUT when a key is given twice; `path` leads to the list of pairs */
export function recordOf(
  path: readonly (string | number)[],
  pairs: readonly (readonly [string, string])[],
): Record<string, string> {
  const found = new Map<string, string>();
  for (const [key, value] of pairs) {
    if (found.has(key)) throw invalidInput([...path, key], `${path.join('.')}: "${key}" is given twice`, 'duplicate');
    found.set(key, value);
  }
  return Object.fromEntries(found);
}

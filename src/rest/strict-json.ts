import { AsgardError } from '../platform/errors.ts';

/** Deeper ones are no request of ours, and what walks through them by recursion would run out of stack. */
const MAX_DEPTH = 100;

/** A string, with the colon that makes it a key; or where an object or list begins or ends. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?|[[\]{}]/g;

/**
 * Looks for what JSON.parse lets pass and nobody can mean: a key that is given twice in one object, of which the first
 * would be lost, and nesting of more than 100 levels.
 * @param text valid JSON
 * @throws AsgardError INVALID_INPUT that leads to the key
 */
export function refuseDubiousJson(text: string): void {
  const levels: { readonly keys: Set<string>; key: string | undefined }[] = [];
  for (const [token, colon] of text.matchAll(TOKEN)) {
    if (token === '{' || token === '[') {
      if (levels.length === MAX_DEPTH) throw refused([], `JSON is nested more than ${MAX_DEPTH} levels deep`);
      levels.push({ keys: new Set(), key: undefined });
    } else if (token === '}' || token === ']') {
      levels.pop();
    } else if (colon !== undefined) {
      const level = levels.at(-1);
      if (level === undefined) continue;
      level.key = String(JSON.parse(token.slice(0, -colon.length)));
      if (level.keys.has(level.key)) throw refused(pathTo(levels), 'is given twice');
      level.keys.add(level.key);
    }
  }
}

/** Through objects; a list on the way is not told by its index. */
function pathTo(levels: readonly { readonly key: string | undefined }[]): string[] {
  return levels.flatMap(({ key }) => (key === undefined ? [] : [key]));
}

function refused(path: readonly string[], message: string): AsgardError {
  return new AsgardError('INVALID_INPUT', message, { issues: [{ path, message, type: 'json_invalid' }] });
}

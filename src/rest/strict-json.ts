import { AsgardError } from '../platform/errors.ts';
import { endOfString } from '../platform/exact-json.ts';

/** Deeper ones are no request of ours, and what walks through them by recursion would run out of stack. */
const MAX_DEPTH = 100;

/** Where a string begins, or an object or list begins or ends. Whole strings by a pattern would overflow its stack. */
const MARK = /["{}[\]]/g;
const COLON = /\s*:/y;
const [TAB, RETURN, SPACE, COLON_CODE] = [9, 13, 32, 58];

interface Level {
  readonly keys: Set<string>;
  /** The one whose value is being read. */
  key: string | undefined;
}

/**
 * Looks for what JSON.parse lets pass and nobody can mean: a key that is given twice in one object, of which the first
 * would be lost, and nesting of more than 100 levels. In time linear in the text's length.
 * @param text valid JSON
 * @param value what `parseExactJson` made of it
 * @throws AsgardError INVALID_INPUT that leads to the key
 */
export function refuseDubiousJson(text: string, value: unknown): void {
  // Counting takes about as long as JSON.parse does, a quarter of what following every object through the text takes.
  if (keysIn(text) !== keysOf(value, 0)) refuseDubiousText(text);
}

/** How many keys objects of the text are given. */
function keysIn(text: string): number {
  let count = 0;
  for (let quote = text.indexOf('"'); quote !== -1; ) {
    let at = endOfString(text, quote) + 1;
    let code = text.charCodeAt(at);
    while (code === SPACE || (code >= TAB && code <= RETURN)) {
      at += 1;
      code = text.charCodeAt(at);
    }
    if (code === COLON_CODE) count += 1;
    quote = text.indexOf('"', at);
  }
  return count;
}

/** How many they have; NaN, which no count is equal to, when it is nested too deep. */
function keysOf(value: unknown, depth: number): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (depth === MAX_DEPTH) return Number.NaN;
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object' && item !== null) count += keysOf(item, depth + 1);
    return count;
  }
  // A whole number whose digits were kept.
  if (JSON.isRawJSON(value)) return 0;
  for (const item of Object.values(value)) {
    count += 1;
    if (typeof item === 'object' && item !== null) count += keysOf(item, depth + 1);
  }
  return count;
}

function refuseDubiousText(text: string): void {
  const levels: Level[] = [];
  for (let at = indexOf(MARK, text, 0); at !== -1; at = indexOf(MARK, text, at + 1)) {
    const mark = text[at];
    if (mark === '{' || mark === '[') {
      if (levels.length === MAX_DEPTH) throw refused([], `JSON is nested more than ${MAX_DEPTH} levels deep`);
      levels.push({ keys: new Set(), key: undefined });
    } else if (mark === '"') {
      const end = endOfString(text, at);
      if (indexOf(COLON, text, end + 1) !== -1) noteKey(levels, text.slice(at, end + 1));
      at = end;
    } else {
      levels.pop();
    }
  }
}

function indexOf(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.exec(text)?.index ?? -1;
}

function noteKey(levels: readonly Level[], literal: string): void {
  const level = levels.at(-1);
  if (level === undefined) return;
  level.key = literal.includes('\\') ? String(JSON.parse(literal)) : literal.slice(1, -1);
  if (level.keys.has(level.key)) throw refused(pathTo(levels), 'is given twice');
  level.keys.add(level.key);
}

/** Through objects; a list on the way is not told by its index. */
function pathTo(levels: readonly Level[]): string[] {
  return levels.flatMap(({ key }) => (key === undefined ? [] : [key]));
}

function refused(path: readonly string[], message: string): AsgardError {
  return new AsgardError('INVALID_INPUT', message, { issues: [{ path, message, type: 'json_invalid' }] });
}

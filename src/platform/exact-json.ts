import { randomUUID } from 'node:crypto';

declare global {
  interface JSON {
    /** What JSON.stringify writes as this text, without quotes around it. */
    rawJSON(text: string): object;
    isRawJSON(value: unknown): boolean;
  }
}

/** A whole number of 16 digits or more, where no string begins or ends beside it. Of more than 40 nobody needs every digit. */
const LONG_INTEGER = /(?<=^|[[,:\s])-?\d{16,40}(?=$|[\s,\]}])/;
const LONG_INTEGERS = new RegExp(LONG_INTEGER, 'g');
const BACKSLASH = 92;

/**
 * Parses JSON and keeps the digits of whole numbers beyond 2^53, which JSON.parse rounds to the next double: each becomes
 * an object that JSON.stringify writes as it was, and that is no number to whoever looks at its type. Texts without one take as
 * long as JSON.parse. (A reviver could see the digits too, and would be called for each of a million values: some seconds.)
 * @throws SyntaxError as JSON.parse does
 */
export function parseExactJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (!LONG_INTEGER.test(text)) return value;
  // Whoever wrote the text cannot know it, so that no string of theirs is taken for a number.
  const mark = randomUUID();
  return withDigits(JSON.parse(markIntegers(text, mark)), mark);
}

/** The digits of a number that `parseExactJson` kept whole; undefined for anything else. */
export function keptDigits(value: unknown): string | undefined {
  return JSON.isRawJSON(value) ? JSON.stringify(value) : undefined;
}

/** A whole number as `parseExactJson` has it. */
export function exactInteger(value: bigint): number | object {
  return Number.isSafeInteger(Number(value)) ? Number(value) : JSON.rawJSON(String(value));
}

/** The whole number that a value is, which may be what `parseExactJson` made of it; null of anything else. */
export function toBigint(value: unknown): bigint | null {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : null;
  return JSON.isRawJSON(value) ? BigInt(JSON.stringify(value)) : null;
}

/** Puts the numbers in question into strings. The text is valid JSON. */
function markIntegers(text: string, mark: string): string {
  const markAll = (part: string) =>
    part.replace(LONG_INTEGERS, (digits) => (Number.isSafeInteger(Number(digits)) ? digits : `"${mark}${digits}"`));
  const parts: string[] = [];
  let at = 0;
  for (let quote = text.indexOf('"'); quote !== -1; quote = text.indexOf('"', at)) {
    const end = endOfString(text, quote) + 1;
    parts.push(markAll(text.slice(at, quote)), text.slice(quote, end));
    at = end;
  }
  parts.push(markAll(text.slice(at)));
  return parts.join('');
}

/** The index of the quote that ends the string which begins at `start`: one with an even number of backslashes before it. */
export function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); ; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return quote;
  }
}

/** Without recursion: what came from elsewhere may be nested as deep as it is long. */
function withDigits(root: unknown, mark: string): unknown {
  const whole: unknown[] = [root];
  const pending: (unknown[] | Record<string, unknown>)[] = [whole];
  const restored = (value: unknown): unknown => {
    if (typeof value === 'string') return value.startsWith(mark) ? JSON.rawJSON(value.slice(mark.length)) : value;
    if (isContainer(value)) pending.push(value);
    return value;
  };
  for (let container = pending.pop(); container !== undefined; container = pending.pop()) {
    if (Array.isArray(container)) {
      for (let index = 0; index < container.length; index += 1) container[index] = restored(container[index]);
    } else {
      for (const key of Object.keys(container)) container[key] = restored(container[key]);
    }
  }
  return whole[0];
}

function isContainer(value: unknown): value is unknown[] | Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

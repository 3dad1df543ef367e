import { describe, expect, test } from 'vitest';
import { AsgardError } from '../../src/platform/errors.ts';
import { parseExactJson } from '../../src/platform/exact-json.ts';
import { refuseDubiousJson } from '../../src/rest/strict-json.ts';

function problemOf(text: string): string | undefined {
  try {
    refuseDubiousJson(text, parseExactJson(text));
    return undefined;
  } catch (error) {
    if (!(error instanceof AsgardError)) throw error;
    return error.issues.map(({ path, message }) => `${path.join('.')} ${message}`).join();
  }
}

describe('a key that is given twice', () => {
  test.each([
    ['{"a": 1, "a": 2}', 'a'],
    ['{"a": 1, "b": {"c": 1, "d": 2, "c": 3}}', 'b.c'],
    ['{"b": [{"c": 1}, {"c": 1, "c": 1}]}', 'b.c'],
    [String.raw`{"a": 1, "\u0061": 2}`, 'a'],
    ['{"a" : 1, "a"\n: 2}', 'a'],
    [String.raw`{"\"": 1, "\"": 2}`, '"'],
    ['{"__proto__": 1, "__proto__": 2}', '__proto__'],
    ['{"a": [9007199254740993], "a": [9007199254740993]}', 'a'],
  ])('%s is refused at its place', (text, place) => {
    expect(problemOf(text)).toBe(`${place} is given twice`);
  });

  test.each([
    '{}',
    '7',
    '"a"',
    '[]',
    '["a", "a"]',
    '[{"a": 1}, {"a": 1}]',
    '{"a": {"a": {"a": 1}}, "b": {"a": 1}}',
    '{"a": "a", "b": "a"}',
    String.raw`{"a": "\"a\": 1, ", "b": "{\"a\": [", "c": "\\"}`,
    '{"a": "}{][", "b": ":"}',
    '{"a": [9007199254740993], "b": {"c": 12345678901234567890}}',
  ])('%s has none', (text) => {
    expect(problemOf(text)).toBeUndefined();
  });
});

test('nesting of 100 levels is taken, and of more refused', () => {
  const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
  expect(problemOf(nested(100))).toBeUndefined();
  expect(problemOf(nested(101))).toContain('nested more than 100 levels');
  expect(problemOf(`{"a": ${'{"a": '.repeat(100)}1${'}'.repeat(101)}`)).toContain('nested more than 100 levels');
  expect(problemOf(nested(1_000_000))).toContain('nested');
});

test.each([
  ['backslashes', JSON.stringify({ a: '\\'.repeat(4_000_000) })],
  ['line feeds', JSON.stringify({ a: 'x\n'.repeat(4_000_000) })],
  ['plain text', JSON.stringify({ a: 'x'.repeat(8_000_000) })],
  ['keys', JSON.stringify(Object.fromEntries(Array.from({ length: 300_000 }, (_, index) => [`key ${index}`, 1])))],
  ['numbers', JSON.stringify({ a: Array.from({ length: 1_000_000 }, (_, index) => index / 7) })],
])('a large body of %s is looked through in about the time that it takes to parse it', (_what, text) => {
  // What it costs, rather than how long it takes: others may be at the CPU meanwhile.
  const costMs = (work: () => void) => {
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
  let value: unknown;
  const parsingMs = costMs(() => {
    value = JSON.parse(text);
  });
  expect(costMs(() => refuseDubiousJson(text, value))).toBeLessThan(1000 + 20 * parsingMs);
});

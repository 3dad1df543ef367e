import { expect, test } from 'vitest';
import { parseExactJson } from '../../src/platform/exact-json.ts';

test.each([
  '9007199254740993',
  '[9007199254740993,-9007199254740993]',
  '{"a":[18446744073709551616],"b":{"c":9223372036854775807}}',
  '{"__proto__":9007199254740993}',
  `{"id":"9007199254740993","text":", 9007199254740993,","n":[${'9'.repeat(40)}]}`,
  String.raw`{"a\"":"\\","b":9007199254740993,"\\\"":"}"}`,
])('%s is written as it was read', (text) => {
  expect(JSON.stringify(parseExactJson(text))).toBe(text);
  // Blanks beside a number do not matter.
  expect(JSON.stringify(parseExactJson(text.replaceAll(/(?<=[:[,])(?=-?\d+[\],}])/g, '\n ')))).toBe(text);
});

test.each(['[1, 2.5, -3e4, 9007199254740991, null, "x"]', '{"a": {"b": []}}', '"9007199254740993"', 'true'])(
  '%s, without such a number, is what JSON.parse makes of it',
  (text) => {
    expect(parseExactJson(text)).toEqual(JSON.parse(text));
  },
);

test('a fraction, an exponent and a number of more digits than a double has range for stay doubles', () => {
  const text = `[12345678901234567.25, 12345678901234567e3, 0.12345678901234567, 1e999, ${'9'.repeat(400)}]`;
  expect(parseExactJson(text)).toEqual(JSON.parse(text));
});

test('whole numbers beyond 2^53 alone are other than numbers, as 2^53 may have been its neighbour', () => {
  const kinds = (text: string) => (parseExactJson(text) as unknown[]).map((value) => typeof value);
  expect(kinds('[9007199254740991, 9007199254740992, -9007199254740992, 1e17]')).toEqual([
    'number',
    'object',
    'object',
    'number',
  ]);
});

test.each(['', '{', '[9007199254740993', '"9007199254740993', '[9007199254740993 1]'])('%s is no JSON', (text) => {
  expect(() => parseExactJson(text)).toThrow(SyntaxError);
});

test('nesting of thousands of levels does not run out of stack', () => {
  const text = `${'['.repeat(5_000)}9007199254740993${']'.repeat(5_000)}`;
  expect(() => parseExactJson(text)).not.toThrow();
});

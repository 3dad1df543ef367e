import { expect, test, vi } from 'vitest';
import { AsgardError } from '../../src/platform/errors.ts';
import { parseJson } from '../../src/rest/json-body.ts';

test('JSON is parsed, and an empty body is none', () => {
  expect(parseJson('{"a": [1, "✅"]}')).toEqual({ a: [1, '✅'] });
  expect(parseJson(' \n')).toBeUndefined();
});

test.each([
  ["{'a': 1}", 1],
  ['{"a" 1}', 5],
  ['{"a": 1', 7],
  ['{"a": "x', 8],
  ['{"a": 1} x', 9],
])('%s stops being JSON at position %d', (text, position) => {
  expect(() => parseJson(text)).toThrow(notJson(position));
});

test.each(['hello', '{"a": }', '[1,]', '{"a": nil}', '[NaN]'])(
  '%s holds an unexpected token, at no position that is known, and the message shows it',
  (text) => {
    expect(() => parseJson(text)).toThrow(notJson(0, 'Unexpected token'));
  },
);

test('a text that is not JSON is parsed once, however large it is', () => {
  const parse = vi.spyOn(JSON, 'parse');
  try {
    expect(() => parseJson(`{"a": [${'1.5, '.repeat(10_000)}nil]}`)).toThrow(notJson(0));
    expect(parse).toHaveBeenCalledTimes(1);
  } finally {
    parse.mockRestore();
  }
});

function notJson(position: number, message = '') {
  const issue = { path: [position], type: 'json_invalid', message: expect.stringMatching(message) };
  return expect.objectContaining({ name: AsgardError.name, code: 'INVALID_INPUT', issues: [issue] });
}

import { expect, test } from 'vitest';
import { AsgardError } from '../../src/platform/errors.ts';
import { parseJson } from '../../src/rest/json-body.ts';

test('JSON is parsed, and an empty body is none', () => {
  expect(parseJson('{"a": [1, "✅"]}')).toEqual({ a: [1, '✅'] });
  expect(parseJson(' \n')).toBeUndefined();
});

test.each([
  ['hello', 0],
  ["{'a': 1}", 1],
  ['{"a": }', 6],
  ['{"a" 1}', 5],
  ['[1,]', 3],
  ['{"a": 1', 7],
  ['{"a": "x', 8],
  ['{"a": 1} x', 9],
  ['{"a": nil}', 7],
  ['[1, 2, tru]', 10],
  ['[NaN]', 1],
])('%s stops being JSON at position %d', (text, position) => {
  const action = () => parseJson(text);
  expect(action).toThrow(AsgardError);
  expect(action).toThrow(
    expect.objectContaining({
      code: 'INVALID_INPUT',
      issues: [expect.objectContaining({ path: [position], type: 'json_invalid' })],
    }),
  );
});

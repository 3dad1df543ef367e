import { expect, test } from 'vitest';
import { inputOf } from '../../src/inference/online-input.ts';
import { keptDigits } from '../../src/platform/exact-json.ts';

test.each([
  ['7', 'long', 7],
  ['-12', 'int32', -12],
  ['7', 'string', '7'],
  ['7', null, '7'],
  ['07', 'long', '07'],
  ['seven', 'long', 'seven'],
  [1_762_164_000, 'datetime', '2025-11-03T10:00:00.000Z'],
  [1_762_164_000, 'long', 1_762_164_000],
  [null, 'datetime', null],
  [null, 'long', null],
])('%j of the online store is for a column of type %s the input %j', (value, type, input) => {
  expect(inputOf(value, type)).toBe(input);
});

test('a whole number beyond 2^53 keeps its digits where a column takes such', () => {
  expect(keptDigits(inputOf('9007199254740993', 'long'))).toBe('9007199254740993');
  expect(inputOf('9007199254740993', 'string')).toBe('9007199254740993');
});

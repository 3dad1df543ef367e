import { expect, test } from 'vitest';
import { batchText } from '../../src/inference/python/batch-text.ts';
import { exactInteger } from '../../src/platform/exact-json.ts';

const column = (length: number, value: (at: number) => unknown) => Array.from({ length }, (_, at) => value(at));
const ask = (inputs: Record<string, unknown[]>) => ({ inputs, return_probabilities: true });

test('a small batch is one text', () => {
  const batch = [ask({ a: [1, 'ü"', null], b: [[1], { c: 2 }, true] }), ask({})];
  expect([...batchText(batch)]).toEqual([JSON.stringify(batch)]);
});

test.each([1, 19_999, 20_000, 20_001, 40_000, 100_000])(
  'one of %i rows beside others says in pieces what it does as a whole',
  (rows) => {
    const batch = [
      ask({ n: column(rows, (at) => at / 7), '__proto__ "x"': column(rows, (at) => `é${at}`) }),
      ask({ far: column(3, (at) => exactInteger(2n ** 60n + BigInt(at))), gap: [null, undefined, [undefined]] }),
      ask({ last: column(20_001, () => true) }),
    ];
    const pieces = [...batchText(batch)];
    expect(pieces.length).toBeGreaterThan(3);
    expect(JSON.parse(pieces.join(''))).toEqual(JSON.parse(JSON.stringify(batch)));
    expect(pieces.join('')).toContain('1152921504606846978');
    expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(20_000 * 25);
  },
);

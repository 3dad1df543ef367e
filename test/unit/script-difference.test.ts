import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { scriptDifference } from '../../src/jobs/script-difference.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }));
afterEach(() => void vi.useRealTimers());

const textOf = (word: string, lines: number) => Array.from({ length: lines }, (_, at) => `${word} = ${at}`).join('\n');

/** Of two scripts of so many lines that have none in common, on a machine that does something else for a minute meanwhile. */
function compared(lines: number) {
  const [before, after] = ['depth', 'width'].map((word) => ({ name: 'train.py', text: textOf(word, lines) }));
  if (before === undefined || after === undefined) throw new Error('there are two');
  const difference = scriptDifference(before, after);
  vi.setSystemTime(Date.now() + 60_000);
  return difference;
}

test('short scripts are compared however late that is, and long ones given up', async () => {
  expect(await compared(100)).toMatchObject({ addedLines: 100, removedLines: 100, isCut: false });
  expect(await compared(1_000)).toEqual({ unified: null, addedLines: 0, removedLines: 0, isCut: false });
});

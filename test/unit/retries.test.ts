import { describe, expect, test } from 'vitest';
import { isRetried, pauseSecondsAfter } from '../../src/jobs/retries.ts';

const job = { retries: 2, retryOn: 'INFRASTRUCTURE', cancelRequestedAt: null } as const;
const LOST = { status: 'LOST', isInfrastructure: true } as const;

describe('another attempt follows', () => {
  test('a failure of what the script stands on, as long as there are retries left', () => {
    expect([1, 2, 3].map((attempt) => isRetried(job, attempt, LOST))).toEqual([true, true, false]);
    expect(isRetried({ ...job, retries: 0 }, 1, LOST)).toBe(false);
  });

  test('a failure of the script only when that was wished', () => {
    for (const status of ['FAILED', 'TIMED_OUT'] as const) {
      expect(isRetried(job, 1, { status })).toBe(false);
      expect(isRetried({ ...job, retryOn: 'ANY' }, 1, { status })).toBe(true);
    }
  });

  test('neither success nor a cancel, also one that was asked for while it failed by itself', () => {
    const any = { ...job, retryOn: 'ANY' } as const;
    expect(isRetried(any, 1, { status: 'COMPLETED' })).toBe(false);
    expect(isRetried(any, 1, { status: 'CANCELLED' })).toBe(false);
    expect(isRetried({ ...any, cancelRequestedAt: new Date() }, 1, LOST)).toBe(false);
  });
});

test('pauses double up to five minutes, and are up to half as long by chance', () => {
  expect([1, 2, 3, 8, 9, 10].map((attempt) => pauseSecondsAfter(attempt, 0))).toEqual([2, 4, 8, 256, 300, 300]);
  expect([1, 10].map((attempt) => pauseSecondsAfter(attempt, 1))).toEqual([1, 150]);
  const seen = new Set(Array.from({ length: 20 }, () => pauseSecondsAfter(1)));
  expect(seen.size).toBeGreaterThan(10);
});

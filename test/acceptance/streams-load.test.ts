import { expect, inject, test } from 'vitest';
import { lineDelays, lineRate } from '../../bench/stream-load.ts';
import { JOB_LIMIT_MS } from '../support/jobs-for-tests.ts';

/** What the benchmarks measure with large numbers, here with small ones: that nothing is lost. */
const { url } = inject('platform');

test('a script that prints 20,000 lines in a second reaches its subscriber whole', {
  timeout: JOB_LIMIT_MS,
}, async () => {
  expect(await lineRate(url, { rate: 20_000, seconds: 1 })).toMatchObject({ lines: 20_001 });
});

test('each of many subscribers of several jobs receives every line', { timeout: JOB_LIMIT_MS }, async () => {
  const load = { jobs: 2, subscribers: 30, lines: 10, pauseSeconds: 0.02, silenceSeconds: 0.2, startSeconds: 3 };
  const { lines, afterSilence } = await lineDelays(url, load);
  expect([lines.length, afterSilence.length]).toEqual([300, 30]);
});

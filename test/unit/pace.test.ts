import { expect, test } from 'vitest';
import { Pace } from '../../src/platform/pace.ts';

test('a few turns pass at once, later ones one in a while, and after a rest a few again', async () => {
  const pace = new Pace(100, 3);
  let now = 5_000;
  const pausesOf = (turns: number) =>
    Array.from({ length: turns }, () => {
      const pauseMs = pace.take(now);
      now += pauseMs;
      return pauseMs;
    });
  expect(pausesOf(3)).toEqual([0, 0, 0]);
  expect(pausesOf(4)).toEqual([100, 100, 100, 100]);
  now += 400;
  expect(pausesOf(4)).toEqual([0, 0, 0, 100]);
});

test('a turn is waited for on the real clock', async () => {
  const pace = new Pace(50, 1);
  const startedAt = performance.now();
  for (let turn = 0; turn < 3; turn += 1) await pace.turn();
  // Timers may fire a little early, and late as the machine likes.
  expect(performance.now() - startedAt).toBeGreaterThan(95);
});

import { expect, test } from 'vitest';
import { Pace } from '../../src/platform/pace.ts';

test('a few turns pass at once, later ones one in a while, and after a rest a few again', async () => {
  const EVERY_MS = 100;
  const pace = new Pace(EVERY_MS, 3);
  const timeOf = async (turns: number) => {
    const startedAt = performance.now();
    for (let turn = 0; turn < turns; turn += 1) await pace.turn();
    return performance.now() - startedAt;
  };
  expect(await timeOf(3)).toBeLessThan(EVERY_MS);
  expect(await timeOf(4)).toBeGreaterThan(3.5 * EVERY_MS);
  await new Promise((resolve) => setTimeout(resolve, 4 * EVERY_MS));
  expect(await timeOf(3)).toBeLessThan(EVERY_MS);
});

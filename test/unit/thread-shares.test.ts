import { expect, test } from 'vitest';
import { threadShares } from '../../src/worker/thread-shares.ts';

test.each([
  [
    { slots: 1, launchers: 2 },
    { threads: 1, slotsEach: 1, launchersEach: 2 },
  ],
  [
    { slots: 64, launchers: 5 },
    { threads: 1, slotsEach: 64, launchersEach: 5 },
  ],
  [
    { slots: 65, launchers: 5 },
    { threads: 2, slotsEach: 33, launchersEach: 2 },
  ],
  [
    { slots: 256, launchers: 8 },
    { threads: 4, slotsEach: 64, launchersEach: 2 },
  ],
  [
    { slots: 256, launchers: 2 },
    { threads: 4, slotsEach: 64, launchersEach: 1 },
  ],
  [
    { slots: 256, launchers: 0 },
    { threads: 4, slotsEach: 64, launchersEach: 0 },
  ],
])(
  '%j are shared out among threads so that all of them together have no more launchers than asked for, but one each',
  (platform, shares) => {
    expect(threadShares(platform)).toEqual(shares);
  },
);

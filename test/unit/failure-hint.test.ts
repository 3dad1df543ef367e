import { describe, expect, it } from 'vitest';
import { failureHint } from '../../src/worker/failure-hint.ts';

describe('the hint about a failure', () => {
  it.each([
    ["ModuleNotFoundError: No module named 'lightgbm.sklearn'", /package that has lightgbm in the job's requirements/],
    [
      "FileNotFoundError: [Errno 2] No such file or directory: 'train.csv'",
      /empty folder of its own.* \/home\/me\/data$/,
    ],
    ["PermissionError: [Errno 13] Permission denied: '/root/it's.csv'", /everybody may read; .* \/home\/me\/data$/],
  ])('tells of %s what to do', (uncaught, hint) => {
    expect(failureHint(uncaught, '/home/me/data')).toMatch(hint);
  });

  it.each(["KeyError: 'target'", "ModuleNotFoundError: No module named ''", 'FileNotFoundError: no such model'])(
    'is not given where it would be a guess: %s',
    (uncaught) => {
      expect(failureHint(uncaught, '/home/me/data')).toBeNull();
    },
  );
});

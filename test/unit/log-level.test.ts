import { expect, test } from 'vitest';
import { levelOf } from '../../src/jobs/log-level.ts';

test.each([
  ['WARNING:root:watch out', 'WARNING'],
  ['2025-11-03 10:00:00,123 - train - INFO - epoch 1', 'INFO'],
  ['2025-11-03 10:00:00.123 | DEBUG    | __main__:fit:12 - shapes', 'DEBUG'],
  ['2025/11/03 10:00:00 ERROR mlflow.tracking: no run', 'ERROR'],
  ['[CRITICAL] out of memory', 'CRITICAL'],
  ['\x1b[32mINFO\x1b[0m: started', 'INFO'],
  ['25/11/03 10:00:00 WARN TaskSetManager: lost', 'WARNING'],
  ['FATAL: no such role', 'CRITICAL'],
  ['INFO: no ERROR was found', 'INFO'],
  ['E1103 10:00:00.123456 12 gpu.cc:3] no device', 'ERROR'],
  ['W0000 00:00:1730628000.1 12 x', 'WARNING'],
  ['/venv/x.py:12: UserWarning: old', 'WARNING'],
  ['train.py:3: sklearn.exceptions.ConvergenceWarning: no', 'WARNING'],
  ['Traceback (most recent call last):', 'ERROR'],
  ['ValueError: no', 'ERROR'],
  ['sklearn.exceptions.NotFittedError: fit first', 'ERROR'],
  ['KeyboardInterrupt', 'ERROR'],
  ['  File "train.py", line 3, in <module>', undefined],
  ['error: all is well', undefined],
  ['loss=0.3 INFORMATION DEBUG_MODE=1', undefined],
  [`${'x'.repeat(130)} ERROR`, undefined],
  ['', undefined],
])('%j is %s', (text, level) => expect(levelOf(text)).toBe(level));

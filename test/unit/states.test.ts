import { describe, expect, test } from 'vitest';
import { JobStatus } from '../../src/database/generated/enums.ts';
import { isTerminal, sourcesOf } from '../../src/jobs/states.ts';

const TERMINAL: JobStatus[] = ['COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT', 'LOST'];
const all = Object.values(JobStatus);

describe('the statuses of a job', () => {
  test.each(all)('%s is terminal only if it is one of the five', (status) => {
    expect(isTerminal(status)).toBe(TERMINAL.includes(status));
  });

  test('no move leads out of a terminal one', () => {
    for (const target of all) expect(sourcesOf(target).filter(isTerminal)).toEqual([]);
  });

  test.each<[JobStatus, JobStatus[]]>([
    ['QUEUED', ['PREPARING', 'RUNNING']],
    ['PREPARING', ['QUEUED']],
    ['RUNNING', ['PREPARING']],
    ['COMPLETED', ['RUNNING']],
    ['FAILED', ['PREPARING', 'RUNNING']],
    ['CANCELLED', ['QUEUED', 'PREPARING', 'RUNNING']],
    ['TIMED_OUT', ['PREPARING', 'RUNNING']],
    ['LOST', ['PREPARING', 'RUNNING']],
  ])('%s is reached from %j', (target, sources) => {
    expect(sourcesOf(target).toSorted()).toEqual(sources.toSorted());
  });
});

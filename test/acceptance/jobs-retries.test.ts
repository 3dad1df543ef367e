import { createHash } from 'node:crypto';
import { afterAll, expect, test } from 'vitest';
import type { JobEvent } from '../../src/client/client.ts';
import { MODEL_SCRIPT } from '../support/job-scripts.ts';
import { Gate, JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';

const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

/** What an attempt's proof must say of the script's lines among these events. */
function proofOf(events: readonly JobEvent[]): object {
  const lines = events.flatMap((event) =>
    event.__typename === 'LogLine' && event.stream !== 'PLATFORM' ? [`${event.text}\n`] : [],
  );
  const bytes = Buffer.from(lines.join(''));
  return { lines: lines.length, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

test(
  'a job that is tried again has all output of both attempts, each proven, and takes no model of the first',
  async () => {
    await using gate = await Gate.create();
    const id = await jobs.submit(
      `${gate.python}
if is_told("saved"):
    print("second", flush=True)
    sys.exit()
${MODEL_SCRIPT}
print("first", flush=True)
tell("saved")
sys.exit(3)
`,
      { retries: 1, retryOn: 'ANY' },
    );
    const { events, job, stdout } = await jobs.end(id);
    expect(job).toMatchObject({ status: 'COMPLETED', error: null, modelVersion: null, run: null });
    expect(stdout).toEqual(expect.arrayContaining(['first', 'second']));
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_event, index) => index + 1));
    const cut = events.findIndex(({ __typename }) => __typename === 'AttemptEnded');
    const error = 'the script ended with exit code 3';
    expect(events[cut]).toMatchObject({ attempt: 1, status: 'FAILED', error, ...proofOf(events.slice(0, cut)) });
    expect(events.at(-1)).toMatchObject({ status: 'COMPLETED', exitCode: 0, ...proofOf(events.slice(cut)) });
  },
  JOB_LIMIT_MS,
);

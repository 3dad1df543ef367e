import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, inject, test } from 'vitest';
import { JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { constantModel } from '../support/model-pickle.ts';
import { poll } from '../support/poll.ts';
import { savedPickle } from '../support/saved-pickle.ts';
import { uniqueName } from '../support/unique-name.ts';

const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

const { url } = inject('platform');
const ROUNDS = 8;

test('whoever saw a job completed gets its version as the newest, at once, and no request meanwhile fails', {
  timeout: JOB_LIMIT_MS,
}, async () => {
  const name = uniqueName('newest');
  const ask = async (version?: string) => {
    const answer = await fetch(`${url}/mlops/inference`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model_name: name, inputs: { x: [1] }, model_version: version }),
    });
    return { status: answer.status, body: (await answer.json()) as { predictions?: unknown[]; detail?: unknown } };
  };
  /** As REST has it, or as its events tell. */
  const completed = async (id: string, round: number) => {
    if (round % 2 === 0) return expect((await jobs.end(id)).job).toMatchObject({ status: 'COMPLETED' });
    const look = async () => (await fetch(`${url}/mlops/training/jobs/${id}`)).json() as Promise<{ status: string }>;
    await poll(look, ({ status }) => status === 'completed', JOB_LIMIT_MS);
  };

  const counts = { asked: 0, failed: 0, older: 0 };
  let isOver = false;
  let newest = 0;
  const others = async (version?: string) => {
    for (let last = 0; !isOver; await delay(20)) {
      const least = newest;
      const { status, body } = await ask(version);
      const value = Number(body.predictions?.[0]);
      counts.asked += 1;
      if (status !== 200) counts.failed += 1;
      else if (value < Math.max(last, least)) counts.older += 1;
      else last = value;
    }
  };
  let asking: Promise<void>[] = [];
  try {
    for (let round = 1; round <= ROUNDS; round += 1) {
      const id = await jobs.submit(savedPickle(constantModel(round)), { modelName: name });
      await completed(id, round);
      const answers = await Promise.all([ask(), ask('latest')]);
      newest = round;
      expect(answers.map(({ body }) => body.predictions)).toEqual([[round], [round]]);
      if (round > 1) continue;
      asking = [others(), others('latest')];
      for (const each of asking) each.catch(() => {}); // waited for below
    }
  } finally {
    isOver = true;
    await Promise.all(asking);
  }
  expect(counts).toEqual({ asked: expect.toSatisfy((asked) => asked > ROUNDS), failed: 0, older: 0 });
});

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeViews, restOf, writeTable } from '../../src/cli/demo-features.ts';
import { PROJECT_ROOT } from '../../src/config.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import { DataFolder, type TestPlatform, TOOLCHAIN } from '../support/data-folder.ts';
import { eventsOf, submit } from '../support/job-scripts.ts';
import { poll } from '../support/poll.ts';

const CHURN = join(PROJECT_ROOT, 'examples', 'churn');
const JOB_LIMIT_MS = 300_000;
/** The environment that converts is made for it, at low priority. */
const COMPILED_WITHIN_MS = 500_000;

let folder: DataFolder;
let script: string;
beforeAll(async () => {
  folder = await DataFolder.make();
  script = await readFile(join(CHURN, 'train.py'), 'utf8');
});
afterAll(() => folder?.[Symbol.asyncDispose]());

/** What was said of the model of the example's script, which reads its training set by Feast. */
async function checkOfJob({ client }: TestPlatform, modelName: string) {
  const events = await eventsOf(client, await submit(client, script, modelName));
  const checks = events.filter((event) => event.__typename === 'ModelChecked');
  expect(checks, JSON.stringify(events.slice(-5))).toHaveLength(1);
  return checks[0];
}

test('a model of a training set from the feature store is tried and proven with rows of that', {
  timeout: JOB_LIMIT_MS + COMPILED_WITHIN_MS,
}, async () => {
  await using platform = await folder.start();
  await platform.ready();
  const { client } = platform;
  const { stdout: csv } = await promisify(execFile)(toolchainPython(TOOLCHAIN), [
    join(CHURN, 'make_data.py'),
    '--keyed',
  ]);
  await writeTable(restOf(platform.url, {}), csv);
  await makeViews(restOf(platform.url, {}));
  expect(await checkOfJob(platform, 'churn')).toMatchObject({ isServable: true, exampleSource: 'TRAINING_ROWS' });
  const compiled = await poll(
    async () => (await client.modelVersion('churn', '1')).compilation,
    (compilation) => compilation?.status !== 'PENDING',
    COMPILED_WITHIN_MS,
  );
  expect(compiled).toMatchObject({ status: 'COMPILED', refusal: null });
  const rows = Object.fromEntries(compiled?.proof?.rows.map(({ source, count }) => [source, count]) ?? []);
  // Of 2,000 customers every second one was sent.
  expect(rows).toMatchObject({ EXAMPLE: 5, TRAINING: 1_000 });
});

test('a platform that is to keep no rows has none, and tries the model with a row that it makes', {
  timeout: JOB_LIMIT_MS,
}, async () => {
  await using platform = await folder.start({ ASGARD_TRAINING_SAMPLE: 'off', ASGARD_COMPILE: '0' });
  await platform.ready();
  expect(await checkOfJob(platform, 'private')).toMatchObject({ isServable: true, exampleSource: 'FEATURE_NAMES' });
});

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inheritedEnvironment, PROJECT_ROOT } from '../../src/config.ts';
import { ChildProcess } from '../../src/platform/process.ts';
import { DataFolder, type TestPlatform, TOOLCHAIN } from '../support/data-folder.ts';

const LIMIT_MS = 400_000;
const SEED = '20261124';
/** Of each query and mutation; all together about a minute. */
const EXAMPLES = '30';

test('operations made up from the schema are answered with data or expected errors', {
  timeout: LIMIT_MS,
}, async () => {
  await using folder = await DataFolder.make();
  await using platform = await folder.start({ ASGARD_WORKER_SLOTS: '1' });
  await platform.ready();
  const output: string[] = [];
  await using schemathesis = await ChildProcess.start({
    argv: [
      join(TOOLCHAIN, 'test-python', 'bin', 'schemathesis'),
      ...['run', `${platform.url}/graphql`, '--checks', 'expected_answer', '--phases', 'fuzzing', '--mode', 'positive'],
      ...['--seed', SEED, '--max-examples', EXAMPLES, '--request-timeout', '20', '--max-time', '90'],
      ...['--suppress-health-check', 'all', '--continue-on-failure', '--no-color', '--warnings', 'off'],
    ],
    cwd: folder.parent,
    env: {
      PATH: inheritedEnvironment()['PATH'],
      HOME: folder.parent,
      SCHEMATHESIS_HOOKS: join(PROJECT_ROOT, 'test', 'fixtures', 'graphql-fuzz', 'checks.py'),
      FUZZ_KNOWN: JSON.stringify(await known(platform)),
    },
    onLine: (_stream, line) => void output.push(line),
  });
  const { code } = await schemathesis.exited;
  expect(code, output.join('\n')).toBe(0);
  // Every query and mutation had its turn.
  expect(output.join('\n')).toMatch(/Tested: \d\d/);
  expect(platform.log.filter((line) => line.includes('.fault"'))).toEqual([]);
  for await (const { id } of platform.client.allJobs({ filter: { statuses: ['QUEUED', 'PREPARING', 'RUNNING'] } })) {
    await platform.client.cancel(id).catch(() => undefined);
  }
  await expect(platform.client.status()).resolves.toMatchObject({ ready: true });
});

/** Texts that name what is there, by the argument or the field of an input that takes them. */
async function known({ client, mlflowUrl }: TestPlatform): Promise<Record<string, readonly string[]>> {
  const script = 'print("a line")\n';
  const names = { experimentName: 'made', modelName: 'made' };
  const { id } = await client.submit({ scriptName: 'made.py', script, ...names });
  for await (const _event of client.jobEvents(id));
  const call = async (endpoint: string, content: object) => {
    const response = await fetch(`${mlflowUrl}/api/2.0/mlflow/${endpoint}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(content),
    });
    expect(response.ok).toBe(true);
    return response.json();
  };
  const { run } = await call('runs/create', { experiment_id: '0', run_name: 'made' });
  const { run_id, artifact_uri } = run.info;
  await call('registered-models/create', { name: 'made' });
  await call('model-versions/create', { name: 'made', run_id, source: `${artifact_uri}/model` });
  return {
    id: [id, '0', run_id],
    name: ['made', 'Default'],
    search: ['made', 'd'],
    version: ['1'],
    modelVersion: ['1'],
    scriptName: ['made.py'],
    script: [script],
    experimentName: ['made'],
    modelName: ['made'],
  };
}

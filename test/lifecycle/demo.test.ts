import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROJECT_ROOT } from '../../src/config.ts';
import { ChildProcess, isPortFree } from '../../src/platform/process.ts';
import { DataFolder } from '../support/data-folder.ts';
import { poll } from '../support/poll.ts';

const DEMO = join(PROJECT_ROOT, 'src', 'cli', 'demo.ts');
/** The first demo on a machine makes the base environment. */
const DEMO_LIMIT_MS = 280_000;
/** A job gets 12 s to be cancelled, and the platform 15 s to end. */
const ENDED_WITHIN_MS = 30_000;

/** What a demo prints that held, in this order, with whatever between. */
const KEY_LINES = [
  /^== Starting the platform$/,
  /^== Writing the Iceberg table gold\.customers/,
  /^ {3}2000 rows of 9 columns, snapshot \d+$/,
  /^== Making feature views of it/,
  /^ {3}customer_features: support_tickets_count, /,
  /^ {3}customer_outcomes: churned/,
  /^== Uploading examples\/churn\/train\.py$/,
  /^ {3}job [0-9a-f]{16}$/,
  /^ {3}\[QUEUED\]$/,
  /^ {3}\[PREPARING\]$/,
  /^ {3}\[RUNNING\]$/,
  /^ {3}\| Read 2000 customers/,
  /^ {3}\| ✅ Training completed!$/,
  /^ {3}\| ✓ Model artifact saved to MLflow \(model\/model\.pkl\)$/,
  /^ {3}\| ✅ Training completed successfully!$/,
  /^ {3}\[COMPLETED\]$/,
  /^ {3}\d+ lines, sha256 [0-9a-f]{16}…$/,
  /^ {3}churn_predictor version \d+, run [0-9a-f]{32}$/,
  /^ {3}test_accuracy = 0\.\d+$/,
  /^ {3}customer 1: churned = 1 \(probability 0\.\d\d\)$/,
  /^ {3}customer 2: churned = 0 \(probability 0\.\d\d\)$/,
  /^ {3}the newest of customer_features are online$/,
  /^ {3}customer_id 1: churned = [01]$/,
  /^ {3}customer_id 3: churned = [01]$/,
  /^ {3}GraphiQL {4}http:\/\/127\.0\.0\.1:\d+\/graphql$/,
  /^ {3}MLflow UI {3}http:\/\/127\.0\.0\.1:\d+$/,
];

let folder: DataFolder;
beforeAll(async () => {
  folder = await DataFolder.make();
});
afterAll(() => folder?.[Symbol.asyncDispose]());

/** The key lines that do not follow the one before them. */
function missing(output: string): RegExp[] {
  const lines = output.split('\n');
  let from = 0;
  return KEY_LINES.filter((pattern) => {
    const at = lines.findIndex((line, index) => index >= from && pattern.test(line));
    if (at !== -1) from = at + 1;
    return at === -1;
  });
}

describe.sequential('the demo', { timeout: DEMO_LIMIT_MS + 10_000 }, () => {
  test('with --exit shows every step and ends with exit code 0, leaving no process', async () => {
    const { code, stdout, stderr, seconds } = await folder.run({}, [DEMO, '--exit'], DEMO_LIMIT_MS);
    console.info(`demo --exit: ${seconds.toFixed(1)} s`);
    expect(missing(stdout)).toEqual([]);
    expect(stdout).toMatch(/so the platform ends\. Without --exit it keeps running\.\n$/);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(folder.processes()).toEqual([]);
  });

  test('without it keeps the platform running until Ctrl-C, which may demand a key', async () => {
    const lines: string[] = [];
    const { promise: isWaiting, resolve } = Promise.withResolvers<void>();
    await using demo = await ChildProcess.start({
      argv: [process.execPath, DEMO],
      env: folder.variables({ ASGARD_API_KEY: 'correct-horse-battery' }),
      onLine: (_stream, line) => {
        lines.push(line);
        if (line.includes('Ctrl-C ends it')) resolve();
      },
    });
    await Promise.race([isWaiting, demo.exited]);
    expect(missing(lines.join('\n'))).toEqual([]);
    const url = /GraphiQL {4}(\S+)\/graphql/.exec(lines.join('\n'))?.[1] ?? '';
    await poll(
      async () => (await fetch(`${url}/readyz`)).status,
      (status) => status === 200,
    );
    expect((await fetch(`${url}/mlops/status`)).status).toBe(401);
    process.kill(demo.pid, 'SIGINT');
    expect(await demo.exited).toEqual({ code: 0, signal: null });
    expect(folder.processes()).toEqual([]);
    expect(await isPortFree(new URL(url).port)).toBe(true);
  });

  test('interrupted while the job trains, ends and leaves no process', async () => {
    const { promise: isTraining, resolve } = Promise.withResolvers<void>();
    await using demo = await ChildProcess.start({
      argv: [process.execPath, DEMO],
      env: folder.variables(),
      onLine: (_stream, line) => {
        if (line.includes('[RUNNING]')) resolve();
      },
    });
    await Promise.race([isTraining, demo.exited]);
    const started = performance.now();
    process.kill(demo.pid, 'SIGINT');
    const { code } = await demo.exited;
    expect(code).not.toBe(0);
    expect(performance.now() - started).toBeLessThan(ENDED_WITHIN_MS);
    expect(demo.tail).not.toContain('    at ');
    expect(folder.processes()).toEqual([]);
  });

  test('with a step that fails says which and why, and its exit code is not 0', async () => {
    const ended = await folder.run({ ASGARD_TOOLCHAIN: join(folder.parent, 'nothing') }, [DEMO, '--exit']);
    expect(ended.code).toBe(1);
    expect(ended.stdout).toBe('\n== Starting the platform\n');
    expect(ended.stderr).toMatch(/\/nothing.* run .*set-?up/);
    expect(ended.stderr).not.toContain('    at ');
    expect(folder.processes()).toEqual([]);
  });
});

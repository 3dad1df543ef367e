import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestProject } from 'vitest/node';
import { startPlatform } from '../../src/cli/start-platform.ts';
import { PROJECT_ROOT } from '../../src/config.ts';

declare module 'vitest' {
  interface ProvidedContext {
    platform: { url: string; mlflowUrl: string; python: string; home: string };
  }
}

const READY_LIMIT_MS = 240_000;

/** One platform for all acceptance tests, in a data folder of its own; environments are kept from run to run. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const home = await mkdtemp(join(tmpdir(), 'asgard-test-'));
  const toolchain = process.env['ASGARD_TOOLCHAIN'] ?? join(PROJECT_ROOT, '.toolchain');
  const platform = await startPlatform(
    {
      ...process.env,
      ASGARD_HOME: home,
      ASGARD_ENVIRONMENTS: join(toolchain, 'environments'),
      PORT: '0',
      MLFLOW_PORT: '0',
      FEAST_REPO_PATH: join(home, 'feast_repo'),
      ASGARD_WORKER_SLOTS: '4',
      // It takes a core for a while, beside tests that count seconds.
      ASGARD_COMPILE: '0',
      ASGARD_LOG_FORMAT: 'json',
      SECRET_OF_THE_PLATFORM: 'must not reach a script',
    },
    (line) => void logs.push(line),
  );
  try {
    await ready(platform.url);
  } catch (error) {
    await platform[Symbol.asyncDispose]();
    await rm(home, { recursive: true, force: true });
    throw error;
  }
  const { url, mlflowUrl } = platform;
  project.provide('platform', { url, mlflowUrl, home, python: join(toolchain, 'python', 'bin', 'python') });
  return async () => {
    await platform[Symbol.asyncDispose]();
    const { code } = await platform.exited;
    if (code !== 0) throw new Error(`the platform ended with exit code ${code}:\n${logs.slice(-40).join('\n')}`);
    await rm(home, { recursive: true, force: true });
  };
}

const logs: string[] = [];

async function ready(url: string): Promise<void> {
  const deadline = Date.now() + READY_LIMIT_MS;
  for (;;) {
    const response = await fetch(`${url}/readyz`);
    if (response.ok) return;
    if (Date.now() > deadline) throw new Error(`not ready: ${await response.text()}\n${logs.slice(-40).join('\n')}`);
    await delay(200);
  }
}

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PROJECT_ROOT } from '../../src/config.ts';
import { postgresBinaries } from '../../src/embedded/postgres-binaries.ts';
import type { Bench } from './bench.ts';
import { baseEnvironment } from './python-jobs.ts';
import { RAY } from './ray.ts';

/** Names to values, as the report shows them. */
export type Description = Readonly<Record<string, string>>;

/** What it was measured on. */
export function describeMachine(): Description {
  const processors = cpus();
  return {
    processor: `${processors[0]?.model.trim() ?? 'unknown'}, ${processors.length} cores`,
    memory: `${(totalmem() / 1024 ** 3).toFixed(0)} GiB`,
    system: `${type()} ${release()}`,
  };
}

/** What was measured. */
export async function describeVersions(bench: Bench): Promise<Description> {
  const run = async (program: string, ...args: string[]) => {
    const { stdout } = await promisify(execFile)(program, args, { cwd: PROJECT_ROOT });
    return stdout.trim();
  };
  const manifest: { version: string } = JSON.parse(await readFile(join(PROJECT_ROOT, 'package.json'), 'utf8'));
  const commit = await run('git', 'describe', '--always', '--dirty').catch(() => 'no commit');
  const { lock, pythonVersion } = await baseEnvironment(bench);
  const locked = (name: string) => new RegExp(`^${name}==(\\S+)`, 'm').exec(lock)?.[1] ?? 'absent';
  const { postgres } = await postgresBinaries();
  return {
    asgard: `${manifest.version} (${commit})`,
    node: process.versions.node,
    postgresql: (await run(postgres, '--version')).replace(/^postgres \(PostgreSQL\) /, ''),
    python: pythonVersion,
    mlflow: locked('mlflow'),
    'scikit-learn': locked('scikit-learn'),
    pandas: locked('pandas'),
    numpy: locked('numpy'),
    ray: RAY.replace(/^.*==/, ''),
  };
}

import { execFile } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { PROJECT_ROOT } from '../../src/config.ts';
import type { Asgard, Script } from './asgard.ts';
import type { Bench } from './bench.ts';

/**
 * The guide's training script with the example's 2,000 customers as a file, which peers read too: a forest of 100 trees, six
 * features.
 * @param home the platform's data folder: its jobs see no other file of this machine's /tmp
 */
export async function churnScript(bench: Bench, { home }: Pick<Asgard, 'home'>): Promise<Script> {
  const data = join(home, 'data', 'customers.csv');
  await mkdir(dirname(data), { recursive: true });
  const python = join(bench.toolchain, 'python', 'bin', 'python');
  const folder = join(PROJECT_ROOT, 'examples', 'churn');
  await promisify(execFile)(python, [join(folder, 'make_data.py'), data]);
  const text = await readFile(join(folder, 'train_from_csv.py'), 'utf8');
  return { name: 'churn', text, variables: { DATA_PATH: data } };
}

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FeatureStoreSettings } from '../../src/feast/settings.ts';
import { featureStoreYaml } from '../../src/feast/settings.ts';
import { ChildProcess, freePort } from '../../src/platform/process.ts';
import { plainVariables } from './asgard.ts';
import type { Bench } from './bench.ts';
import { untilAnswering } from './wait.ts';

const START_LIMIT_MS = 180_000;

/**
 * `feast serve` on a store that Asgard keeps, with its defaults; no line is logged for a request.
 * @param onlineHost where it reaches the online store: an address, or the folder of a UNIX socket
 */
export async function feastServe(
  bench: Bench,
  settings: FeatureStoreSettings,
  onlineHost: string,
): Promise<{ url: string; pid: number }> {
  const folder = await bench.newFolder('feast');
  const { online_store: online, ...yaml } = featureStoreYaml(settings);
  if (typeof online !== 'object') throw new Error('a feature_store.yaml has no online store');
  const changed = { ...yaml, online_store: { ...online, host: onlineHost } };
  await writeFile(join(folder, 'feature_store.yaml'), JSON.stringify(changed));
  const bin = join(bench.toolchain, 'python', 'bin');
  const port = await freePort();
  const child = await bench.own(
    ChildProcess.start({
      argv: [join(bin, 'feast'), '-c', folder, 'serve', '-h', '127.0.0.1', '-p', String(port), '--no-access-log'],
      env: { ...plainVariables(bin), PYTHONPATH: join(import.meta.dirname, '..', '..', 'python') },
      cwd: folder,
    }),
  );
  const ended = new AbortController();
  void child.exited.then(() => ended.abort(new Error(`feast serve ended:\n${child.tail}`)));
  const limit = AbortSignal.any([AbortSignal.timeout(START_LIMIT_MS), ended.signal, bench.signal]);
  const url = `http://127.0.0.1:${port}`;
  await untilAnswering(`${url}/health`, limit);
  return { url, pid: child.pid };
}

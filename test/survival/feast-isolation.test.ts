import { spawnSync } from 'node:child_process';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AsgardClient } from '../../src/client/client.ts';
import { ChildProcess } from '../../src/platform/process.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import { applyCustomersView } from '../support/customers-view.ts';
import { DataFolder, MAIN, TOOLCHAIN } from '../support/data-folder.ts';
import { processesOf } from '../support/processes.ts';

/*
 * A script reads features where it is not in namespaces: under an account of its own, and as the platform itself.
 */
const LIMIT_MS = 240_000;
const ELSEWHERE = [toolchainPython(TOOLCHAIN), join(import.meta.dirname, '../fixtures/without_namespaces.py')] as const;
const [python, program] = ELSEWHERE;
const CAN_BE_WITHOUT = process.getuid?.() === 0 && spawnSync(python, [program, 'true']).status === 0;

const script = (home: string) => `
import glob, json, os, pandas as pd
from feast import FeatureStore
rows = FeatureStore(repo_path="/tmp/feast_repo").get_historical_features(
    entity_df=pd.DataFrame({"customer_id": [1, 2], "event_timestamp": pd.to_datetime("2025-11-03")}),
    features=["customers:spent"],
).to_df()
def outcome(action):
    try:
        action()
        return "done"
    except OSError:
        return "refused"
[file] = glob.glob("${home}/warehouse/gold/customers/data/*.parquet")
print(json.dumps({
    "spent": rows["spent"].tolist(),
    "uid": os.getuid(),
    "owner of its settings": os.stat(os.environ["FEAST_FS_YAML_FILE_PATH"]).st_uid,
    "write to the table": outcome(lambda: open(file, "ab")),
    "write to the warehouse": outcome(lambda: open("${home}/warehouse/new", "w")),
    "look into the data folder": outcome(lambda: os.listdir("${home}")),
    "read settings by hand": outcome(lambda: open("${join(home, '..', 'feast_repo', 'feature_store.yaml')}")),
}))
`;

/** Makes a table and a view, and gives what a script prints that reads them. */
async function readBack(client: AsgardClient, url: string, home: string) {
  await applyCustomersView(url);
  const names = { scriptName: 'script.py', experimentName: 'apart', modelName: 'none' };
  const { id } = await client.submit({ ...names, script: script(home) });
  const events = await Array.fromAsync(client.jobEvents(id, { signal: AbortSignal.timeout(LIMIT_MS) }));
  expect(events.at(-1), await client.logText(id)).toMatchObject({ status: 'COMPLETED' });
  const lines = events.flatMap((event) => (event.__typename === 'LogLine' ? [event.text] : []));
  return JSON.parse(lines.find((line) => line.startsWith('{')) ?? '{}');
}

test.runIf(CAN_BE_WITHOUT)(
  'under an account of its own a script reads features, and neither writes nor sees more',
  {
    timeout: LIMIT_MS,
  },
  async () => {
    await using folder = await DataFolder.make();
    await chmod(folder.parent, 0o711); // its account has to come through
    const { promise: isListening, resolve } = Promise.withResolvers<string>();
    await using child = await ChildProcess.start({
      argv: [...ELSEWHERE, process.execPath, MAIN],
      env: folder.variables(),
      onLine: (_stream, line) => {
        const url = /GraphiQL\s+(http:\S+)\/graphql/.exec(line)?.[1];
        if (url !== undefined) resolve(url);
      },
    });
    const hasEnded = child.exited.then(() => Promise.reject(new Error(`it ended while starting:\n${child.tail}`)));
    hasEnded.catch(() => {});
    const url = await Promise.race([isListening, hasEnded]);
    await using client = new AsgardClient({ url });
    expect((await client.status()).isolation).toBe('ACCOUNT');
    const { uid, ...found } = await readBack(client, url, folder.path);
    expect(uid).toBeGreaterThan(10_000);
    expect(found).toEqual({
      spent: [1.5, 2.5],
      'owner of its settings': uid,
      'write to the table': 'refused',
      'write to the warehouse': 'refused',
      'look into the data folder': 'refused',
      'read settings by hand': 'refused',
    });
    process.kill(child.pid, 'SIGTERM');
    expect(await child.exited).toEqual({ code: 0, signal: null });
    expect(processesOf(folder.parent)).toEqual([]);
  },
);

test('as the platform itself a script reads features too', { timeout: LIMIT_MS }, async () => {
  await using folder = await DataFolder.make();
  await using platform = await folder.start({ ASGARD_ISOLATION: 'off' });
  expect((await platform.client.status()).isolation).toBe('NONE');
  const found = await readBack(platform.client, platform.url, folder.path);
  expect(found).toMatchObject({ spent: [1.5, 2.5], uid: process.getuid?.() });
});

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { DataFolder, type TestPlatform } from './data-folder.ts';
import { poll } from './poll.ts';
import type { S3ServerForTests } from './s3-servers.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';
import { CLASSIFIER_SCRIPT } from './training-scripts.ts';

const jobWire = z.object({
  job_id: z.string(),
  status: z.string(),
  model_version: z.string().nullable(),
  error: z.string().nullable(),
});
/** In the guide's words. */
const NOT_SAVED = '⚠️ Note: Model artifact not saved (AWS S3 credentials not configured)';
const LIMIT_MS = 240_000;
const LARGE_BYTES = 128 * 1024 * 1024;

/** A model as the guide saves it: a pickle, whose column is `x` and whose prediction is twice that. */
const PICKLE_SCRIPT = `
import pickle, mlflow, pandas
from sklearn.linear_model import LinearRegression
frame = pandas.DataFrame({"x": [0.0, 1.0, 2.0]})
with open("model.pkl", "wb") as file:
    pickle.dump(LinearRegression().fit(frame, frame["x"] * 2), file)
with mlflow.start_run() as run:
    mlflow.log_artifact("model.pkl", artifact_path="model")
`;

/** Sends a large file twice, the first time so that what comes then is measured warm, and fetches it again. */
const LARGE_SCRIPT = `
import hashlib, os, mlflow
with open("large.bin", "wb") as file:
    for _ in range(${LARGE_BYTES >> 20}):
        file.write(os.urandom(1024 * 1024))
digest = lambda path: hashlib.sha256(open(path, "rb").read()).hexdigest()
with mlflow.start_run() as run:
    mlflow.log_artifact("large.bin", "first")
    print("warm", flush=True)
    mlflow.log_artifact("large.bin")
    back = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="large.bin", dst_path="back")
print("same" if digest(back) == digest("large.bin") else "different")
`;

/** Saves a model by MLflow's own client, registers it in the same call, and names it. */
const REGISTERING_SCRIPT = `
import mlflow, pandas
from sklearn.linear_model import LinearRegression
frame = pandas.DataFrame({"x": [0.0, 1.0, 2.0]})
model = LinearRegression().fit(frame, frame["x"] * 2)
with mlflow.start_run() as run:
    info = mlflow.sklearn.log_model(
        model, name="model", pip_requirements=["scikit-learn"], serialization_format="cloudpickle",
        registered_model_name="by-the-script",
    )
    version = mlflow.register_model(f"runs:/{run.info.run_id}/model", "by-the-script")
client = mlflow.MlflowClient()
client.set_registered_model_alias("by-the-script", "champion", version.version)
client.set_model_version_tag("by-the-script", version.version, "stage", "good")
print("registered version", version.version)
print("model", info.model_id)
`;

const ENVIRONMENT_SCRIPT = `
import os
for name, value in os.environ.items():
    print(name, "=", value)
`;

/** Everything that the platform promises of a bucket, on one S3 server. */
export function s3Suite(startServer: () => Promise<S3ServerForTests>): void {
  let server: S3ServerForTests;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  describe.sequential('with a bucket', { timeout: LIMIT_MS }, () => {
    const PREFIX = 'team/one';
    let folder: DataFolder;
    let platform: TestPlatform;
    let proxy: TcpProxy;

    beforeAll(async () => {
      await server.createBucket('models');
      folder = await DataFolder.make();
      proxy = await startTcpProxy(server.url);
      platform = await folder.start({
        ...server.variables('models', proxy.url),
        ASGARD_S3_PREFIX: PREFIX,
        ICEBERG_WAREHOUSE: `s3://models/${PREFIX}/warehouse`,
        // None of these scripts reads it.
        ICEBERG_READ_ACCESS_KEY_ID: 'reader',
        ICEBERG_READ_SECRET_ACCESS_KEY: 'reads',
        // A compiled model has no process whose environment could be looked at.
        ASGARD_COMPILE: '0',
      });
      await platform.ready();
    });
    afterAll(async () => {
      await platform?.[Symbol.asyncDispose]();
      await folder?.[Symbol.asyncDispose]();
      await proxy?.[Symbol.asyncDispose]();
    });

    test("scripts and models lie in the bucket, and models are served from there: the guide's pickle, and MLflow's own", async () => {
      const pickle = await run(platform, PICKLE_SCRIPT, 'pickle');
      expect(pickle.job).toMatchObject({ status: 'completed', model_version: '1' });
      const own = await run(platform, CLASSIFIER_SCRIPT, 'own');
      expect(own.job).toMatchObject({ status: 'completed', model_version: '1' });

      const keys = [...(await server.list('models')).keys()];
      expect(keys.filter((key) => !key.startsWith(`${PREFIX}/`))).toEqual([]);
      expect(keys).toContainEqual(
        expect.stringMatching(/^team\/one\/artifacts\/1\/[0-9a-f]{32}\/artifacts\/model\/model\.pkl$/),
      );
      expect(keys).toContainEqual(
        expect.stringMatching(/^team\/one\/artifacts\/1\/models\/m-[0-9a-f]+\/artifacts\/MLmodel$/),
      );
      expect(await server.text('models', `${PREFIX}/scripts/${pickle.job.job_id}/script.py`)).toBe(PICKLE_SCRIPT);

      const { client } = platform;
      expect((await client.predict({ modelName: 'pickle', inputs: { x: [4] } })).predictions).toEqual([
        expect.closeTo(8),
      ]);
      const people = { age: [20, 70], visits: [1, 9] };
      expect((await client.predict({ modelName: 'own', inputs: people })).predictions).toEqual(['stays', 'leaves']);
      await untilTroubles(platform, []);
    });

    test('tables lie in the bucket; while that is away nothing is written, and it is said why', async () => {
      const url = `${platform.url}/iceberg/tables/gold/customers`;
      const send = async (method: string, body: string) => {
        const answer = await fetch(url, { method, headers: { 'content-type': 'text/csv' }, body });
        return { status: answer.status, body: await answer.json() };
      };
      expect(await send('PUT', 'id,n\n1,1\n')).toMatchObject({ status: 201, body: { total_rows: 1 } });
      const files = async () => [...(await server.list('models')).keys()].filter((key) => key.includes('/warehouse/'));
      const before = await files();
      expect(before).toContainEqual(
        expect.stringMatching(/^team\/one\/warehouse\/gold\/customers\/data\/.*\.parquet$/),
      );
      expect(await send('POST', 'id,n\n2,two\n')).toMatchObject({ status: 422 });
      expect(await files()).toEqual(before);

      proxy.breakAfter(0);
      expect(await send('POST', 'id,n\n2,2\n')).toMatchObject({
        status: 503,
        body: { detail: expect.stringContaining("the feature store's warehouse does not answer") },
      });
      proxy.release();
      expect(await send('POST', 'id,n\n3,3\n')).toMatchObject({ status: 200, body: { total_rows: 2 } });
      const { rows } = await (await fetch(url)).json();
      expect(rows.toSorted((a: { id: number }, b: { id: number }) => a.id - b.id)).toEqual([
        { id: 1, n: 1 },
        { id: 3, n: 3 },
      ]);
    });

    test('128 MiB pass through the platform in both directions, and it holds little of them', async () => {
      let most = 0;
      const look = async () => {
        most = Math.max(most, await residentBytes(platform.pid));
      };
      const watch = setInterval(() => void look(), 20);
      let before = 0;
      const { job, log } = await run(platform, LARGE_SCRIPT, 'large', {
        onLine: (line) => {
          if (line === 'warm') before = most;
        },
      }).finally(() => clearInterval(watch));
      expect(log).toContain('same');
      expect(job.status).toBe('completed');
      expect([...(await server.list('models')).values()].filter((bytes) => bytes === LARGE_BYTES)).toHaveLength(2);
      expect(before).toBeGreaterThan(0);
      expect(most - before).toBeLessThan(LARGE_BYTES / 2);
    });

    test('the credentials reach MLflow and the bridge to the feature store, and no script, no process of a model and no log', async () => {
      const { AWS_SECRET_ACCESS_KEY: secret = '', AWS_ACCESS_KEY_ID: id = '' } = server.variables('models');
      const { log } = await run(platform, ENVIRONMENT_SCRIPT, 'environment');
      expect(log).toContain('MLFLOW_TRACKING_URI');
      expect(log).not.toMatch(/AWS_|MLFLOW_S3|S3_PREFIX/);
      const logs = [...platform.log, await readFile(join(folder.path, 'logs', 'mlflow.log'), 'utf8'), log].join('\n');
      for (const word of [secret, `Credential=${id}`]) expect(logs).not.toContain(word);
      if (process.platform !== 'linux') return;
      const holders = ['main.ts', 'mlflow_server.py', 'asgard_feast/bridge.py'];
      const isHolder = (command: string) => holders.some((program) => command.includes(program));
      const others = folder.processes().filter(({ command }) => !isHolder(command));
      const commands = others.map(({ command }) => command).join('\n');
      expect(commands).toContain('postgres');
      expect(commands).toContain('model_process.py');
      for (const { pid, command } of others)
        expect(`${command}\n${await environmentOf(pid)}`).not.toMatch(/AWS_|MLFLOW_S3/);
      const mlflow = folder.processes().find(({ command }) => command.includes('mlflow_server.py'));
      expect(await environmentOf(mlflow?.pid)).toContain(secret);
    });

    test('a client can neither reach the scripts in the bucket nor another bucket', async () => {
      await server.createBucket('others');
      const beside = await fetch(`${platform.mlflowUrl}/api/2.0/mlflow-artifacts/artifacts?path=../scripts`);
      expect(beside.status).toBe(400);
      for (const [index, location] of ['s3://others/', `s3://models/${PREFIX}/scripts`].entries()) {
        const made = await mlflow(platform, 'experiments/create', {
          name: `there-${index}`,
          artifact_location: location,
        });
        const { run: created } = await mlflow(platform, 'runs/create', { experiment_id: made.experiment_id });
        const listed = await fetch(`${platform.mlflowUrl}/api/2.0/mlflow/artifacts/list?run_id=${created.info.run_id}`);
        expect([listed.status, await listed.text()]).toEqual([400, expect.stringContaining('is not served')]);
      }
    });

    test('a server that goes away in the middle of an upload fails the script with its reason, and the next job is well', async () => {
      proxy.breakAfter(LARGE_BYTES / 4);
      const { job, log } = await run(platform, LARGE_SCRIPT, 'cut-off');
      expect(job).toMatchObject({ status: 'failed', model_version: null });
      expect(log).toContain('the S3 server of bucket models cannot be reached');
      expect(job.error).toMatch(
        /^the script ended with exit code 1; an artifact could not be saved: the S3 server of /,
      );
      await poll(
        () => platform.client.status(),
        ({ ready, troubles }) => ready && troubles.some((line) => line.includes('does not answer')),
      );
      proxy.release();
      const next = await run(platform, PICKLE_SCRIPT, 'cut-off');
      expect(next.job).toMatchObject({ status: 'completed', model_version: '1' });
      await untilTroubles(platform, []);
    });

    test('a model that was tried answers while the server is away: its files are on the disk', async () => {
      proxy.breakAfter(0);
      const prediction = await platform.client.predict({ modelName: 'cut-off', inputs: { x: [4] } });
      proxy.release();
      expect(prediction.predictions).toEqual([expect.closeTo(8)]);
    });

    test('a job whose script cannot be stored runs all the same, and its log says so', async () => {
      proxy.breakAfter(0);
      const { job, log } = await run(platform, 'print("ran")', 'unstored');
      proxy.release();
      expect(job.status).toBe('completed');
      expect(log).toContain('ran');
      expect(log).toContain(`could not be stored as s3://models/${PREFIX}/scripts/${job.job_id}/script.py`);
    });
  });

  describe.sequential('without credentials', { timeout: LIMIT_MS }, () => {
    let folder: DataFolder;
    let platform: TestPlatform;

    beforeAll(async () => {
      await server.createBucket('unreachable');
      folder = await DataFolder.make();
      const none = { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' };
      platform = await folder.start({ ...server.variables('unreachable'), ...none });
      await platform.ready();
    });
    afterAll(async () => {
      await platform?.[Symbol.asyncDispose]();
      await folder?.[Symbol.asyncDispose]();
    });

    test('training completes, the model is not saved, and the log says so in the words of the guide', async () => {
      const { job, log } = await run(platform, PICKLE_SCRIPT, 'pickle');
      expect(job).toMatchObject({ status: 'completed', model_version: null, error: null });
      expect(log.split('\n')).toContain(NOT_SAVED);
      await untilTroubles(platform, [/^s3: AWS S3 credentials not configured$/]);
      expect(platform.log.filter((line) => line.includes('s3.not_ready'))).toHaveLength(1);
    });

    test('a script that registers by itself completes too, and neither a version nor a model is left', async () => {
      const { job, log } = await run(platform, REGISTERING_SCRIPT, 'by-the-script');
      expect(job).toMatchObject({ status: 'completed', model_version: null });
      expect(log).toContain('registered version 0');
      expect(log).toContain('by-the-script was not registered');
      expect(log.split('\n')).toContain(NOT_SAVED);
      expect((await platform.client.models()).items).toEqual([]);
      const id = /^model (m-\w+)$/m.exec(log)?.[1];
      const saved = await (await fetch(`${platform.mlflowUrl}/api/2.0/mlflow/logged-models/${id}`)).json();
      expect(saved.model.info.status).toBe('LOGGED_MODEL_UPLOAD_FAILED');
      const asked = await fetch(`${platform.url}/mlops/registry`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model_name: 'by-hand', run_id: 'any' }),
      });
      expect(asked.status).toBe(503);
      expect(await asked.json()).toMatchObject({ detail: expect.stringContaining('AWS S3 credentials') });
      expect((await platform.client.models()).items).toEqual([]);
    });

    test('whoever is no job is told that nothing is kept', async () => {
      const url = `${platform.mlflowUrl}/api/2.0/mlflow-artifacts/artifacts/0/note.txt`;
      const answer = await fetch(url, { method: 'PUT', body: 'note' });
      expect([answer.status, await answer.json()]).toEqual([
        403,
        expect.objectContaining({ message: expect.stringContaining('AWS S3 credentials not configured') }),
      ]);
    });
  });

  describe.sequential('with a bucket that cannot be used', { timeout: LIMIT_MS }, () => {
    let folder: DataFolder;
    beforeAll(async () => {
      folder = await DataFolder.make();
    });
    afterAll(() => folder?.[Symbol.asyncDispose]());

    test('wrong credentials fail the script at once with what S3 said, and nothing is registered', async () => {
      await server.createBucket('closed');
      const variables = { ...server.variables('closed'), AWS_SECRET_ACCESS_KEY: 'not-the-secret' };
      await using platform = await folder.start(variables);
      await platform.ready();
      const { job, log } = await run(platform, REGISTERING_SCRIPT, 'by-the-script');
      expect(job).toMatchObject({ status: 'failed', model_version: null });
      expect(log).toContain("S3 refuses the platform's credentials for bucket closed (SignatureDoesNotMatch)");
      expect(job.error).toContain("S3 refuses the platform's credentials for bucket closed");
      expect(log).toContain('The script could not be stored');
      expect((await platform.client.models()).items).toEqual([]);
      await untilTroubles(platform, [/^s3: S3 refuses the credentials for bucket closed/]);
      expect([...platform.log, log].join('\n')).not.toContain('not-the-secret');
    });

    test('a bucket that does not exist fails the script with its name, and once it is there the next job is well', async () => {
      await using platform = await folder.start(server.variables('later'));
      await platform.ready();
      const { job, log } = await run(platform, PICKLE_SCRIPT, 'later');
      expect(job).toMatchObject({ status: 'failed', model_version: null });
      expect(log).toContain('the S3 bucket later does not exist');
      await untilTroubles(platform, [/^s3: the S3 bucket later does not exist$/]);
      await server.createBucket('later');
      const next = await run(platform, PICKLE_SCRIPT, 'later');
      expect(next.job).toMatchObject({ status: 'completed', model_version: '1' });
      await untilTroubles(platform, []);
    });
  });
}

/** Resolves once the platform is ready and these are its troubles: parts are looked at now and then, and may be slow to answer. */
async function untilTroubles({ client }: TestPlatform, wanted: readonly RegExp[]): Promise<void> {
  await poll(
    () => client.status(),
    ({ ready, troubles }) =>
      ready && troubles.length === wanted.length && wanted.every((each, index) => each.test(troubles[index] ?? '')),
  );
}

/** Runs a job to its end, and gives it as REST does. `log`: all that it printed and all that was said of it. */
async function run(
  platform: TestPlatform,
  script: string,
  modelName: string,
  { onLine }: { onLine?: (line: string) => void } = {},
) {
  const { client, url } = platform;
  const { id } = await client.submit({
    scriptName: 'script.py',
    script,
    experimentName: 'in-s3',
    modelName,
  });
  for await (const event of client.jobEvents(id, { signal: AbortSignal.timeout(LIMIT_MS) })) {
    if (event.__typename === 'LogLine') onLine?.(event.text);
  }
  const job = jobWire.parse(await (await fetch(`${url}/mlops/training/jobs/${id}`)).json());
  return { job, log: await client.logText(id) };
}

async function mlflow(platform: TestPlatform, call: string, body: object) {
  const headers = { 'content-type': 'application/json' };
  const url = `${platform.mlflowUrl}/api/2.0/mlflow/${call}`;
  return await (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).json();
}

/** 0 for a process that has ended. */
async function residentBytes(pid: number): Promise<number> {
  const [, pages = '0'] = (await readFile(`/proc/${pid}/statm`, 'utf8').catch(() => '')).split(' ');
  return Number(pages) * 4096;
}

/** Empty for a process that has ended. */
function environmentOf(pid = 0): Promise<string> {
  return readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
}

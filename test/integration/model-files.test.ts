import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { MlflowClient } from '../../src/mlflow/client.ts';
import { ModelFiles } from '../../src/models/model-files.ts';
import { type MlflowForTests, runScript, startMlflow } from '../support/mlflow-for-tests.ts';

/** Versions by the kind of their source. */
const SCRIPT = `
import json, os, tempfile, mlflow
client = mlflow.MlflowClient()
folder = tempfile.mkdtemp()
os.makedirs(folder + "/model/code")
open(folder + "/model/model.pkl", "wb").write(b"x" * 300000)
open(folder + "/model/code/a b+&é.py", "w").write("print()")
run = client.create_run("0")
client.log_artifacts(run.info.run_id, folder)
class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input
logged = mlflow.pyfunc.log_model(name="model", python_model=Model(), pip_requirements=["mlflow"])
base = run.info.artifact_uri
sources = {
    "folder": (base + "/model", run.info.run_id, None),
    "file": (base + "/model/model.pkl", run.info.run_id, None),
    "logged": ("models:/" + logged.model_id, None, logged.model_id),
    "nothing": (base + "/nothing", run.info.run_id, None),
    "external": ("s3://bucket/model", None, None),
}
for name, (source, run_id, model_id) in sources.items():
    client.create_registered_model(name)
    client.create_model_version(name, source, run_id, model_id=model_id)
`;

let mlflow: MlflowForTests;
let client: MlflowClient;
let paths: string[] = [];
beforeAll(async () => {
  mlflow = await startMlflow();
  client = new MlflowClient({ baseUrl: () => mlflow.url, onRequest: ({ path }) => void paths.push(path) });
  await runScript(SCRIPT, { trackingUri: mlflow.url });
});
afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await mlflow?.[Symbol.asyncDispose]();
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'asgard-files-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const never = new AbortController().signal;
const filesWith = (limitBytes: number) => new ModelFiles({ mlflow: client, folder, limitBytes });
const version = (name: string) => client.getModelVersion(name, '1');
const all = async (path: string) =>
  (await readdir(path, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(path.length + 1))
    .toSorted();
/** Folders of files, finished or not. */
const kept = async () => (await readdir(folder)).filter((name) => name !== 'locks');

describe("a model's files", () => {
  test('come whole, whatever they are named, once however many ask at once, and are there for the next start', async () => {
    const key = await version('folder');
    paths = [];
    const held = await Promise.all([1, 2, 3].map(() => filesWith(1e9).hold(key, never)));
    expect(new Set(held.map(({ path }) => path)).size).toBe(1);
    using one = await filesWith(1e9).hold(key, never);
    for (const each of held) each[Symbol.dispose]();
    expect(await all(one.path)).toEqual(['code/a b+&é.py', 'model.pkl']);
    expect((await readFile(join(one.path, 'model.pkl'))).equals(Buffer.alloc(300_000, 'x'))).toBe(true);
    expect((await stat(join(one.path, 'code'))).mode & 0o777).toBe(0o755);
    expect((await stat(join(one.path, 'model.pkl'))).mode & 0o777).toBe(0o644);
    expect(paths.filter((path) => path.endsWith('get-download-uri'))).toHaveLength(1);
  });

  test('of a version that is one file are that file; of a logged model those of its folder', async () => {
    using file = await filesWith(1e9).hold(await version('file'), never);
    expect(await all(file.path)).toEqual(['model.pkl']);
    using logged = await filesWith(1e9).hold(await version('logged'), never);
    expect(await all(logged.path)).toContain('MLmodel');
  });

  test('that are not there, or out of reach, or not wanted any more, leave nothing', async () => {
    await expect(filesWith(1e9).hold(await version('nothing'), never)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(filesWith(1e9).hold(await version('external'), never)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('s3://bucket/model'),
    });
    const stop = new AbortController();
    const fetching = filesWith(1e9).hold(await version('folder'), stop.signal);
    stop.abort(new Error('called off'));
    await expect(fetching).rejects.toThrow('called off');
    expect(await kept()).toEqual([]);
  });

  test('that nobody holds make room for others', async () => {
    const files = filesWith(400_000);
    const held = await files.hold(await version('folder'), never);
    using _file = await files.hold(await version('file'), never);
    expect(await kept()).toHaveLength(2);
    held[Symbol.dispose]();
    using _logged = await files.hold(await version('logged'), never);
    expect(await kept()).toHaveLength(2);
    expect(await readdir(folder)).not.toContain(held.path.slice(folder.length + 1));
  });
});

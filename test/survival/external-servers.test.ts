import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ManagedMlflow } from '../../src/embedded/mlflow-server.ts';
import { EmbeddedPostgres } from '../../src/embedded/postgres.ts';
import { DataFolder, TOOLCHAIN } from '../support/data-folder.ts';
import { eventsOf, MODEL_SCRIPT, submit } from '../support/job-scripts.ts';

test("with DATABASE_URL and MLFLOW_TRACKING_URI the platform starts no server, and a job's model is served", async () => {
  await using folder = await DataFolder.make();
  const outside = join(folder.parent, 'outside');
  await using postgres = await EmbeddedPostgres.start({
    folder: join(outside, 'postgres'),
    logFile: join(outside, 'postgres.log'),
  });
  await using mlflow = await ManagedMlflow.start({
    python: join(TOOLCHAIN, 'python', 'bin', 'python'),
    databaseUrl: postgres.url('mlflow'),
    artifactsFolder: join(outside, 'mlflow', 'artifacts'),
    logFile: join(outside, 'mlflow.log'),
  });
  await mlflow.ready;

  await using platform = await folder.start({
    DATABASE_URL: postgres.url('asgard'),
    MLFLOW_TRACKING_URI: `${mlflow.url}/`,
  });
  const { client } = platform;
  await platform.ready();
  const events = await eventsOf(client, await submit(client, MODEL_SCRIPT, 'doubler'));
  expect(events.at(-1)).toMatchObject({ __typename: 'JobEnded', status: 'COMPLETED' });
  expect(await client.predict({ modelName: 'doubler', inputs: { x: [4] } })).toMatchObject({
    modelVersion: '1',
    predictions: [expect.closeTo(8)],
  });
  const programs = folder.processes().map(({ command }) => command);
  expect(programs.filter((command) => /postgres|mlflow_server/.test(command))).toEqual([]);
  const direct = await fetch(`${mlflow.url}/api/2.0/mlflow/registered-models/get?name=doubler`);
  expect(direct.status).toBe(200);

  expect(await platform.end('SIGTERM')).toMatchObject({ code: 0 });
  expect(folder.processes()).toEqual([]);
  expect((await fetch(`${mlflow.url}/health`)).status).toBe(200);
}, 240_000);

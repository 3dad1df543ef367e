import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { toolchainPython } from '../../src/python/environments.ts';
import { DataFolder, TOOLCHAIN } from '../support/data-folder.ts';
import { eventsOf, submit } from '../support/job-scripts.ts';
import { poll } from '../support/poll.ts';
import { killIfThere } from '../support/processes.ts';
import { quietPort } from '../support/quiet-port.ts';
import { pickleScript } from '../support/training-scripts.ts';

let folder: DataFolder;
beforeEach(async () => {
  folder = await DataFolder.make();
});
afterEach(() => folder[Symbol.asyncDispose]());

test("the guide's pickle is served by `mlflow models serve`", { timeout: 300_000 }, async () => {
  await using platform = await folder.start();
  await platform.ready();
  const events = await eventsOf(platform.client, await submit(platform.client, pickleScript(2), 'served'));
  expect(events.at(-1)).toMatchObject({ __typename: 'JobEnded', status: 'COMPLETED' });
  const python = toolchainPython(TOOLCHAIN);
  const port = await quietPort();
  const words = ['models', 'serve', '-m', 'models:/served/1', '-p', String(port), '--env-manager', 'local'];
  const server = spawn(python, ['-m', 'mlflow', ...words], {
    env: { ...process.env, PATH: `${dirname(python)}:${process.env['PATH']}`, MLFLOW_TRACKING_URI: platform.mlflowUrl },
    detached: true,
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  try {
    const ask = async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/invocations`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          dataframe_split: {
            columns: ['b', 'a'],
            data: [
              [3, 1.5],
              [0, 2],
            ],
          },
        }),
      }).catch(() => null);
      return answer?.ok === true ? ((await answer.json()) as { predictions: number[] }) : null;
    };
    const answered = await poll(ask, (answer) => answer !== null, 120_000);
    expect(answered?.predictions).toEqual([expect.closeTo(9), expect.closeTo(4)]);
  } finally {
    if (server.pid !== undefined) killIfThere(-server.pid);
    await ended;
  }
});

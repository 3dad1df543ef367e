import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DataFolder } from '../support/data-folder.ts';
import { eventsOf, STUBBORN_SCRIPT, submit } from '../support/job-scripts.ts';
import { EndedJob, Gate } from '../support/jobs-for-tests.ts';
import { poll } from '../support/poll.ts';

test('a start goes on with scripts that run while the base environment cannot be made, and begins no other', async () => {
  await using folder = await DataFolder.make();
  await using gate = await Gate.create();
  let ending: string;
  let endless: string;
  {
    await using platform = await folder.start({ ASGARD_WORKER_SLOTS: '2' });
    await platform.ready();
    ending = await submit(platform.client, `${gate.python}\nprint("before", flush=True)\nwait()\nprint("after")\n`);
    endless = await submit(platform.client, STUBBORN_SCRIPT);
    for await (const line of platform.client.jobLog(ending)) if (line.text === 'before') break;
    for await (const line of platform.client.jobLog(endless)) if (line.text === 'tick 3') break;
    await platform.end('SIGINT');
  }
  // As after a deploy with other base packages: no lock of them is known, and whoever has them does not answer.
  const ASGARD_ENVIRONMENTS = join(folder.parent, 'environments');
  await using next = await folder.start({ ASGARD_ENVIRONMENTS, UV_DEFAULT_INDEX: 'http://127.0.0.1:1/simple' });
  const { client } = next;
  await poll(
    async () => (await fetch(`${next.url}/readyz`)).json(),
    (answer) => JSON.stringify(answer).includes('base environment: could not be made'),
  );
  const waiting = await submit(client, 'print("never")');
  await gate.open();
  const ended = new EndedJob(await client.job(ending), await eventsOf(client, ending));
  expect(ended.ending).toMatchObject({ status: 'COMPLETED', lines: 2 });
  expect(ended.stdout).toEqual(['before', 'after']);
  const [seen = ''] = (await client.logText(endless)).match(/(?<=tick )\d+(?=\n$)/) ?? [];
  const later = `tick ${Number(seen) + 50}`;
  for await (const line of client.jobLog(endless)) if (line.text === later) break;
  await client.cancel(endless, 'enough');
  const events = await eventsOf(client, endless);
  expect(events.at(-1)).toMatchObject({ __typename: 'JobEnded', status: 'CANCELLED' });
  expect(await client.job(waiting)).toMatchObject({ status: 'QUEUED' });
}, 240_000);

import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DataFolder } from '../support/data-folder.ts';
import { eventsOf, submit } from '../support/job-scripts.ts';
import { Gate } from '../support/jobs-for-tests.ts';
import { poll } from '../support/poll.ts';
import { processesOf } from '../support/processes.ts';
import { SmallDisk } from '../support/small-disk.ts';

const DISK_MIB = 400;
const ROOM_BYTES = 50 * 2 ** 20;
/** Takes all of the disk, and prints on. */
const HOG = `
with open("big", "wb", buffering=0) as file:
    try:
        while True:
            file.write(b"x" * 2**20)
    except OSError as error:
        print("it is full:", error, flush=True)
while True:
    print("y" * 2000, flush=True)
`;
/** Says nothing while the disk is full: what it printed could not be kept. */
const other = (gate: Gate) => `${gate.python}
print("there is room", flush=True)
wait()
print("there was none, and is again", flush=True)
`;

test('a script that fills the disk which everything is on fails, and nothing else does', { timeout: 240_000 }, async ({
  skip,
}) => {
  const mounted = await SmallDisk.mount(DISK_MIB);
  if (mounted === undefined) return skip('nothing can be mounted here');
  await using disk = mounted;
  const ASGARD_HOME = join(disk.folder, 'home');
  await using folder = await DataFolder.make();
  await using platform = await folder.start({ ASGARD_HOME, FEAST_REPO_PATH: join(disk.folder, 'feast_repo') });
  await platform.ready();
  const { client } = platform;
  await using gate = await Gate.create();
  const patient = await submit(client, other(gate));
  for await (const line of client.jobLog(patient)) if (line.text === 'there is room') break;
  const hog = await submit(client, HOG);
  expect((await eventsOf(client, hog)).at(-1)).toMatchObject({ status: 'FAILED' });
  expect(await client.job(hog)).toMatchObject({ error: expect.stringMatching(/the disk is full/) });
  // What it wrote goes after its end was told of.
  const room = async () => {
    const { bavail, bsize } = await statfs(disk.folder);
    return bavail * bsize;
  };
  await poll(room, (bytes) => bytes > ROOM_BYTES);
  await gate.open();
  expect((await eventsOf(client, patient)).at(-1)).toMatchObject({ status: 'COMPLETED' });
  expect(await client.logText(patient)).toContain('there was none, and is again\n');
  await platform.ready();
  expect(await platform.end('SIGTERM')).toMatchObject({ code: 0 });
  expect(processesOf(disk.folder)).toEqual([]);
});

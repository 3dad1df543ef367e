import { readdir } from 'node:fs/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import { Listener } from '../../src/database/listen.ts';
import { LocalExecutor } from '../../src/executors/local.ts';
import { JobEventFeed } from '../../src/jobs/event-feed.ts';
import type { NumberedJobEvent } from '../../src/jobs/events.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import type { SupervisorContext } from '../../src/worker/supervisor-context.ts';
import { omittedOf, outputTexts, proofOf, readAllEvents, unexplainedHoles } from '../support/output.ts';
import { poll } from '../support/poll.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { STUBBORN, SUPERVISION_LIMIT_MS, type SupervisedJobs, superviseEachTest } from '../support/supervised-jobs.ts';

let own: SupervisedJobs;
superviseEachTest((jobs) => {
  own = jobs;
});

describe('a job on a disk that becomes full', { timeout: SUPERVISION_LIMIT_MS }, () => {
  let disk: SmallDisk | undefined;
  let onDisk: SupervisorContext;
  beforeEach(async ({ skip }) => {
    disk = await SmallDisk.mount(4);
    if (disk === undefined) return skip('nothing can be mounted here');
    const python = toolchainPython(parseConfig(inheritedEnvironment(), false).toolchain);
    const executor = new LocalExecutor({ folder: disk.folder, python });
    onDisk = { ...own.context, executor, outputLimitBytes: 64 * 1024 * 1024 };
    return () => disk?.[Symbol.asyncDispose]();
  });

  it('by its own output fails with the reason, what was printed before is proven, and another job goes on', async () => {
    const other = await own.supervise(
      'import time\nfor i in range(20):\n    print(i, flush=True)\n    time.sleep(0.1)\n',
    );
    const full = await own.supervise('while True:\n    print("x" * 999)\n', {}, onDisk);
    const { job, events } = await full.ended;
    expect(job).toMatchObject({
      status: 'FAILED',
      error: 'the script was killed, as its output could not be stored: the disk is full (No space left on device)',
    });
    expect(unexplainedHoles(events)).toEqual([]);
    expect(events.length).toBeGreaterThan(100);
    expect(events.at(-1)).toMatchObject({ type: 'end', signal: 'SIGKILL', ...proofOf(outputTexts(events)) });
    expect(await readdir(disk?.folder ?? '')).toEqual([]);
    const { job: otherJob, events: otherEvents } = await other.ended;
    expect(otherJob.status).toBe('COMPLETED');
    expect(outputTexts(otherEvents)).toHaveLength(20);
  });

  it('before it begins fails with the reason, and begins nothing', async () => {
    await disk?.fill();
    const { id, ended } = await own.supervise('print("never")\n', {}, onDisk);
    const { job, events } = await ended;
    expect(job).toMatchObject({
      status: 'FAILED',
      error: expect.stringMatching(/^the disk is full: ENOSPC: no space left on device, /),
    });
    expect(outputTexts(events)).toEqual([]);
    expect(await readdir(disk?.folder ?? '')).toEqual(['filler']);
    expect(await own.processesOf(id)).toEqual([]);
  });
});

describe('a job', { timeout: SUPERVISION_LIMIT_MS }, () => {
  it('whose lines the database has no room for fails with the reason', async () => {
    const sql = await own.database.sql();
    await sql.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device' USING ERRCODE = '53100'; END $$`);
    await sql.query(`CREATE TRIGGER refuse BEFORE INSERT ON job_events FOR EACH ROW WHEN (NEW.output_bytes > 0)
      EXECUTE FUNCTION refuse()`);
    const { id, ended } = await own.supervise(STUBBORN);
    const { job } = await ended;
    expect(job).toMatchObject({
      status: 'FAILED',
      error: expect.stringMatching(/^the disk is full: .*could not extend file .*No space left on device/),
    });
    expect(await own.processesOf(id)).toEqual([]);
  });
});

describe('a job that prints more than is kept', { timeout: SUPERVISION_LIMIT_MS }, () => {
  const LINES = 30_000;
  const textOf = (number: number) => `${number} ${'x'.repeat(150)}`;
  const ALL = proofOf(Array.from({ length: LINES }, (_, index) => textOf(index)));

  /** That the first half and the end are there, and the end record proves it. */
  async function expectKept(id: string): Promise<void> {
    const { outputLimitBytes } = own.context;
    const events = await readAllEvents(own.database.client, id);
    expect(unexplainedHoles(events)).toEqual([]);
    const texts = outputTexts(events);
    const kept = proofOf(texts);
    expect(omittedOf(events)).toMatchObject({ lines: LINES - kept.lines, bytes: ALL.bytes - kept.bytes });
    expect(texts[0]).toBe(textOf(0));
    expect(texts.at(-1)).toBe(textOf(LINES - 1));
    expect(kept.bytes).toBeGreaterThan(outputLimitBytes * 0.75);
    expect(kept.bytes).toBeLessThanOrEqual(outputLimitBytes);
    expect(events.at(-1)).toMatchObject({ type: 'end', status: 'COMPLETED', ...ALL, kept });
  }

  it('is followed whole by who keeps up, and keeps the first half and the end', async () => {
    await using listener = await Listener.start({ url: own.database.url });
    using feed = await JobEventFeed.start(own.database.client, listener);
    // It waits for its reader, so that a busy machine does not make that late.
    const { id, ended } = await own.supervise(`
import os, time
for i in range(${LINES}):
    while i % 1000 == 0 and i > 0 and not os.path.exists(f"seen-{i}"):
        time.sleep(0.005)
    print(i, "x" * 150)
`);
    const seen: NumberedJobEvent[] = [];
    for await (const list of feed.follow(id)) {
      seen.push(...list);
      const printed = outputTexts(seen).length;
      // After the last of them nobody waits, and the run's folder is being removed: a file that comes into it then stays.
      if (printed % 1000 === 0 && printed > 0 && printed < LINES) await own.give(id, `seen-${printed}`);
    }
    expect(seen.map(({ sequence }) => sequence)).toEqual(seen.map((_, index) => index + 1));
    expect(seen.at(-1)).toMatchObject({ type: 'end', ...ALL });
    expect(proofOf(outputTexts(seen))).toEqual(ALL);
    await ended;
    await expectKept(id);
    expect(await readdir(own.folder)).toEqual([]);
  });

  it('while nobody looks keeps the same, told by whoever takes it over', async () => {
    const { id, claim, tell, ended } = await own.supervise(`
import os, time
print(0, "x" * 150)
while not os.path.exists("go"):
    time.sleep(0.01)
for i in range(1, ${LINES}):
    print(i, "x" * 150)
open("done", "w").close()
while not os.path.exists("end"):
    time.sleep(0.01)
`);
    await own.printed(id, textOf(0));
    tell({ type: 'release' });
    await ended;
    await own.give(id, 'go');
    await poll(
      () => readdir(own.workFolderOf(id)),
      (names) => names.includes('done'),
      SUPERVISION_LIMIT_MS,
    );
    const next = await own.takeOver();
    expect(next).toMatchObject({ id: claim.id });
    await own.give(id, 'end');
    await own.goOn(next).ended;
    await expectKept(id);
  });
});

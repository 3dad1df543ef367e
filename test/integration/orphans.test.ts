import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { killOrphans, RUN_VARIABLE, runMark } from '../../src/executors/orphans.ts';
import { identityOfProcess } from '../../src/platform/process-identity.ts';
import { uniqueName } from '../support/unique-name.ts';

/** User numbers that nothing else on the machine has. */
const [OWN, ANOTHER] = [3_900_001, 3_900_002];

describe.runIf(process.platform === 'linux' && process.geteuid?.() === 0)(
  'of a run whose script had a user of its own',
  () => {
    const left: ChildProcess[] = [];
    let folder: string;
    let work: string;
    const handle = { jobId: uniqueName('job'), attempt: 1, place: '/place' };

    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'asgard-orphans-'));
      work = join(folder, 'work');
      await mkdir(work);
      await chown(work, OWN, OWN);
      return async () => {
        for (const child of left.splice(0)) child.kill('SIGKILL');
        await rm(folder, { recursive: true, force: true });
      };
    });

    async function start(uid: number, env: Record<string, string> = {}): Promise<ChildProcess> {
      const child = spawn('/bin/sleep', ['600'], { uid, gid: uid, env, stdio: 'ignore', detached: true });
      await once(child, 'spawn');
      left.push(child);
      return child;
    }

    const isRunning = ({ pid = 0 }: ChildProcess) => identityOfProcess(pid) !== null;

    it('what has emptied its environment is ended too, and nothing of another user', async () => {
      const marked = await start(OWN, { [RUN_VARIABLE]: runMark(handle) });
      const bare = await start(OWN);
      const another = await start(ANOTHER);
      await killOrphans(handle, work);
      expect([marked, bare, another].map(isRunning)).toEqual([false, false, true]);
    });

    it('only what bears its mark is ended when another run has the number by now', async () => {
      const marked = await start(OWN, { [RUN_VARIABLE]: runMark(handle) });
      const next = await start(OWN, { [RUN_VARIABLE]: runMark({ ...handle, attempt: 2 }) });
      const ofNext = await start(OWN);
      await killOrphans(handle, work);
      expect([marked, next, ofNext].map(isRunning)).toEqual([false, true, true]);
    });

    it('nothing is ended that happens to have the number under which the platform makes its own files', async () => {
      await chown(folder, OWN, OWN);
      const bare = await start(OWN);
      await killOrphans(handle, work);
      expect(isRunning(bare)).toBe(true);
    });
  },
);

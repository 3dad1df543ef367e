import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import { type RunHandle, RunnerLostError, type RunSpec } from '../../src/executors/executor.ts';
import { LocalExecutor } from '../../src/executors/local.ts';
import { identityOfProcess } from '../../src/platform/process-identity.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import type { ExitRecord, Frame } from '../../src/python/frames.ts';
import { poll } from '../support/poll.ts';
import { processesWith } from '../support/processes-by-argument.ts';
import { runnerPidOf } from '../support/runner-pid.ts';
import { inTimeEnough } from '../support/time-enough.ts';
import { uniqueName } from '../support/unique-name.ts';

/** Against what hangs, below the time that a test has. */
const LIMIT_MS = 100_000;
const { toolchain } = parseConfig(inheritedEnvironment(), false);

let folder: string;
let executor: LocalExecutor;
let handle: RunHandle;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'asgard-executor-'));
  executor = new LocalExecutor({ folder, python: toolchainPython(toolchain) });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

beforeEach(() => {
  handle = { jobId: uniqueName('job'), attempt: 1, place: folder };
  return () => executor.forget(handle);
});

const specOf = (script: string, changes: Partial<RunSpec> = {}): RunSpec => ({
  // Its name is in its arguments: so it is found among the processes.
  scriptName: `${handle.jobId}.py`,
  script,
  environmentFolder: join(toolchain, 'python'),
  variables: {},
  // Nothing here is to end by it, unless it says so.
  timeoutSeconds: 600,
  graceSeconds: 0.3,
  outputLimitBytes: 1024 * 1024,
  ...changes,
});

async function submit(script: string, changes: Partial<RunSpec> = {}): Promise<void> {
  await executor.reserve(handle);
  await executor.submit(handle, specOf(script, changes));
}

async function allFrames(from = executor): Promise<Frame[]> {
  return (await Array.fromAsync(from.frames(handle, 0, AbortSignal.timeout(LIMIT_MS)))).flat();
}

const textsOf = (frames: readonly Frame[]) => frames.flatMap((frame) => ('text' in frame ? [frame.text] : []));

function exitOf(frames: readonly Frame[]): ExitRecord {
  const last = frames.at(-1);
  if (last === undefined || !('exit' in last)) throw new Error('there is no exit frame');
  return last.exit;
}

async function runnerPid(): Promise<number> {
  return runnerPidOf(join(folder, handle.jobId, '1'));
}

describe('frames', () => {
  it('come while the script runs, numbered from 1, and end with how it ended', async () => {
    const open = join(folder, `${handle.jobId}.open`);
    await submit(`
import os, sys, time
print("first")
while not os.path.exists(${JSON.stringify(open)}):
    time.sleep(0.01)
print("second", file=sys.stderr)
sys.exit(3)
`);
    const frames: Frame[] = [];
    for await (const list of executor.frames(handle, 0, AbortSignal.timeout(LIMIT_MS))) {
      expect(list.length).toBeGreaterThan(0);
      frames.push(...list);
      if (frames.length === 1) await writeFile(open, '');
    }
    expect(frames).toMatchObject([
      { number: 1, stream: 'stdout', text: 'first' },
      { number: 2, stream: 'stderr', text: 'second' },
      { number: 3, exit: { code: 3, signal: null, reason: 'exited', lines: 2, bytes: 13 } },
    ]);
  });

  it('can be read again, from another process too, with the same numbers', async () => {
    await submit('for i in range(3000):\n    print(i)\n');
    const frames = await allFrames();
    expect(frames).toHaveLength(3001);
    expect(await allFrames()).toEqual(frames);
    expect(await allFrames(new LocalExecutor({ folder, python: toolchainPython(toolchain) }))).toEqual(frames);
  });

  it('of two readers at once are the same', async () => {
    await submit('import time\nfor i in range(200):\n    print(i, flush=True)\n    time.sleep(0.001)\n');
    const [first, second] = await Promise.all([allFrames(), allFrames()]);
    expect(second).toEqual(first);
    expect(textsOf(first)).toEqual(Array.from({ length: 200 }, (_, index) => String(index)));
  });

  it('stop with the reason of the signal', async () => {
    await submit('import time\nprint(1, flush=True)\ntime.sleep(60)\n');
    const stop = new AbortController();
    const reading = (async () => {
      for await (const _ of executor.frames(handle, 0, stop.signal)) stop.abort(new Error('seen enough'));
    })();
    await expect(reading).rejects.toThrow('seen enough');
  });

  it.each([
    ['empties', 'os.truncate(spool, 0)'],
    ['writes into', 'open(spool, "a").write("nonsense\\n")'],
    ['forges a line in', 'open(spool, "a").write(\'{"n":9,"t":1,"s":"stdout","x":"forged"}\\n\')'],
  ])('of a script that %s its spool end with an error rather than with a hole', async (_what, damage) => {
    const seen = join(folder, `${handle.jobId}.seen`);
    await submit(`
import os, time
spool = os.path.join("..", "spool")
print("first line", flush=True)
while not os.path.exists(${JSON.stringify(seen)}):
    time.sleep(0.01)
${damage}
for number in range(100):
    print("then", number, flush=True)
`);
    const texts: string[] = [];
    const reading = (async () => {
      for await (const frames of executor.frames(handle, 0, AbortSignal.timeout(LIMIT_MS))) {
        texts.push(...textsOf(frames));
        await writeFile(seen, '');
      }
    })();
    await expect(reading).rejects.toThrow('the record of what the script printed was changed from outside: line 2');
    expect(texts).toEqual(['first line']);
  });

  it('of more than is kept, which nobody read in time, are the first half and the end, and one tells of the rest', async () => {
    const LIMIT = 1024 * 1024;
    const LINES = 50_000;
    const lineOf = (number: number) => `${number} ${'x'.repeat(90)}`;
    await submit(`for i in range(1, ${LINES + 1}):\n    print(i, "x" * 90)\n`, { outputLimitBytes: LIMIT });
    const run = join(folder, handle.jobId, '1');
    const isOver = async (name: string) => (await readFile(join(run, name), 'utf8')).includes('"exit"');
    await poll(
      async () => {
        const names = (await readdir(run)).filter((name) => name.startsWith('spool'));
        return (await Promise.all(names.map((name) => isOver(name).catch(() => false)))).includes(true);
      },
      (isThere) => isThere,
      LIMIT_MS,
    );
    const sizes = await Promise.all((await readdir(run)).map(async (name) => (await stat(join(run, name))).size));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(3 * LIMIT);

    const frames = await allFrames();
    const gaps = frames.filter((frame) => 'totalBytes' in frame);
    expect(gaps).toHaveLength(1);
    const [gap] = gaps;
    if (gap === undefined) throw new Error('nothing was left out');
    const head = frames.filter(({ number }) => number < gap.number);
    expect(head.map(({ number }) => number)).toEqual(head.map((_, index) => index + 1));
    expect(textsOf(frames)).toEqual(
      [...head, ...frames.filter((frame) => 'text' in frame && frame.number > gap.number)].map(({ number }) =>
        lineOf(number),
      ),
    );
    expect(textsOf(head).join('\n').length).toBeGreaterThan(LIMIT / 2);
    expect(frames.at(-1)?.number).toBe(LINES + 1);
    const bytesUpTo = (last: number) =>
      Array.from({ length: last }, (_, index) => lineOf(index + 1).length + 1).reduce((sum, bytes) => sum + bytes, 0);
    expect(gap.totalBytes).toBe(bytesUpTo(gap.number));
    expect(exitOf(frames)).toMatchObject({ lines: LINES, bytes: bytesUpTo(LINES) });

    for (const after of [head.length - 5, head.length, head.length + 5, gap.number - 1, gap.number, LINES - 5, LINES]) {
      const rest = await Array.fromAsync(executor.frames(handle, after, AbortSignal.timeout(LIMIT_MS)));
      expect(rest.flat()).toEqual(frames.filter(({ number }) => number > after));
    }
  });

  it('of more than is kept all come to a reader that keeps up', async () => {
    const LINES = 20_000;
    // It waits for its reader, so that a busy machine does not make that late.
    const script = `
import os, time
for i in range(${LINES}):
    while i % 1000 == 0 and i > 0 and not os.path.exists(f"seen-{i}"):
        time.sleep(0.005)
    print(i, "x" * 190)
`;
    await submit(script, { outputLimitBytes: 2 * 1024 * 1024 });
    const frames: Frame[] = [];
    for await (const list of executor.frames(handle, 0, AbortSignal.timeout(LIMIT_MS))) {
      frames.push(...list);
      const { length } = frames;
      if (length % 1000 === 0) await writeFile(join(executor.workFolderOf(handle), `seen-${length}`), '');
    }
    expect(frames.map(({ number }) => number)).toEqual(frames.map((_, index) => index + 1));
    expect(exitOf(frames)).toMatchObject({ lines: LINES });
  });

  it('tell of a script that could not be started', async () => {
    await submit('print(1)\n', { environmentFolder: join(folder, 'no-such-environment') });
    const exit = exitOf(await allFrames());
    expect(exit).toMatchObject({ reason: 'start_failed', code: null, lines: 0 });
    expect(exit.message).toContain('no-such-environment');
  });
});

describe('a script', () => {
  it('gets its variables and nothing of this process, and leaves its token in no file and no argument', async () => {
    const token = uniqueName('token');
    process.env['SECRET_OF_THE_TEST'] = 'must not be seen';
    try {
      await submit(
        `
import json, os, sys, time
print(json.dumps(dict(os.environ)))
print(open(f"/proc/{os.getppid()}/environ").read() if os.path.exists("/proc") else "")
sys.stdout.flush()
time.sleep(60)
`,
        { variables: { TOKEN: token, ODD: 'a\nb="c"$d `e` ✅' } },
      );
      const frames: Frame[] = [];
      for await (const list of executor.frames(handle, 0, AbortSignal.timeout(LIMIT_MS))) {
        frames.push(...list);
        if (frames.length >= 2) break;
      }
      const [seen = '{}', runner = ''] = textsOf(frames);
      expect(JSON.parse(seen)).toMatchObject({ TOKEN: token, ODD: 'a\nb="c"$d `e` ✅' });
      expect(seen).not.toContain('SECRET_OF_THE_TEST');
      expect(runner).toBe('');
      expect(await processesWith(token)).toEqual([]);
      // The spool holds it here because the script printed it.
      const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter(
        (entry) => entry.isFile() && entry.name !== 'spool',
      );
      expect(files.length).toBeGreaterThan(0);
      for (const { parentPath, name } of files)
        expect(await readFile(join(parentPath, name), 'utf8')).not.toContain(token);
    } finally {
      delete process.env['SECRET_OF_THE_TEST'];
    }
  });

  it('has its files in folders that only its user can enter', async () => {
    await submit('pass\n');
    await allFrames();
    for (const path of ['1/work', '1/home']) {
      expect((await stat(join(folder, handle.jobId, path))).mode & 0o077).toBe(0);
    }
    expect((await stat(join(folder, handle.jobId, '1', 'spool'))).mode & 0o077).toBe(0);
  });

  it('that runs longer than its time is ended, with all that it started', async () => {
    const script = `
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "${handle.jobId}"], start_new_session=True)
print("started", flush=True)
time.sleep(600)
`;
    const frames = await inTimeEnough(
      async (timeoutSeconds) => {
        await executor.forget(handle);
        await submit(script, { timeoutSeconds });
        return allFrames();
      },
      (seen) => textsOf(seen).length > 0,
    );
    expect(textsOf(frames)).toEqual(['started']);
    expect(exitOf(frames)).toMatchObject({ reason: 'timed_out', code: null, signal: 'SIGKILL' });
    expect(await processesWith(`${handle.jobId}`)).toEqual([]);
  });
});

describe('another executor', () => {
  it('goes on with a run behind the frames that it names, ends it, and knows how far it has come', async () => {
    expect(await executor.stateOf(handle)).toBe('gone');
    await executor.reserve(handle);
    expect(await executor.stateOf(handle)).toBe('reserved');
    await executor.submit(
      handle,
      specOf('import time\nfor i in range(5):\n    print(i, flush=True)\ntime.sleep(60)\n'),
    );
    for await (const frames of executor.frames(handle, 0, AbortSignal.timeout(LIMIT_MS))) {
      if (textsOf(frames).includes('4')) break;
    }
    // As it is in another process: it has started nothing itself, and its own runs go elsewhere.
    const other = new LocalExecutor({ folder: join(folder, 'other'), python: toolchainPython(toolchain) });
    expect(await other.stateOf(handle)).toBe('started');
    expect(await executor.handles()).toContainEqual(handle);
    expect(await other.handles()).toEqual([]);
    await other.cancel(handle);
    const frames = (await Array.fromAsync(other.frames(handle, 3, AbortSignal.timeout(LIMIT_MS)))).flat();
    expect(frames).toMatchObject([
      { number: 4, text: '3' },
      { number: 5, text: '4' },
      { number: 6, exit: { reason: 'cancelled', lines: 5 } },
    ]);
    await other.forget(handle);
    expect(await executor.stateOf(handle)).toBe('gone');
  });
});

describe('cancel', () => {
  it('lets the script say good-bye, and its end is in the frames', async () => {
    await submit(
      `
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit("good-bye"))
print("ready", flush=True)
time.sleep(600)
`,
      { graceSeconds: 600 },
    );
    for await (const _ of executor.frames(handle, 0, AbortSignal.timeout(LIMIT_MS))) break;
    await executor.cancel(handle);
    const frames = await allFrames();
    expect(textsOf(frames)).toEqual(['ready', 'good-bye']);
    expect(exitOf(frames)).toMatchObject({ reason: 'cancelled', code: 1, signal: null });
  });

  it('may come before the script runs, twice, after its end, and for what never was', async () => {
    await submit('import time\ntime.sleep(60)\n');
    await executor.cancel(handle);
    await executor.cancel(handle);
    expect(exitOf(await allFrames())).toMatchObject({ reason: 'cancelled' });
    await poll(
      () => processesWith(handle.jobId),
      (pids) => pids.length === 0,
    );
    await executor.cancel(handle);
    await executor.cancel({ jobId: 'never-was', attempt: 1, place: folder });
    expect(exitOf(await allFrames())).toMatchObject({ reason: 'cancelled' });
  });
});

describe('a runner that is killed', () => {
  it('takes its script with it, and whoever follows is told that it is lost', async () => {
    await submit('import time\nprint("ready", flush=True)\ntime.sleep(60)\n');
    const frames: Frame[] = [];
    const following = (async () => {
      for await (const list of executor.frames(handle, 0, AbortSignal.timeout(LIMIT_MS))) {
        frames.push(...list);
        process.kill(await runnerPid(), 'SIGKILL');
      }
    })();
    await expect(following).rejects.toThrow(RunnerLostError);
    await expect(following).rejects.toThrow(handle.jobId);
    expect(textsOf(frames)).toEqual(['ready']);
    await poll(
      () => processesWith(handle.jobId),
      (pids) => pids.length === 0,
    );
    // Whoever comes later is told the same, after what there is.
    await expect(allFrames()).rejects.toThrow(RunnerLostError);
  });

  it('leaves nothing running once the execution is forgotten, whatever the script had started', async () => {
    const child = `import time; print("child", flush=True); time.sleep(600) # ${handle.jobId}`;
    await submit(`
import subprocess, sys, time
for apart in (False, True):
    subprocess.Popen([sys.executable, "-c", ${JSON.stringify(child)}], start_new_session=apart, cwd="/")
time.sleep(600)
`);
    const texts: string[] = [];
    const following = (async () => {
      for await (const frames of executor.frames(handle, 0, AbortSignal.timeout(LIMIT_MS))) {
        texts.push(...textsOf(frames));
        if (texts.length === 2) process.kill(await runnerPid(), 'SIGKILL');
      }
    })();
    await expect(following).rejects.toThrow(RunnerLostError);
    // As after a crash: another Asgard, which has nothing but the files.
    await new LocalExecutor({ folder, python: toolchainPython(toolchain) }).forget(handle);
    await poll(
      () => processesWith(handle.jobId),
      (pids) => pids.length === 0,
    );
  });

  it('is not mistaken for the process that has its number now', async () => {
    await executor.reserve(handle);
    // This process with the identity of another: a signal to it would end the test.
    expect(identityOfProcess(process.pid)).not.toBeNull();
    const start = { pid: process.pid, identity: 'another boot:1' };
    await writeFile(join(folder, handle.jobId, '1', 'spool'), `${JSON.stringify({ n: 0, t: 1, start })}\n`);
    await executor.cancel(handle);
    await executor.forget(handle);
    await expect(stat(join(folder, handle.jobId))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('forget', () => {
  it('removes what an execution left', async () => {
    await submit('open("result", "w").close()\n');
    await allFrames();
    await executor.forget(handle);
    await expect(stat(join(folder, handle.jobId))).rejects.toMatchObject({ code: 'ENOENT' });
    await executor.forget(handle);
  });

  it('ends what still runs first, also what ignores SIGTERM', async () => {
    await submit(
      'import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(1, flush=True)\ntime.sleep(600)\n',
      { graceSeconds: 600, timeoutSeconds: 600 },
    );
    for await (const _ of executor.frames(handle, 0, AbortSignal.timeout(LIMIT_MS))) break;
    await executor.forget(handle);
    expect(await processesWith(handle.jobId)).toEqual([]);
    await expect(stat(join(folder, handle.jobId))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

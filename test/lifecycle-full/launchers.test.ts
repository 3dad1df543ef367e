import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import type { RunHandle } from '../../src/executors/executor.ts';
import type { Isolation } from '../../src/executors/isolation.ts';
import { LocalExecutor } from '../../src/executors/local.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import { Launchers } from '../../src/python/launchers.ts';
import { Starter } from '../../src/python/starter.ts';
import { CAN_BE_APART } from '../support/isolation.ts';
import { poll } from '../support/poll.ts';
import { killIfThere, processesOf } from '../support/processes.ts';
import { uniqueName } from '../support/unique-name.ts';

const LIMIT_MS = 60_000;
const { toolchain } = parseConfig(inheritedEnvironment(), false);
const BASE = join(toolchain, 'python');

let folder: string;
let starter: Starter | undefined;
let launchers: Launchers;
let executor: LocalExecutor;
let count = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'asgard-launchers-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function start(isolation: Isolation['level'], changes: { idleMs?: number } = {}): void {
  count += 1;
  const python = toolchainPython(toolchain);
  const hidden = [folder];
  starter = isolation === 'none' ? undefined : new Starter({ python, folder });
  launchers = new Launchers({
    folder: join(folder, `launchers ${count}`),
    limit: 1,
    quietMs: 50,
    ...changes,
    apart: starter === undefined ? undefined : { starter, hidden },
  });
  executor = new LocalExecutor({ folder: join(folder, 'jobs'), python, launchers, starter, isolation, hidden });
}
afterEach(async () => {
  await launchers[Symbol.asyncDispose]();
  await starter?.[Symbol.asyncDispose]();
});

/** Runs a script and gives the lines that it printed. */
async function run(
  script: string,
  variables: Record<string, string> = {},
  environmentFolder = BASE,
): Promise<string[]> {
  const handle: RunHandle = { jobId: uniqueName('job'), attempt: 1, place: executor.place };
  await executor.reserve(handle);
  const scriptName = `${handle.jobId}.py`;
  const spec = {
    scriptName,
    script,
    environmentFolder,
    variables,
    timeoutSeconds: 60,
    graceSeconds: 1,
    outputLimitBytes: 1024 * 1024,
  };
  await executor.submit(handle, spec);
  const frames = (await Array.fromAsync(executor.frames(handle, 0, AbortSignal.timeout(LIMIT_MS)))).flat();
  await executor.forget(handle);
  return frames.flatMap((frame) => ('text' in frame ? [frame.text] : []));
}

/** @returns the folder of a new environment without any package */
async function emptyEnvironment(): Promise<string> {
  const own = join(folder, uniqueName('own'));
  await promisify(execFile)(toolchainPython(toolchain), ['-m', 'venv', '--without-pip', own]);
  return own;
}

/** Whether numpy was there before the script imported anything. */
const WARM = 'import sys\nprint("numpy" in sys.modules)\n';

/** Resolves once a run finds a warm process. */
const warm = () =>
  poll(
    () => run(WARM),
    ([isWarm]) => isWarm === 'True',
    LIMIT_MS,
  );

/** Of launchers themselves: a confined one has a fork of its own, which waits for the next request. */
const launcherPids = () => {
  const pids = processesOf(join(folder, `launchers ${count}`)).flatMap(({ pid, command }) =>
    command.includes('launcher.py') ? [pid] : [],
  );
  return pids.filter((pid) => !pids.includes(parentOf(pid)));
};

/** The launcher, once it is the only one: what was forked from one for a run may be seen for a moment. */
const oneLauncher = async () =>
  (
    await poll(
      () => launcherPids(),
      ({ length }) => length === 1,
    )
  )[0];

/** 0 of a process that is gone. */
function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return 0;
  }
}

const levels = ['none', ...(CAN_BE_APART ? ['namespaces' as const] : [])] as const;

describe.each(levels)('a run with isolation %s', { timeout: 2 * LIMIT_MS }, (level) => {
  beforeEach(() => start(level));

  it('is started cold while its environment has no launcher, and then warm', async () => {
    expect(await run(WARM)).toEqual(['False']);
    await warm();
    expect(await run('import os\nprint(os.environ["OWN"], "SECRET" in os.environ)\n', { OWN: 'value' })).toEqual([
      'value False',
    ]);
  });

  it('whose variables are read at import is started cold', async () => {
    await run(WARM);
    await warm();
    expect(await run(WARM, { OMP_NUM_THREADS: '3' })).toEqual(['False']);
    expect(await run(WARM, { PYTHONHASHSEED: '0' })).toEqual(['False']);
    expect(await run(WARM, { DATA_PATH: '/x' })).toEqual(['True']);
  });

  it('goes on when its launcher is killed, and the next one is started cold', async () => {
    await run(WARM);
    await warm();
    const handle: RunHandle = { jobId: uniqueName('job'), attempt: 1, place: executor.place };
    await executor.reserve(handle);
    const script = 'import os, time\nprint(os.getppid(), flush=True)\ntime.sleep(0.5)\nprint("done")\n';
    const scriptName = `${handle.jobId}.py`;
    await executor.submit(handle, {
      scriptName,
      script,
      environmentFolder: BASE,
      variables: {},
      timeoutSeconds: 60,
      graceSeconds: 1,
      outputLimitBytes: 1024 * 1024,
    });
    const texts: string[] = [];
    for await (const frames of executor.frames(handle, 0, AbortSignal.timeout(LIMIT_MS))) {
      for (const frame of frames) if ('text' in frame) texts.push(frame.text);
      if (texts.length === 1) for (const pid of launcherPids()) killIfThere(pid);
    }
    expect(texts.at(-1)).toBe('done');
    await executor.forget(handle);
    expect(await run(WARM)).toEqual(['False']);
  });

  it('finds ready what scripts of its environment import, also what they began to import later', async () => {
    const has = (name: string) => `import sys\nprint(${JSON.stringify(name)} in sys.modules)\nimport ${name}\n`;
    const finds = (name: string) =>
      poll(
        () => run(has(name)),
        ([isThere]) => isThere === 'True',
        LIMIT_MS,
      );
    await run(has('colorsys'));
    await finds('colorsys');
    await finds('plistlib');
    await finds('colorsys');
  });

  it.each([
    ['starts a thread', 'import threading, time\nthreading.Thread(target=time.sleep, args=(9,), daemon=True).start()'],
    ['ends the process', 'import os\nos._exit(3) if "launcher" in open("/proc/self/cmdline").read() else None'],
  ])('is warm again where a module that scripts import %s', async (_, text) => {
    const own = await emptyEnvironment();
    const [version = ''] = await readdir(join(own, 'lib'));
    const packages = join(own, 'lib', version, 'site-packages');
    // Every launcher imports it, where there is one.
    await writeFile(join(packages, 'pandas.py'), '');
    await writeFile(join(packages, 'awkward.py'), text);
    const script = 'import sys\nprint("pandas" in sys.modules, "awkward" in sys.modules)\nimport awkward\n';
    expect(await run(script, {}, own)).toEqual(['False False']);
    await poll(
      () => run(script, {}, own),
      ([line]) => line === 'True False',
      LIMIT_MS,
    );
  });

  it('is warm the first time where a launcher was started before', async () => {
    await launchers.warmUp(BASE);
    await poll(
      () => run(WARM),
      ([isWarm]) => isWarm === 'True',
      LIMIT_MS,
    );
    await launchers.warmUp(BASE);
    await oneLauncher();
  });

  it('of one environment more than there may be launchers takes the place of the one that was not used for the longest time', async () => {
    await run(WARM);
    await warm();
    const first = await oneLauncher();
    const other = await emptyEnvironment();
    expect(await run(WARM, {}, other)).toEqual(['False']);
    await poll(
      () => ({ pids: launcherPids(), isWarm: launchers.isWarm(other) }),
      ({ pids, isWarm }) => isWarm && pids.length === 1 && pids[0] !== first,
      LIMIT_MS,
    );
    expect(launchers.isWarm(BASE)).toBe(false);
    expect(await run(WARM)).toEqual(['False']);
  });

  it('finds no launcher that nobody used for a while, and starts one anew', async () => {
    await launchers[Symbol.asyncDispose]();
    await starter?.[Symbol.asyncDispose]();
    // Longer than a run takes, by which it is used again and again until it is warm.
    start(level, { idleMs: 5_000 });
    await warm();
    await poll(
      () => ({ pids: launcherPids(), folders: readdirSync(join(folder, `launchers ${count}`)) }),
      ({ pids, folders }) => pids.length === 0 && folders.length === 0,
      LIMIT_MS,
    );
    expect(await run(WARM)).toEqual(['False']);
    await warm();
  });

  it('finds no launcher where there shall be none', async () => {
    const none = new Launchers({ folder: join(folder, 'none'), limit: 0 });
    expect(await none.launch(BASE, {}, {})).toBeNull();
    expect(await none.launch(BASE, {}, {})).toBeNull();
    await none[Symbol.asyncDispose]();
  });
});

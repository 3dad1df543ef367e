import { setTimeout as delay } from 'node:timers/promises';
import { PROJECT_ROOT } from '../../src/config.ts';
import { ChildProcess, freePort } from '../../src/platform/process.ts';
import { platformVariables } from './asgard.ts';
import type { Bench } from './bench.ts';
import { memoryOf } from './memory.ts';
import { untilAnswering } from './wait.ts';

const READY_LIMIT_MS = 120_000;
/** The platform ends within 10 s. */
const END_LIMIT_MS = 15_000;

/** A platform that was started as its users start it. */
export interface NpmStart extends AsyncDisposable {
  /** From the command until `/healthz` answers, and until `/readyz` says that all is ready. */
  readonly answerMs: number;
  readonly readyMs: number;
}

/** Runs `npm start` on a data folder and resolves when the platform is ready. */
export async function npmStart(bench: Bench, home: string): Promise<NpmStart> {
  const port = await freePort();
  const startedAt = performance.now();
  const npm = await bench.own(spawnNpm(platformVariables(bench, home, { PORT: String(port) })));
  const ended = new AbortController();
  void npm.exited.then(() => ended.abort(new Error(`npm start ended:\n${npm.tail()}`)));
  const limit = AbortSignal.any([bench.signal, ended.signal, AbortSignal.timeout(READY_LIMIT_MS)]);
  await untilAnswering(`http://127.0.0.1:${port}/healthz`, limit);
  const answerMs = performance.now() - startedAt;
  await untilAnswering(`http://127.0.0.1:${port}/readyz`, limit);
  return { answerMs, readyMs: performance.now() - startedAt, [Symbol.asyncDispose]: npm[Symbol.asyncDispose] };
}

async function spawnNpm(env: NodeJS.ProcessEnv) {
  const child = await ChildProcess.start({ argv: ['npm', 'start', '--silent'], env, cwd: PROJECT_ROOT });
  const dispose = async () => {
    // The platform alone is asked, since a signal to all ends npm first, and the group is killed soon after its leader.
    const platform = (await memoryOf(child.pid)).find(({ command }) => / src\/main\.ts$/.test(command));
    if (platform !== undefined) {
      process.kill(platform.pid, 'SIGTERM');
      const limit = new AbortController();
      await Promise.race([child.exited, delay(END_LIMIT_MS, undefined, { signal: limit.signal }).catch(() => {})]);
      limit.abort();
    }
    await child[Symbol.asyncDispose]();
  };
  return { exited: child.exited, tail: () => child.tail, [Symbol.asyncDispose]: dispose };
}

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import { LocalExecutor } from '../../src/executors/local.ts';
import { ProcessMemory } from '../../src/inference/python/process-memory.ts';
import type { PythonEnvironment } from '../../src/python/environments.ts';
import { Launchers } from '../../src/python/launchers.ts';
import { Starter } from '../../src/python/starter.ts';
import { CAN_BE_APART, ISOLATION } from './isolation.ts';
import { poll } from './poll.ts';

/** It imports what all scripts may. */
const WARM_LIMIT_MS = 120_000;

const environmentFolder = join(parseConfig(inheritedEnvironment(), false).toolchain, 'python');
const python = join(environmentFolder, 'bin', 'python');

/** The toolchain's environment has what a model needs, and is always there. */
export const TOOLCHAIN_ENVIRONMENT: PythonEnvironment = {
  hash: 'toolchain',
  folder: environmentFolder,
  python,
  [Symbol.dispose]: () => {},
  lock: '',
  pythonVersion: '',
};

/** What runs model processes in a folder, apart from everything else in it as far as this machine can. */
export interface ModelProcesses extends AsyncDisposable {
  readonly executor: LocalExecutor;
  readonly memory: ProcessMemory;
}

/**
 * A warm process of the toolchain's environment, which model processes are forked from in a fraction of the time: as on a
 * platform that has run a job. Where none can be they are started cold.
 */
export class WarmProcess implements AsyncDisposable {
  readonly launchers: Launchers;
  readonly #folder: string;
  readonly #starter: Starter | undefined;

  static async start(): Promise<WarmProcess> {
    const warm = new WarmProcess(await mkdtemp(join(tmpdir(), 'asgard-warm-')));
    if (ISOLATION === 'account') return warm;
    await warm.launchers.warmUp(environmentFolder);
    await poll(
      () => warm.launchers.isWarm(environmentFolder),
      (isWarm) => isWarm,
      WARM_LIMIT_MS,
    );
    return warm;
  }

  private constructor(folder: string) {
    this.#folder = folder;
    this.#starter = CAN_BE_APART ? new Starter({ python, folder }) : undefined;
    const apart = this.#starter && { starter: this.#starter, hidden: [folder] };
    this.launchers = new Launchers({ folder, limit: ISOLATION === 'account' ? 0 : 1, apart });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.launchers[Symbol.asyncDispose]();
    await this.#starter?.[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/**
 * @param folder an existing folder, hidden from the processes
 * @param launchers absent: every process is started cold
 */
export function modelProcessesIn(folder: string, isolation = ISOLATION, launchers?: Launchers): ModelProcesses {
  const starter = isolation === 'none' ? undefined : new Starter({ python, folder });
  const executor = new LocalExecutor({
    folder: join(folder, 'processes'),
    python,
    isolation,
    hidden: [folder],
    starter,
    launchers,
  });
  const memory = new ProcessMemory();
  const dispose = async () => {
    memory[Symbol.dispose]();
    await starter?.[Symbol.asyncDispose]();
  };
  return { executor, memory, [Symbol.asyncDispose]: dispose };
}

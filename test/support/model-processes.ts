import { join } from 'node:path';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import { LocalExecutor } from '../../src/executors/local.ts';
import { ProcessMemory } from '../../src/inference/python/process-memory.ts';
import type { PythonEnvironment } from '../../src/python/environments.ts';
import { Starter } from '../../src/python/starter.ts';
import { ISOLATION } from './isolation.ts';

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

/** @param folder an existing folder, hidden from the processes */
export function modelProcessesIn(folder: string, isolation = ISOLATION): ModelProcesses {
  const starter = isolation === 'none' ? undefined : new Starter({ python, folder });
  const executor = new LocalExecutor({
    folder: join(folder, 'processes'),
    python,
    isolation,
    hidden: [folder],
    starter,
  });
  const memory = new ProcessMemory();
  const dispose = async () => {
    memory[Symbol.dispose]();
    await starter?.[Symbol.asyncDispose]();
  };
  return { executor, memory, [Symbol.asyncDispose]: dispose };
}

import { join } from 'node:path';
import { PROJECT_ROOT } from '../config.ts';
import type { StartRecord } from './frames.ts';
import { launcherCommand, launcherVariables, type RunnerSpec, type WarmProcess } from './launcher.ts';
import type { Starter } from './starter.ts';

const PACKAGE = join(PROJECT_ROOT, 'python');
const PROGRAM = join(PACKAGE, 'asgard', 'confined_launcher.py');

/** A warm Python process of one environment that is set apart as scripts are, and forks them into their sandboxes. */
export class ConfinedLauncher implements WarmProcess {
  readonly ended: Promise<void>;
  readonly #starter: Starter;
  readonly #number: Promise<number | null>;
  #loaded: ReadonlySet<string> | null = null;

  /**
   * @param options.folder an existing folder of its own with a folder `tmp`: its working directory and home
   * @param options.hidden what it does not see
   * @param options.modules what it imports beside what all do
   */
  constructor(options: {
    starter: Starter;
    environmentFolder: string;
    folder: string;
    hidden: readonly string[];
    modules: readonly string[];
  }) {
    const { starter, environmentFolder, folder, hidden, modules } = options;
    this.#starter = starter;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    const ready = (loaded: readonly string[]) => {
      this.#loaded = new Set(loaded);
    };
    const ended = () => {
      this.#loaded = null;
      resolve();
    };
    const program = {
      argv: launcherCommand(environmentFolder, PROGRAM, modules),
      env: launcherVariables(environmentFolder, folder),
      cwd: folder,
      confinement: {
        level: 'namespaces',
        hidden,
        readable: [environmentFolder, PACKAGE],
        writable: [folder],
        tmp: join(folder, 'tmp'),
      },
    };
    this.#number = starter.launch(program, { ready, ended });
    void this.#number.then((number) => number ?? ended());
  }

  get loaded(): ReadonlySet<string> | null {
    return this.#loaded;
  }

  async launch(spec: RunnerSpec): Promise<StartRecord | null> {
    return this.#loaded === null ? null : this.#starter.run(spec, await this.#number);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#loaded = null;
    const number = await this.#number;
    if (number !== null) this.#starter.end(number);
    await this.ended;
  }
}

import { join } from 'node:path';
import { PROJECT_ROOT } from '../config.ts';
import type { StartRecord } from './frames.ts';
import { launcherVariables, PRELOADED, type RunnerSpec, type WarmProcess } from './launcher.ts';
import type { Starter } from './starter.ts';

const PACKAGE = join(PROJECT_ROOT, 'python');
const PROGRAM = join(PACKAGE, 'asgard', 'confined_launcher.py');

/** A warm Python process of one environment that is set apart as scripts are, and forks them into their sandboxes. */
export class ConfinedLauncher implements WarmProcess {
  readonly ended: Promise<void>;
  readonly #starter: Starter;
  readonly #number: Promise<number | null>;
  #isReady = false;

  /**
   * @param options.folder an existing folder of its own with a folder `tmp`: its working directory and home
   * @param options.hidden what it does not see
   */
  constructor(options: {
    starter: Starter;
    environmentFolder: string;
    folder: string;
    hidden: readonly string[];
  }) {
    const { starter, environmentFolder, folder, hidden } = options;
    this.#starter = starter;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    const ready = () => {
      this.#isReady = true;
    };
    const ended = () => {
      this.#isReady = false;
      resolve();
    };
    const program = {
      argv: [join(environmentFolder, 'bin', 'python'), '-u', PROGRAM, ...PRELOADED],
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

  get isReady(): boolean {
    return this.#isReady;
  }

  async launch(spec: RunnerSpec): Promise<StartRecord | null> {
    return this.#isReady ? this.#starter.run(spec, await this.#number) : null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isReady = false;
    const number = await this.#number;
    if (number !== null) this.#starter.end(number);
    await this.ended;
  }
}

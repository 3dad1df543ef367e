import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { z } from 'zod';
import { PROJECT_ROOT } from '../config.ts';

const PROGRAM = join(PROJECT_ROOT, 'python', 'asgard', 'script_checker.py');
const MAX_ANSWER_CHARACTERS = 16 * 1024;

const scriptError = z.object({
  kind: z.string(),
  message: z.string(),
  line: z.int().positive().nullable(),
  text: z.string().nullable(),
});
const checkerAnswer = z.object({ error: scriptError.nullable() });

/** Why Python cannot compile a script. `kind` is its exception, `line` counts from 1, `text` is of that line. */
export type ScriptError = z.infer<typeof scriptError>;

/** What one check came to. `late` and `ended`: the process was killed for its time, or ended by itself. */
export type Verdict = { readonly error: ScriptError | null } | 'late' | 'ended';

/** One process of `python/asgard/script_checker.py`, which judges one script at a time. `end` it, or it lives on. */
export class CheckerProcess {
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  #isEnded = false;
  #answer = '';
  #settle: ((verdict: Verdict) => void) | undefined;

  /**
   * Starts it.
   * @param python an interpreter of the version that jobs run with
   * @param folder where it runs; it reads and writes nothing there
   */
  constructor(python: string, folder: string) {
    // A session of its own: Ctrl-C at a terminal is the platform's to handle.
    this.#child = spawn(python, ['-I', '-S', PROGRAM], {
      cwd: folder,
      env: { LANG: 'C.UTF-8' },
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.ended = new Promise((resolve) => {
      const end = () => {
        this.#isEnded = true;
        this.#settle?.('ended');
        resolve();
      };
      this.#child.once('exit', end);
      this.#child.once('error', end);
    });
    this.#child.stdin?.on('error', () => {});
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#read(text));
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Judges a script. Not to be called before the one before was judged. A process that takes longer than `limitMs` is killed. */
  async judge(script: string, limitMs: number): Promise<Verdict> {
    if (this.#isEnded) return 'ended';
    const { promise, resolve } = Promise.withResolvers<Verdict>();
    this.#settle = resolve;
    const limit = setTimeout(() => {
      resolve('late');
      this.end();
    }, limitMs);
    const bytes = Buffer.from(script);
    const size = Buffer.alloc(4);
    size.writeUInt32BE(bytes.length);
    this.#child.stdin?.write(size);
    this.#child.stdin?.write(bytes);
    const verdict = await promise;
    clearTimeout(limit);
    return verdict;
  }

  /** Kills it, whatever it is at. */
  end(): void {
    this.#isEnded = true;
    this.#child.kill('SIGKILL');
  }

  #read(text: string): void {
    this.#answer += text;
    const end = this.#answer.indexOf('\n');
    if (end === -1) {
      if (this.#answer.length > MAX_ANSWER_CHARACTERS) this.end();
      return;
    }
    const line = this.#answer.slice(0, end);
    this.#answer = '';
    const verdict = parseAnswer(line);
    if (verdict === undefined) this.end();
    else this.#settle?.(verdict);
  }
}

function parseAnswer(line: string): Verdict | undefined {
  try {
    return checkerAnswer.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}

const MAX_STATE_CHARACTERS = 200;

/** The parts of the platform that are not ready yet, each with what it waits for. */
export class Readiness {
  readonly #pending = new Map<string, string>();
  readonly #troubles = new Map<string, string>();
  #waiting: (() => void)[] = [];

  /** Notes that a part is not ready, and why: `set('mlflow', 'is starting')`. Of a longer text the beginning is kept. */
  set(part: string, state: string): void {
    this.#pending.set(part, shortLine(state));
  }

  /** Notes that a part is ready. */
  clear(part: string): void {
    this.#pending.delete(part);
    if (this.#pending.size > 0) return;
    for (const resolve of this.#waiting) resolve();
    this.#waiting = [];
  }

  /** Resolves once no part is noted that is not ready. */
  whenReady(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#pending.size === 0) resolve();
      else this.#waiting.push(resolve);
    });
  }

  /** Whether it is noted that a part is not ready. */
  has(part: string): boolean {
    return this.#pending.has(part);
  }

  /** Notes what is wrong with a part without which the platform goes on, or with null that nothing is. */
  setTrouble(part: string, trouble: string | null): void {
    if (trouble === null) this.#troubles.delete(part);
    else this.#troubles.set(part, shortLine(trouble));
  }

  /** One short line for each part that the platform goes on without: `s3: the S3 bucket models does not exist`. */
  get troubles(): string[] {
    return linesOf(this.#troubles);
  }

  /** One short line for each part that is not ready: `mlflow: is starting`. */
  get notReady(): string[] {
    return linesOf(this.#pending);
  }
}

function linesOf(states: ReadonlyMap<string, string>): string[] {
  return [...states].map(([part, state]) => `${part}: ${state}`);
}

/** A reason may hold the end of a log: that is for our own log, not for whoever asks how the platform is. */
function shortLine(text: string): string {
  const [firstLine = ''] = text.trim().split(/\r?\n/, 1);
  const line = firstLine.slice(0, MAX_STATE_CHARACTERS).trimEnd();
  return line.length === text.trim().length ? line : `${line} …`;
}

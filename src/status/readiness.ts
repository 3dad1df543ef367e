/** The parts of the platform that are not ready yet, each with what it waits for. */
export class Readiness {
  readonly #pending = new Map<string, string>();

  /** Notes that a part is not ready, and why: `set('mlflow', 'is starting')`. */
  set(part: string, state: string): void {
    this.#pending.set(part, state);
  }

  /** Notes that a part is ready. */
  clear(part: string): void {
    this.#pending.delete(part);
  }

  /** One line for each part that is not ready: `mlflow: is starting`. */
  get notReady(): string[] {
    return [...this.#pending].map(([part, state]) => `${part}: ${state}`);
  }
}

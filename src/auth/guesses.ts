import { createHash } from 'node:crypto';

/** Wrong keys that a client may show within the time below. */
const MAX_WRONG = 10;
const WINDOW_MS = 60_000;
/** Beyond it the client that was seen first is forgotten. */
const MAX_CLIENTS = 10_000;

/**
 * Slows down whoever guesses the key. Different wrong keys count, not requests: a program that was left with an old key
 * does not shut out the others behind its address.
 */
export class Guesses {
  readonly #clients = new Map<string, { readonly until: number; readonly wrong: Set<string> }>();

  /** For how many seconds no key of this client is looked at, not even the right one, which would be told by it. */
  blockedSeconds(client: string): number {
    const entry = this.#clients.get(client);
    if (entry === undefined || entry.wrong.size < MAX_WRONG) return 0;
    return Math.max(0, Math.ceil((entry.until - Date.now()) / 1000));
  }

  /** Remembers that a client showed a wrong key. */
  note(client: string, key: string): void {
    const known = this.#clients.get(client);
    const isOver = known === undefined || known.until <= Date.now();
    const entry = isOver ? { until: Date.now() + WINDOW_MS, wrong: new Set<string>() } : known;
    entry.wrong.add(createHash('sha256').update(key).digest('base64'));
    if (isOver) {
      this.#clients.delete(client);
      this.#clients.set(client, entry);
    }
    const [oldest] = this.#clients.keys();
    if (this.#clients.size > MAX_CLIENTS && oldest !== undefined) this.#clients.delete(oldest);
  }
}

import type { Asked } from './clients.ts';
import type { Count } from './proof.ts';

const MOST_FAULTS = 5;

/** What requests came to, counted. */
export class Tally {
  /** The first of what must not be. */
  readonly faults: string[] = [];
  readonly #when: string;
  readonly #of = { right: 0, wrong: 0, refused: 0, failed: 0, unanswered: 0 };

  /** @param when during what, for the counts' names */
  constructor(when: string) {
    this.#when = when;
  }

  take({ outcome: { kind, said } }: Asked): void {
    this.#of[kind] += 1;
    if (kind === 'right' || kind === 'refused' || this.faults.length >= MOST_FAULTS) return;
    this.faults.push(`${this.#when}, ${kind}: ${said}`);
  }

  /** Requests that were refused so far. */
  get refused(): number {
    return this.#of.refused;
  }

  get counts(): Count[] {
    const { right, wrong, refused, failed, unanswered } = this.#of;
    const named = (what: string) => `${what} ${this.#when}`;
    return [
      { what: named('requests'), is: right + wrong + refused + failed + unanswered },
      { what: named('answered rightly'), is: right },
      { what: named('refused for a moment'), is: refused },
      { what: named('answered wrongly'), is: wrong, wanted: 0 },
      { what: named('failed in another way'), is: failed, wanted: 0 },
      { what: named('lost'), is: unanswered, wanted: 0 },
    ];
  }
}

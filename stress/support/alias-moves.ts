interface Move {
  readonly to: string;
  readonly begunAt: number;
  /** When the version that it moved to had answered first. */
  settledAt: number;
}

/**
 * Which versions an alias may answer by: from a move's begin the new one, and the one before it until the new one has
 * answered. Times are `performance.now()`.
 */
export class AliasMoves {
  readonly #moves: Move[];

  constructor(first: string) {
    this.#moves = [{ to: first, begunAt: Number.NEGATIVE_INFINITY, settledAt: Number.NEGATIVE_INFINITY }];
  }

  get current(): string {
    return this.#moves.at(-1)?.to ?? '';
  }

  /** Whether the version that the alias names has answered. */
  get isSettled(): boolean {
    return this.#moves.at(-1)?.settledAt !== Number.POSITIVE_INFINITY;
  }

  begin(to: string, begunAt: number): void {
    this.#moves.push({ to, begunAt, settledAt: Number.POSITIVE_INFINITY });
  }

  /** Takes note of an answer. @returns whether it is by a version that the alias named while it was asked for */
  take({ version, startedAt, endedAt }: { version: string; startedAt: number; endedAt: number }): boolean {
    for (const move of this.#moves.toReversed()) {
      if (move.begunAt > endedAt) continue;
      if (move.to === version) {
        move.settledAt = Math.min(move.settledAt, endedAt);
        return true;
      }
      if (startedAt > move.settledAt) return false;
    }
    return false;
  }
}

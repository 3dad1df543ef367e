import { createHash } from 'node:crypto';

/** An event as any transport brings it. */
export interface StreamedEvent {
  readonly sequence: number;
  /** What a script printed, without the platform's own lines. */
  readonly line?: string;
  /** Of the end record. */
  readonly end?: { readonly status: string; readonly lines: number; readonly sha256: string };
}

/** What a follower of one job has got so far, over however many connections. */
export class Received {
  #last = 0;
  #lost = 0;
  #repeated = 0;
  #lines = 0;
  readonly #hash = createHash('sha256');
  #end: StreamedEvent['end'];

  take({ sequence, line, end }: StreamedEvent): void {
    if (sequence <= this.#last) {
      this.#repeated += 1;
      return;
    }
    this.#lost += sequence - this.#last - 1;
    this.#last = sequence;
    if (line !== undefined) {
      this.#lines += 1;
      this.#hash.update(`${line}\n`);
    }
    this.#end ??= end;
  }

  /** The number of the newest event. */
  get last(): number {
    return this.#last;
  }

  /** Events whose numbers were passed over. */
  get lost(): number {
    return this.#lost;
  }

  /** Events that came again. */
  get repeated(): number {
    return this.#repeated;
  }

  get lines(): number {
    return this.#lines;
  }

  /** How the job ended, once that has come. */
  get end(): StreamedEvent['end'] {
    return this.#end;
  }

  /** Whether the lines that came are those of the end record, by number and by digest. */
  get isWhole(): boolean {
    return this.#end?.lines === this.#lines && this.#end.sha256 === this.#hash.copy().digest('hex');
  }
}

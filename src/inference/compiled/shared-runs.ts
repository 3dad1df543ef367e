import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { CompiledRows, TensorMaker } from './tensors.ts';

/** onnxruntime answers in this thread. So many rows take it some tenths of a millisecond, and others are served between. */
export const ROWS_AT_ONCE = 64;

/** What one request's rows came to: in the results, which have `count` rows, they are those from `start` up to `end`. */
export interface RunPart {
  /** By the outputs' names. */
  readonly results: Readonly<Record<string, Tensor>>;
  readonly start: number;
  readonly end: number;
  readonly count: number;
}

/** An ONNX file in memory, as far as it is needed here. */
export interface RunSession {
  run(feeds: Record<string, Tensor>, wanted: readonly string[]): Promise<InferenceSession.OnnxValueMapType>;
}

interface Waiting {
  readonly rows: CompiledRows;
  readonly wanted: readonly string[];
  resolve(part: RunPart): void;
  reject(error: unknown): void;
}

/**
 * Runs an ONNX file for rows of many requests at once: those that came in one turn of the event loop share a run, as each call of
 * onnxruntime has a cost of its own beside that of its rows. It was proven with many rows at once, and is asked for 64 at a time
 * when one request has more.
 */
export class SharedRuns {
  readonly #session: RunSession;
  readonly #tensors: TensorMaker;
  #waiting: Waiting[] = [];

  constructor(session: RunSession, tensors: TensorMaker) {
    this.#session = session;
    this.#tensors = tensors;
  }

  /**
   * @param rows at most `ROWS_AT_ONCE`
   * @param wanted names of outputs; there may be others in the results
   * @throws what onnxruntime does when it refuses these rows
   */
  run(rows: CompiledRows, wanted: readonly string[]): Promise<RunPart> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) setImmediate(() => this.#runAll());
      this.#waiting.push({ rows, wanted, resolve, reject });
    });
  }

  #runAll(): void {
    let group: Waiting[] = [];
    let count = 0;
    for (const waiting of this.#waiting) {
      if (count + waiting.rows.count > ROWS_AT_ONCE) {
        void this.#runGroup(group);
        group = [];
        count = 0;
      }
      group.push(waiting);
      count += waiting.rows.count;
    }
    this.#waiting = [];
    void this.#runGroup(group);
  }

  async #runGroup(group: readonly Waiting[]): Promise<void> {
    const wanted = group.reduce<readonly string[]>(
      (most, waiting) => (waiting.wanted.length > most.length ? waiting.wanted : most),
      [],
    );
    try {
      const results = await this.#session.run(this.#tensors.feeds(group.map(({ rows }) => rows)), wanted);
      const count = group.reduce((sum, { rows }) => sum + rows.count, 0);
      let start = 0;
      for (const { rows, resolve } of group) {
        const end = start + rows.count;
        resolve({ results, start, end, count });
        start = end;
      }
    } catch (error) {
      // Which of them it is about is not known.
      if (group.length === 1) group[0]?.reject(error);
      else for (const waiting of group) void this.#runGroup([waiting]);
    }
  }
}

import { InferenceSession } from 'onnxruntime-node';
import type { AsgardError } from '../../platform/errors.ts';
import type { ModelAnswer } from '../engine.ts';
import type { PredictedValue, WorkerRequest } from '../protocol.ts';
import type { CompiledDescription } from './description.ts';
import { checkOnnxFile } from './onnx-file.ts';
import { refusalOf } from './refusal.ts';
import { ROWS_AT_ONCE, type RunPart, SharedRuns } from './shared-runs.ts';
import { TensorMaker } from './tensors.ts';

/** As `python/asgard_compile/proof.py` has them. */
const RELATIVE = 1e-5;
const SMALLEST_PROBABILITY = 0.025;
const SMALLEST_NUMBER = 1e-7;
/** The file, what onnxruntime makes of it, and what a run takes. */
const MEMORY_FACTOR = 4;
const MEMORY_BYTES = 4 * 2 ** 20;

/** An ONNX file in memory that answers as the model which it was made of. Disposing frees it. */
export class CompiledModel implements AsyncDisposable {
  readonly memoryBytes: number;
  readonly description: CompiledDescription;
  readonly #session: InferenceSession;
  readonly #tensors: TensorMaker;
  readonly #runs: SharedRuns;

  /**
   * Looks through the file, loads it, and has it answer the sample.
   * @throws Error when it is not allowed, cannot be loaded, or says something else than the original
   */
  static async load(file: Uint8Array, description: CompiledDescription): Promise<CompiledModel> {
    checkOnnxFile(file);
    const session = await InferenceSession.create(file, {
      executionProviders: ['cpu'],
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      logSeverityLevel: 4,
    });
    const model = new CompiledModel(session, description, file.length);
    try {
      await model.#answerSample();
      return model;
    } catch (error) {
      await session.release();
      throw error;
    }
  }

  private constructor(session: InferenceSession, description: CompiledDescription, sizeBytes: number) {
    this.#session = session;
    this.description = description;
    this.#tensors = new TensorMaker(description);
    this.#runs = new SharedRuns(session, this.#tensors);
    this.memoryBytes = sizeBytes * MEMORY_FACTOR + MEMORY_BYTES;
  }

  /** The answer; null when it is not certain that the original would give the same: then that is to be asked. */
  async predict(
    { inputs, return_probabilities: wantsProbabilities }: WorkerRequest,
    signal?: AbortSignal,
  ): Promise<ModelAnswer | null> {
    const { outputs } = this.description;
    if (wantsProbabilities && outputs.probabilities === null) return null;
    const columns = this.#tensors.columnsOf(inputs);
    if (columns === null) return null;
    const rows = columns[0]?.length ?? 0;
    const wanted = [outputs.predictions, ...(wantsProbabilities ? [outputs.probabilities ?? ''] : [])];
    const predictions: PredictedValue[] = [];
    const probabilities: number[][] = [];
    for (let start = 0; start < rows; start += ROWS_AT_ONCE) {
      signal?.throwIfAborted();
      const part = this.#tensors.rowsOf(columns, start, Math.min(rows, start + ROWS_AT_ONCE));
      if (part === null) return null;
      const ran = await this.#runs.run(part, wanted);
      const values = valuesOf(ran, outputs.predictions, outputs.as);
      if (values === null) return null;
      predictions.push(...values);
      if (!wantsProbabilities) continue;
      const rowsOfNumbers = rowsOf(ran, outputs.probabilities ?? '');
      if (rowsOfNumbers === null) return null;
      probabilities.push(...rowsOfNumbers);
    }
    if (predictions.length !== rows) return null;
    return { predictions, probabilities: wantsProbabilities ? probabilities : null };
  }

  /** What the original would refuse the request with, where that is certain; undefined: it is to be asked. */
  refusalOf({ inputs, return_probabilities: wantsProbabilities }: WorkerRequest): AsgardError | undefined {
    const { layout, outputs } = this.description;
    if (wantsProbabilities && outputs.probabilities === null) return undefined;
    return refusalOf(inputs, layout);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.release();
  }

  async #answerSample(): Promise<void> {
    const { inputs, predictions, probabilities } = this.description.sample;
    const answer = await this.predict({ inputs, return_probabilities: probabilities !== null });
    if (answer === null) throw new Error('the compiled model cannot answer its sample');
    const isSame =
      answer.predictions.length === predictions.length &&
      areSame(answer.predictions, predictions) &&
      (probabilities === null || areClose(answer.probabilities ?? [], probabilities));
    if (!isSame) throw new Error('the compiled model answers its sample differently here');
  }
}

function valuesOf(
  { results, start, end, count }: RunPart,
  output: string,
  as: CompiledDescription['outputs']['as'],
): PredictedValue[] | null {
  const tensor = results[output];
  if (tensor?.data.length !== count) return null;
  if (as === 'text') return tensor.type === 'string' ? (tensor.data as string[]).slice(start, end) : null;
  if (tensor.type === 'string') return null;
  const numbers = Array.from(tensor.data.slice(start, end) as ArrayLike<number | bigint>, Number);
  if (as === 'bool') return numbers.map((value) => value === 1);
  return numbers.every(as === 'int' ? Number.isSafeInteger : Number.isFinite) ? numbers : null;
}

function rowsOf({ results, start, end, count }: RunPart, output: string): number[][] | null {
  const tensor = results[output];
  const [rows, width] = tensor?.dims ?? [];
  if (tensor === undefined || rows !== count || width === undefined || !/^float(32|64)$/.test(tensor.type)) return null;
  const numbers = tensor.data as Float32Array | Float64Array;
  const made: number[][] = [];
  for (let row = start; row < end; row += 1) {
    const part = Array.from(numbers.subarray(row * width, (row + 1) * width));
    if (!part.every(Number.isFinite)) return null;
    made.push(part);
  }
  return made;
}

function areSame(some: readonly PredictedValue[], others: readonly unknown[]): boolean {
  const least = SMALLEST_NUMBER * Math.max(...others.map((other) => (typeof other === 'number' ? Math.abs(other) : 0)));
  return some.every((one, row) => {
    const other = others[row];
    return one === other || (typeof one === 'number' && typeof other === 'number' && isClose(one, other, least));
  });
}

function areClose(some: readonly (readonly (number | null)[])[], others: readonly (readonly number[])[]): boolean {
  return others.every((row, at) => {
    const least = SMALLEST_PROBABILITY * Math.max(...row.map(Math.abs));
    return row.every((value, column) => isClose(some[at]?.[column] ?? Number.NaN, value, least));
  });
}

function isClose(one: number, other: number, least: number): boolean {
  return Math.abs(one - other) <= RELATIVE * Math.max(Math.abs(one), Math.abs(other), least);
}

import { setTimeout as delay } from 'node:timers/promises';
import { untilAborted } from '../../platform/abort.ts';
import { AsgardError, messageOf } from '../../platform/errors.ts';
import type { Logger } from '../../platform/logger.ts';
import type { Asking, ModelAnswer, ModelColumn, ServedModel } from '../engine.ts';
import type { WorkerRequest } from '../protocol.ts';
import type { CompiledModel } from './compiled-model.ts';

/** How often it is asked whether a version has been compiled meanwhile. */
const LOOK_MS = 2_000;
/** A Python process that a compiled model has not needed for so long is ended. */
const PYTHON_IDLE_MS = 5 * 60_000;

export interface VersionModelOptions {
  /** The compiled model; `pending`: not yet; null: there will be none. */
  readonly findCompiled: () => Promise<CompiledModel | 'pending' | null>;
  /** Loads the model into Python. */
  readonly loadPython: (signal: AbortSignal) => Promise<ServedModel>;
  readonly logger: Logger;
}

/**
 * A version that is served compiled where it can be, and by Python for what the compiled model is not certain of, and until
 * it is compiled. Python is started when it is first needed.
 */
export class VersionModel implements ServedModel {
  readonly ended: Promise<void>;
  readonly #options: VersionModelOptions;
  readonly #stop = new AbortController();
  readonly #end = Promise.withResolvers<void>();
  #compiled: CompiledModel | undefined;
  #python: Promise<ServedModel> | undefined;
  #loaded: ServedModel | undefined;
  #idle: NodeJS.Timeout | undefined;
  #waiting = 0;
  #isEnded = false;
  #isLost = false;

  /** @throws AsgardError UNAVAILABLE when it is not compiled and Python cannot load it; the signal's reason */
  static async load(options: VersionModelOptions, signal: AbortSignal): Promise<VersionModel> {
    const compiled = await options.findCompiled();
    const model = new VersionModel(options);
    if (compiled instanceof Object) model.#compiled = compiled;
    else {
      await model.#pythonModel(signal);
      if (compiled === 'pending') void model.#switchLater();
    }
    return model;
  }

  private constructor(options: VersionModelOptions) {
    this.#options = options;
    this.ended = this.#end.promise;
  }

  get engine(): 'onnx' | 'python' {
    return this.#compiled === undefined ? 'python' : 'onnx';
  }

  get memoryBytes(): number {
    return (this.#compiled?.memoryBytes ?? 0) + (this.#loaded?.memoryBytes ?? 0);
  }

  get processes(): number {
    return this.#loaded?.processes ?? 0;
  }

  get columns(): readonly ModelColumn[] | null {
    if (this.#compiled === undefined) return this.#loaded?.columns ?? null;
    const { columns, has_names: hasNames } = this.#compiled.description.layout;
    return hasNames ? columns.map(({ name, type }) => ({ name, type })) : null;
  }

  get waiting(): number {
    return this.#waiting;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  async predict(request: WorkerRequest, { signal, onTurn }: Asking = {}): Promise<ModelAnswer> {
    this.#waiting += 1;
    try {
      if (this.#compiled !== undefined) onTurn?.('onnx', performance.now());
      const answer = await this.#answerCompiled(request, signal);
      if (answer != null) return answer;
      const refusal = this.#compiled?.refusalOf(request);
      if (refusal !== undefined) throw refusal;
      // Until Python has begun, its start included, the request waits.
      onTurn?.('python', null);
      const python = await untilAborted(this.#pythonModel(this.#stop.signal), signal);
      return await python.predict(request, { signal, onTurn });
    } finally {
      this.#waiting -= 1;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true;
    this.#isLost = true;
    this.#stop.abort(new AsgardError('UNAVAILABLE', 'the model was put away; try again'));
    clearTimeout(this.#idle);
    const python = await this.#python?.catch(() => undefined);
    await python?.[Symbol.asyncDispose]();
    await this.#compiled?.[Symbol.asyncDispose]();
    this.#end.resolve();
  }

  /** A session that was let go of, also in the middle of a request, fails in words that are nobody's to read. */
  async #answerCompiled(request: WorkerRequest, signal?: AbortSignal): Promise<ModelAnswer | null | undefined> {
    this.#stop.signal.throwIfAborted();
    try {
      return await this.#compiled?.predict(request, signal);
    } catch (error) {
      this.#stop.signal.throwIfAborted();
      throw error;
    }
  }

  async #pythonModel(signal: AbortSignal): Promise<ServedModel> {
    if (this.#loaded?.isEnded === true) this.#forgetPython();
    this.#python ??= this.#startPython(signal);
    const python = await this.#python;
    clearTimeout(this.#idle);
    if (this.#compiled !== undefined) this.#endPythonLater();
    return python;
  }

  async #startPython(signal: AbortSignal): Promise<ServedModel> {
    try {
      const python = await this.#options.loadPython(signal);
      this.#loaded = python;
      void python.ended.then(() => {
        if (this.#loaded === python) this.#pythonEnded(python.isLost);
      });
      return python;
    } catch (error) {
      this.#python = undefined;
      throw error;
    }
  }

  /** Of a version that is not compiled it was all. */
  #pythonEnded(isLost: boolean): void {
    this.#forgetPython();
    if (this.#compiled !== undefined) return;
    this.#isLost = isLost;
    this.#isEnded = true;
    this.#stop.abort(new AsgardError('UNAVAILABLE', "the model's process ended; try again"));
    this.#end.resolve();
  }

  #forgetPython(): void {
    this.#python = undefined;
    this.#loaded = undefined;
  }

  #endPythonLater(): void {
    this.#idle = setTimeout(() => {
      const python = this.#loaded;
      if (python === undefined) return;
      if (python.waiting > 0) {
        this.#endPythonLater();
        return;
      }
      this.#forgetPython();
      void python[Symbol.asyncDispose]();
    }, PYTHON_IDLE_MS).unref();
  }

  /** Requests that Python is at are answered by it; the next ones find the compiled model. */
  async #switchLater(): Promise<void> {
    const { signal } = this.#stop;
    try {
      for (;;) {
        await delay(LOOK_MS, undefined, { signal, ref: false });
        const compiled = await this.#options.findCompiled();
        if (compiled === 'pending') continue;
        if (compiled === null) return;
        if (signal.aborted) return await compiled[Symbol.asyncDispose]();
        this.#compiled = compiled;
        this.#endPythonLater();
        return;
      }
    } catch (error) {
      if (!signal.aborted) this.#options.logger.warn({ reason: messageOf(error) }, 'model.not_switched');
    }
  }
}

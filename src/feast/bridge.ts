import type { ZodType } from 'zod';
import { AsgardError, messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import { BridgeProcess, type BridgeProcessOptions } from './bridge-process.ts';
import { type BridgeMessage, failureOf, type Progress } from './protocol.ts';

const DEFAULT_TIMEOUT_MS = 30_000;
/** As many as the bridge has threads. */
const MAX_AT_ONCE = 8;
/** Requests that wait for one of those; more are refused, so that a slow catalog cannot pile up work without end. */
const MAX_WAITING = 64;
/** After a start that failed: doubled each time. */
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 30_000;
/** How long a request that nobody waits for any more may go on before it counts as hanging. */
const HANG_LIMIT_MS = 30_000;

export interface FeastBridgeOptions extends Omit<BridgeProcessOptions, 'onMessage'> {
  readonly logger: Logger;
  /** 30,000 when absent. */
  readonly hangLimitMs?: number;
}

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** For the wait and the answer together; 30,000 when absent. */
  readonly timeoutMs?: number | undefined;
  /** Is called with what the method tells of how far it is. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

interface Request {
  readonly id: number;
  readonly method: string;
  readonly params: object;
  readonly onProgress: RequestOptions['onProgress'];
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Feast and pyiceberg, in a Python process that starts with the first request, and again when it has ended. Up to 8 requests
 * are worked on at once. What is in flight when the process dies is answered with UNAVAILABLE, and is not asked again: the
 * caller knows whether that is safe.
 */
export class FeastBridge implements AsyncDisposable {
  readonly #options: FeastBridgeOptions;
  /** The oldest first. They are held here, so that one that gave up costs the bridge nothing. */
  readonly #waiting: Request[] = [];
  readonly #inFlight = new Map<number, Request>();
  /** Those that gave up while the bridge was at them, and are still its work. */
  readonly #abandoned = new Map<number, NodeJS.Timeout>();
  #process: BridgeProcess | undefined;
  #starting: Promise<void> | undefined;
  /** Why the last start failed, while the next one is waited for. */
  #trouble: AsgardError | undefined;
  #pause: NodeJS.Timeout | undefined;
  #failures = 0;
  #lastId = 0;
  #isDisposed = false;

  constructor(options: FeastBridgeOptions) {
    this.#options = options;
  }

  /** Why it cannot be used at present; undefined while it runs, starts, or was not needed yet. */
  get trouble(): AsgardError | undefined {
    return this.#trouble;
  }

  /** Of the process, when there is one. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Starts the process in the background, so that the first request finds it warm. */
  start(): void {
    if (this.#isDisposed || this.#process !== undefined || this.#trouble !== undefined) return;
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined;
    });
  }

  /**
   * Asks the bridge.
   * @param method one of `METHODS` of `python/asgard_feast/methods.py`
   * @param schema of the result
   * @throws AsgardError as the method says; UNAVAILABLE when the process died or cannot start; TIMEOUT; the signal's reason
   */
  async request<T>(method: string, params: object, schema: ZodType<T>, options: RequestOptions = {}): Promise<T> {
    const { signal, timeoutMs = DEFAULT_TIMEOUT_MS, onProgress } = options;
    signal?.throwIfAborted();
    if (this.#isDisposed) throw new AsgardError('UNAVAILABLE', 'the platform ends');
    if (this.#trouble !== undefined) throw this.#trouble;
    if (this.#waiting.length >= MAX_WAITING) {
      throw new AsgardError('UNAVAILABLE', 'too many requests are waiting for the feature store; try again');
    }
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#lastId += 1;
    const request = { id: this.#lastId, method, params, onProgress, resolve, reject };
    const abort = () => this.#giveUp(request, signal?.reason);
    const limit = setTimeout(() => {
      const message = `the feature store did not answer ${method} within ${timeoutMs / 1000} s; try again`;
      this.#giveUp(request, new AsgardError('TIMEOUT', message));
    }, timeoutMs);
    signal?.addEventListener('abort', abort);
    this.#waiting.push(request);
    this.start();
    this.#sendNext();
    try {
      return schema.parse(await promise);
    } finally {
      clearTimeout(limit);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Ends the process. Requests that wait are answered with UNAVAILABLE. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    clearTimeout(this.#pause);
    this.#rejectAll(new AsgardError('UNAVAILABLE', 'the platform ends'));
    await this.#process?.[Symbol.asyncDispose]();
    await this.#starting;
  }

  async #start(): Promise<void> {
    const { logger } = this.#options;
    const started = performance.now();
    try {
      const bridge = await BridgeProcess.start({
        ...this.#options,
        onMessage: (message) => this.#take(message),
      });
      if (this.#isDisposed) {
        await bridge[Symbol.asyncDispose]();
        return;
      }
      const seconds = Number(((performance.now() - started) / 1000).toFixed(3));
      logger.info({ pid: bridge.pid, seconds }, 'feast_bridge.started');
      this.#process = bridge;
      void bridge.ended.then(() => this.#ended(bridge));
      this.#sendNext();
    } catch (error) {
      this.#rest(new AsgardError('UNAVAILABLE', `the feature store cannot start: ${messageOf(error)}`));
    }
  }

  #ended(bridge: BridgeProcess): void {
    this.#process = undefined;
    for (const timer of this.#abandoned.values()) clearTimeout(timer);
    this.#abandoned.clear();
    if (this.#isDisposed) return;
    const error = bridge.gone();
    this.#options.logger.warn({ problem: error.message, inFlight: this.#inFlight.size }, 'feast_bridge.ended');
    for (const { reject } of this.#inFlight.values()) reject(error);
    this.#inFlight.clear();
    // One that never answered anything would be started without end.
    if (bridge.hasAnswered) this.start();
    else this.#rest(error);
  }

  /** Refuses requests for a while, and then tries again. */
  #rest(trouble: AsgardError): void {
    if (this.#isDisposed) return;
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, MAX_PAUSE_MS);
    this.#failures += 1;
    this.#options.logger.error({ problem: trouble.message, pauseMs }, 'feast_bridge.start_failed');
    this.#trouble = trouble;
    this.#rejectAll(trouble);
    this.#pause = setTimeout(() => {
      this.#trouble = undefined;
      this.start();
    }, pauseMs).unref();
  }

  #sendNext(): void {
    const bridge = this.#process;
    if (bridge === undefined) return;
    while (this.#inFlight.size + this.#abandoned.size < MAX_AT_ONCE) {
      const request = this.#waiting.shift();
      if (request === undefined) return;
      const { id, method, params } = request;
      this.#inFlight.set(id, request);
      bridge.send({ id, method, params });
    }
  }

  #take(message: BridgeMessage): void {
    const request = this.#inFlight.get(message.id);
    if ('progress' in message) {
      request?.onProgress?.(message.progress);
      return;
    }
    this.#failures = 0;
    clearTimeout(this.#abandoned.get(message.id));
    this.#abandoned.delete(message.id);
    this.#inFlight.delete(message.id);
    this.#sendNext();
    if (request === undefined) return;
    if ('error' in message) request.reject(failureOf(request.method, message.error));
    else request.resolve(message.result);
  }

  /** Answers a request before the bridge does. */
  #giveUp(request: Request, reason: unknown): void {
    request.reject(reason);
    const place = this.#waiting.indexOf(request);
    if (place !== -1) this.#waiting.splice(place, 1);
    if (!this.#inFlight.delete(request.id)) return;
    this.#process?.send({ cancel: request.id });
    const { hangLimitMs = HANG_LIMIT_MS } = this.#options;
    const timer = setTimeout(() => this.#hangs(request), hangLimitMs).unref();
    this.#abandoned.set(request.id, timer);
  }

  /** Nothing but its end stops code that runs. Others' work is spared while there are threads left. */
  #hangs({ method }: Request): void {
    const reason = `${method} went on long after it was called off`;
    this.#options.logger.warn({ method }, 'feast_bridge.request_hangs');
    if (this.#inFlight.size === 0 || this.#abandoned.size >= MAX_AT_ONCE / 2) this.#process?.kill(reason);
  }

  #rejectAll(error: AsgardError): void {
    for (const { reject } of [...this.#inFlight.values(), ...this.#waiting]) reject(error);
    this.#inFlight.clear();
    this.#waiting.length = 0;
  }
}

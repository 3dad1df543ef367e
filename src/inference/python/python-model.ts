import { AsgardError, hasCode, messageOf } from '../../platform/errors.ts';
import type { Asking, ModelAnswer, ModelColumn, ServedModel } from '../engine.ts';
import type { ProcessAnswer, WorkerRequest } from '../protocol.ts';
import { BatchSize } from './batch-size.ts';
import { CallLimit } from './call-limit.ts';
import { Gathering } from './gathering.ts';
import { type ModelProcess, ProcessEndedError } from './model-process.ts';
import type { ProcessMemory } from './process-memory.ts';
import { RequestQueue, type Waiting } from './request-queue.ts';

const REQUEST_LIMIT_MS = 30_000;
/**
 * Merged requests that take longer than this part of the limit have one among them that does: from then on each goes alone. And for
 * so long a process may be at requests that nobody waits for any more: if they left after a long wait, it is not to blame.
 */
const CALL_PART = 1 / 6;
/** When requests have waited for so long without a break, another process is worth its start. */
const BUSY_MS = 1_000;
/** A process beside the first that nobody needed for so long ends. */
const UNUSED_MS = 60_000;
/** One that ended sooner by itself would do so again: the next is started when somebody asks. */
const STEADY_MS = 10_000;

export interface PythonModelOptions {
  /** Starts one more process with the model. */
  readonly start: (signal: AbortSignal) => Promise<AskedProcess>;
  readonly memory: ProcessMemory;
  /** Whether one more process, of so many bytes, has room in the memory. */
  readonly hasRoomFor: (bytes: number) => boolean;
  readonly maxProcesses: number;
  /** What requests may take, which their signals hold them to; 30,000 when absent. */
  readonly requestLimitMs?: number | undefined;
}

/** What of a process a model needs. */
type AskedProcess = Pick<ModelProcess, 'ready' | 'rootPid' | 'ended' | 'ask' | 'kill'>;

/** A process of the model, and since when it has been what it is. */
interface Member {
  readonly process: AskedProcess;
  readonly startedAt: number;
  isBusy: boolean;
  usedAt: number;
  readonly gathering: Gathering;
}

/**
 * A model in Python processes: one, and more when requests have to wait and there is memory. A request that finds a process
 * idle goes to it at once; those that come while all are busy are merged into one batch, where the model allows it. When a
 * process ends with requests in hand, each of them is tried once more, alone, so that one request can only hurt itself.
 */
export class PythonModel implements ServedModel {
  readonly engine = 'python';
  readonly ended: Promise<void>;
  readonly #options: PythonModelOptions;
  readonly #requestLimitMs: number;
  readonly #queue = new RequestQueue();
  readonly #size = new BatchSize();
  readonly #members = new Set<Member>();
  /** Of members too, until all that they left is removed. */
  readonly #ends = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #allEnded = Promise.withResolvers<void>();
  readonly #unused: NodeJS.Timeout;
  #columns: readonly ModelColumn[] | null = null;
  #isRowWise = false;
  #inHand = 0;
  #starting: Promise<void> | undefined;
  #busy: NodeJS.Timeout | undefined;
  #turn: NodeJS.Immediate | undefined;
  #gathering: NodeJS.Timeout | undefined;
  #failure: string | undefined;

  /** Resolves when the model is loaded. @throws AsgardError UNAVAILABLE with the reason; the signal's reason */
  static async load(options: PythonModelOptions, signal: AbortSignal): Promise<PythonModel> {
    const first = await options.start(signal);
    const model = new PythonModel(options, first);
    await model.#add(first);
    return model;
  }

  private constructor(options: PythonModelOptions, { ready }: AskedProcess) {
    this.#options = options;
    this.#requestLimitMs = options.requestLimitMs ?? REQUEST_LIMIT_MS;
    this.#columns = ready.columns;
    this.#isRowWise = ready.is_row_wise;
    this.ended = this.#allEnded.promise;
    this.#unused = setInterval(() => this.#endUnused(), UNUSED_MS / 2).unref();
  }

  get columns(): readonly ModelColumn[] | null {
    return this.#columns;
  }

  get memoryBytes(): number {
    const { memory } = this.#options;
    return [...this.#members].reduce((sum, { process }) => sum + memory.bytesOf(process.rootPid ?? 0), 0);
  }

  get processes(): number {
    return this.#members.size;
  }

  get waiting(): number {
    return this.#queue.size + this.#inHand;
  }

  get isEnded(): boolean {
    return this.#stop.signal.aborted;
  }

  get isLost(): boolean {
    return this.isEnded && this.#failure === undefined;
  }

  async predict(request: WorkerRequest, { signal, onTurn }: Asking = {}): Promise<ModelAnswer> {
    if (this.isEnded) throw this.#gone();
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<ModelAnswer>();
    const waiting: Waiting = { request, onTurn, resolve, reject, wasTried: false, hasLeft: false };
    onTurn?.(this.engine, null);
    this.#queue.add(waiting);
    for (const { gathering } of this.#members) gathering.came();
    this.#wake();
    const leave = () => {
      waiting.hasLeft = true;
      const hasWaited = this.#queue.remove(waiting) && !waiting.wasTried;
      reject(hasWaited ? explained(signal?.reason) : signal?.reason);
      waiting.onLeave?.();
    };
    signal?.addEventListener('abort', leave);
    try {
      return await promise;
    } finally {
      signal?.removeEventListener('abort', leave);
    }
  }

  /** Ends its processes. Requests without an answer are told UNAVAILABLE. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.isEnded) {
      this.#stop.abort(this.#gone());
      clearInterval(this.#unused);
      clearTimeout(this.#busy);
      clearTimeout(this.#gathering);
      for (const { reject } of this.#queue.takeAll()) reject(this.#gone());
      await this.#starting;
      for (const { process } of this.#members) process.kill();
      await Promise.all(this.#ends);
      this.#allEnded.resolve();
    }
    await this.ended;
  }

  /** Those that came in one turn of the event loop go together: to wait for it costs nothing. */
  #wake(): void {
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined;
      this.#dispatch();
    });
  }

  #wakeAfter(milliseconds: number): void {
    this.#gathering ??= setTimeout(() => {
      this.#gathering = undefined;
      this.#dispatch();
    }, milliseconds);
  }

  #dispatch(): void {
    if (this.isEnded) return;
    const now = performance.now();
    let nextAt: number | undefined;
    for (const member of this.#members) {
      if (member.isBusy || this.#queue.size === 0) continue;
      const until = member.gathering.waitsUntil(now, this.#queue.size);
      if (until === null) void this.#run(member, this.#queue.take(this.#isRowWise ? this.#size.limit : 1));
      else nextAt = Math.min(until, nextAt ?? until);
    }
    if (nextAt !== undefined && this.#queue.size > 0) this.#wakeAfter(nextAt - now);
    if (this.#queue.size === 0) {
      clearTimeout(this.#busy);
      this.#busy = undefined;
    } else if (this.#members.size === 0) {
      this.#start();
    } else {
      this.#busy ??= setTimeout(() => this.#grow(), BUSY_MS);
    }
  }

  async #run(member: Member, batch: readonly Waiting[]): Promise<void> {
    const { process } = member;
    const startedAt = performance.now();
    using _limit = new CallLimit(this.#requestLimitMs * CALL_PART, batch, (reason) => process.kill(reason));
    member.isBusy = true;
    this.#inHand += batch.length;
    try {
      const answers = await process.ask(batch.map(({ request }) => request));
      const tookMs = performance.now() - startedAt;
      this.#size.took(batch.length, tookMs);
      member.gathering.answered(batch.length, tookMs, startedAt + tookMs);
      for (const [index, waiting] of batch.entries()) settle(waiting, answers[index]);
    } catch (error) {
      this.#lose(member);
      this.#tryAgain(batch, error);
    } finally {
      member.isBusy = false;
      member.usedAt = performance.now();
      this.#inHand -= batch.length;
      this.#dispatch();
    }
  }

  /** Of requests that a process has ended with: who is to blame is not known, unless there was one alone. */
  #tryAgain(batch: readonly Waiting[], error: unknown): void {
    const isBlamed = error instanceof ProcessEndedError && error.isBlamed && batch.length === 1;
    const goesOn = (waiting: Waiting) => !waiting.wasTried && !waiting.hasLeft && !isBlamed && !this.isEnded;
    for (const waiting of batch) if (!goesOn(waiting)) waiting.reject(this.#gone(messageOf(error)));
    const again = batch.filter(goesOn);
    for (const waiting of again) {
      waiting.wasTried = true;
      waiting.onTurn?.(this.engine, null);
    }
    this.#queue.addFirst(again);
  }

  #grow(): void {
    this.#busy = undefined;
    const { hasRoomFor, maxProcesses } = this.#options;
    const { size } = this.#members;
    if (size < maxProcesses && hasRoomFor(this.memoryBytes / Math.max(1, size))) this.#start();
    this.#wake();
  }

  #start(): void {
    this.#starting ??= this.#options
      .start(this.#stop.signal)
      .then((process) => this.#add(process))
      .catch((error: unknown) => {
        if (this.isEnded || this.#members.size > 0) return;
        // What loaded once cannot be loaded any more: whoever asks next has it loaded anew.
        this.#failure = messageOf(error);
        queueMicrotask(() => void this[Symbol.asyncDispose]());
      })
      .finally(() => {
        this.#starting = undefined;
        this.#dispatch();
      });
  }

  async #add(process: AskedProcess): Promise<void> {
    const now = performance.now();
    const member: Member = { process, startedAt: now, usedAt: now, isBusy: false, gathering: new Gathering() };
    const { memory } = this.#options;
    const { rootPid } = process;
    this.#members.add(member);
    const end = process.ended.then(() => {
      this.#ends.delete(end);
      if (rootPid !== null) memory.remove(rootPid);
      this.#lose(member);
    });
    this.#ends.add(end);
    if (rootPid !== null) await memory.add(rootPid);
  }

  /** The next one is there before somebody asks, unless this one did not last either. */
  #lose(member: Member): void {
    const wasMember = this.#members.delete(member);
    const wasSteady = performance.now() - member.startedAt > STEADY_MS;
    if (wasMember && wasSteady && this.#members.size === 0 && !this.isEnded) this.#start();
  }

  #endUnused(): void {
    const now = performance.now();
    for (const member of this.#members) {
      if (this.#members.size === 1) return;
      if (member.isBusy || now - member.usedAt < UNUSED_MS) continue;
      this.#members.delete(member);
      member.process.kill();
    }
  }

  #gone(reason = this.#failure ?? ''): AsgardError {
    return new AsgardError('UNAVAILABLE', `the model's process ended${reason === '' ? '' : `: ${reason}`}; try again`);
  }
}

/** Of a request whose time ended in the queue: the model is not to blame. */
function explained(reason: unknown): unknown {
  if (!hasCode(reason, 'TIMEOUT')) return reason;
  const message = `${reason.message}; it was busy with other requests all the while`;
  return new AsgardError('TIMEOUT', message, { cause: reason });
}

function settle({ resolve, reject }: Waiting, answer: ProcessAnswer | undefined): void {
  if (answer === undefined) return;
  if (!('error' in answer)) {
    resolve(answer);
    return;
  }
  const { kind, message, path } = answer.error;
  const text = kind === 'failed' ? `the model refused the inputs: ${message}` : message;
  const issues = [{ path: path ?? ['inputs'], message: text, type: 'value_error' }];
  reject(new AsgardError('INVALID_INPUT', text, { issues }));
}

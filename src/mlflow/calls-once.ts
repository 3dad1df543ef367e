import { createHash } from 'node:crypto';
import type { JobIdentity } from './job-identity.ts';

/** An answer that is held whole. */
export interface WholeAnswer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** A call that was noted before MLflow was sent it. */
export interface NotedCall {
  readonly id: bigint;
  /** Marks in MLflow what the call makes. */
  readonly mark: string;
  /** It was noted before, by a gateway that has ended since: MLflow may have done it. */
  readonly isRepeat: boolean;
}

/** Notes, which outlast this process, of calls whose answers their scripts may not have. */
export interface CallNotes {
  /**
   * Notes a call. When a process before this one left a note of an equal call, that note is this call's: each is given
   * once, so that of two equal calls, which were both under way, each finds its own.
   * @param digest of all that makes the call what it is
   */
  begin(identity: JobIdentity, digest: Buffer): Promise<NotedCall>;
  /** Its script has been answered: an equal call is another one from now on. */
  end(id: bigint): Promise<void>;
}

/** Whoever waits for an answer. */
export interface Caller {
  /** Runs when the caller has gone without the answer, also when that was before. */
  readonly onDeparture: (then: () => void) => void;
  /** Runs when the whole answer has been handed over. */
  readonly onAnswered: (then: () => void) => void;
}

/** What MLflow's clients repeat by themselves. */
const REPEATED_STATUSES = new Set([408, 429, 500, 502, 503, 504]);
/** Of calls that nobody asked for again; their notes stay until the attempt ends. */
const MAX_ABANDONED = 1_000;

/**
 * Has calls done once, however often a script's client repeats them. A repeat comes when the first got no answer: its
 * client stopped waiting, MLflow failed, or a gateway before this one was killed. It is told from an equal call that a
 * script makes on purpose by that: the first's caller has gone, or was told to try again.
 */
export class CallsOnce {
  readonly #notes: CallNotes;
  readonly #onError: (error: unknown) => void;
  readonly #abandoned = new Map<string, Call[]>();
  #abandonedCount = 0;

  /** @param onError is told when a note could not be removed; the next one that is takes it along */
  constructor(notes: CallNotes, onError: (error: unknown) => void) {
    this.#notes = notes;
    this.#onError = onError;
  }

  /**
   * The answer to a call: of the first, when this is its repeat and the first is still under way or was answered.
   * @param texts all that makes the call what it is
   * @param perform does it; `isRepeat` says that MLflow may have done it already. It is not run again once it has
   *   resolved with an answer that no client repeats
   */
  async answer(
    identity: JobIdentity,
    texts: readonly string[],
    caller: Caller,
    perform: (call: Pick<NotedCall, 'mark' | 'isRepeat'>) => Promise<WholeAnswer>,
  ): Promise<WholeAnswer> {
    const digest = createHash('sha256').update(JSON.stringify(texts)).digest();
    const key = `${identity.attemptId}:${digest.toString('base64')}`;
    const call = await this.#take(identity, digest, key);
    const holder = Symbol('holder');
    call.holder = holder;
    const abandon = () => {
      if (call.holder === holder) this.#abandon(key, call);
    };
    caller.onDeparture(abandon);
    caller.onAnswered(() => {
      if (call.holder === holder) void this.#end(call);
    });
    const before = call.outcome;
    call.outcome = this.#perform(call, before, perform);
    try {
      const answer = await call.outcome;
      // Before the client is told, as it may repeat the call at once.
      if (REPEATED_STATUSES.has(answer.statusCode)) abandon();
      return answer;
    } catch (error) {
      abandon();
      throw error;
    }
  }

  async #perform(
    { note }: Call,
    before: Promise<WholeAnswer> | undefined,
    perform: (call: Pick<NotedCall, 'mark' | 'isRepeat'>) => Promise<WholeAnswer>,
  ): Promise<WholeAnswer> {
    if (before === undefined) return await perform(note);
    const answer = await before.catch(() => undefined);
    if (answer !== undefined && !REPEATED_STATUSES.has(answer.statusCode)) return answer;
    return await perform({ ...note, isRepeat: true });
  }

  async #take(identity: JobIdentity, digest: Buffer, key: string): Promise<Call> {
    const abandoned = this.#takeAbandoned(key);
    if (abandoned !== undefined) return abandoned;
    const call: Call = { note: await this.#notes.begin(identity, digest), holder: undefined, outcome: undefined };
    // The end of the first's connection may be seen a moment later than its repeat.
    const late = call.note.isRepeat ? undefined : this.#takeAbandoned(key);
    if (late === undefined) return call;
    await this.#end(call);
    return late;
  }

  #takeAbandoned(key: string): Call | undefined {
    const calls = this.#abandoned.get(key);
    const call = calls?.shift();
    if (call !== undefined) this.#abandonedCount -= 1;
    if (calls?.length === 0) this.#abandoned.delete(key);
    return call;
  }

  #abandon(key: string, call: Call): void {
    call.holder = undefined;
    this.#abandoned.set(key, [...(this.#abandoned.get(key) ?? []), call]);
    this.#abandonedCount += 1;
    const [oldest] = this.#abandoned.keys();
    if (this.#abandonedCount > MAX_ABANDONED && oldest !== undefined) this.#takeAbandoned(oldest);
  }

  async #end({ note }: Call): Promise<void> {
    await this.#notes.end(note.id).catch(this.#onError);
  }
}

interface Call {
  readonly note: NotedCall;
  /** Of the caller that waits for the outcome now. */
  holder: symbol | undefined;
  outcome: Promise<WholeAnswer> | undefined;
}

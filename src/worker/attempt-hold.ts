import { type Claim, LEASE_SECONDS, renewLease } from '../jobs/queue.ts';
import { Interruption, Released } from './attempt-end.ts';
import type { SupervisorContext } from './supervisor-context.ts';

/** That an attempt is this worker's: its lease, and the word that it must end or is in other hands. */
export class AttemptHold {
  readonly #context: Pick<SupervisorContext, 'database' | 'logger'>;
  readonly #claim: Claim;
  readonly #interruption = new AbortController();
  readonly #release = new AbortController();

  constructor(context: Pick<SupervisorContext, 'database' | 'logger'>, claim: Claim) {
    this.#context = context;
    this.#claim = claim;
  }

  /** Aborts with an Interruption, or with Released. */
  get signal(): AbortSignal {
    return this.#interruption.signal;
  }

  /** Aborts with Released, also after an interruption. */
  get released(): AbortSignal {
    return this.#release.signal;
  }

  /** Why the attempt has to end; undefined while it has not. */
  get interruption(): Interruption | undefined {
    const { reason } = this.#interruption.signal;
    return reason instanceof Interruption ? reason : undefined;
  }

  /** Renews the lease until that is disposed. */
  keep(): Disposable {
    const timer = setInterval(() => void this.#renew(), (LEASE_SECONDS / 3) * 1000);
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }

  /** The first reason counts. */
  interrupt(status: Interruption['status'], message: string): void {
    this.#interruption.abort(new Interruption(status, message));
  }

  release(): void {
    const released = new Released();
    this.#interruption.abort(released);
    this.#release.abort(released);
  }

  /** To be called when a write in the attempt's name was refused. @throws the reason: it ended, or is another's */
  async mustHold(): Promise<never> {
    throw (await this.isOpen()) ? new Released() : new Interruption('LOST', 'the attempt has been ended');
  }

  /** Whether the attempt goes on, in whosever hands. */
  async isOpen(): Promise<boolean> {
    const where = { id: this.#claim.id, endedAt: null, job: { completedAt: null } };
    return (await this.#context.database.jobAttempt.count({ where })) > 0;
  }

  /** Whether the attempt is open, and this worker's. False when that cannot be told. */
  async isHeld(): Promise<boolean> {
    const lease = await renewLease(this.#context.database, this.#claim).catch(() => null);
    return lease !== null;
  }

  async #renew(): Promise<void> {
    const { database, logger } = this.#context;
    try {
      const lease = await renewLease(database, this.#claim);
      if (lease === null && (await this.isOpen())) this.release();
      else if (lease === null) this.interrupt('LOST', 'the attempt has been ended');
      else if (lease.cancelReason !== null) this.interrupt('CANCELLED', lease.cancelReason);
    } catch (error) {
      logger.warn({ jobId: this.#claim.jobId, err: error }, 'job.lease_not_renewed');
    }
  }
}

import { Counter, Gauge, Histogram } from 'prom-client';
import type { JobObserver } from '../jobs/job-observer.ts';
import type { TerminalStatus } from '../jobs/states.ts';
import { untilAborted } from '../platform/abort.ts';
import type { Registry } from '../platform/metrics.ts';

/** The guide's words, and their like for what REST shows as `failed`. */
const STATUS_LABELS: Record<TerminalStatus, string> = {
  COMPLETED: 'completed',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  TIMED_OUT: 'timed_out',
  LOST: 'lost',
};

/** A collector that waits longer gives up on the whole answer. */
const COUNTS_LIMIT_MS = 2000;

/** What is asked for at each collection. */
export interface JobSources {
  readonly workerSlots: number;
  /** How many jobs this process works on. */
  readonly runningHere: () => number;
  /** How many jobs wait and run in all processes. */
  readonly jobCounts: () => Promise<{ queued: number; running: number }>;
}

/** What this process does with jobs, and how many there are. */
export class JobMetrics implements JobObserver {
  readonly #ends: Counter<'status'>;
  readonly #durations: Histogram<'status'>;
  readonly #waits: Histogram;

  constructor(registry: Registry, { workerSlots, runningHere, jobCounts }: JobSources) {
    const registers = [registry];
    this.#ends = new Counter({
      name: 'mlops_training_jobs_total',
      help: 'Training jobs whose end this process wrote, by how they ended.',
      labelNames: ['status'],
      registers,
    });
    this.#durations = new Histogram({
      name: 'mlops_training_duration_seconds',
      help: 'From the claim of a training job to its end, environment and registration included.',
      labelNames: ['status'],
      buckets: [1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600],
      registers,
    });
    for (const status of Object.values(STATUS_LABELS)) {
      this.#ends.inc({ status }, 0);
      this.#durations.zero({ status });
    }
    this.#waits = new Histogram({
      name: 'mlops_training_queue_seconds',
      help: 'From the submission of a training job to its claim by this process.',
      buckets: [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900, 3600],
      registers,
    });
    const used: Gauge = new Gauge({
      name: 'mlops_worker_slots_used',
      help: 'Training jobs that this process works on now.',
      registers,
      collect: () => used.set(runningHere()),
    });
    new Gauge({ name: 'mlops_worker_slots', help: 'Training jobs that this process works on at once.', registers }).set(
      workerSlots,
    );
    watchCounts(registry, jobCounts);
  }

  claimed(queuedSeconds: number): void {
    this.#waits.observe(Math.max(0, queuedSeconds));
  }

  ended(status: TerminalStatus, seconds?: number): void {
    const labels = { status: STATUS_LABELS[status] };
    this.#ends.inc(labels);
    // The claim is timed by the database's clock, the end by this machine's.
    if (seconds !== undefined) this.#durations.observe(labels, Math.max(0, seconds));
  }
}

/** Every process tells the same of these: they are in the database. While that does not answer, neither do they. */
function watchCounts(registry: Registry, counts: () => Promise<{ queued: number; running: number }>): void {
  const active: Gauge<'state'> = new Gauge({
    name: 'mlops_training_jobs_active',
    help: 'Training jobs of all processes that have not ended: in the queue, or prepared and run.',
    labelNames: ['state'],
    registers: [registry],
    async collect() {
      try {
        const { queued, running } = await untilAborted(counts(), AbortSignal.timeout(COUNTS_LIMIT_MS));
        active.set({ state: 'queued' }, queued);
        active.set({ state: 'running' }, running);
      } catch {
        active.reset();
      }
    },
  });
}

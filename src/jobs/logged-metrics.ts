import { createHash } from 'node:crypto';
import type { PrismaClient } from '../database/generated/client.ts';
import type { JobIdentity } from '../mlflow/job-identity.ts';
import type { LoggedMetric } from '../mlflow/observation.ts';
import { appendEvents } from './event-store.ts';
import { type MetricEvent, metricEvent } from './events.ts';

/** Of one job: about 500 kB. What is sent again was logged at the run's current step, so it is among the last. */
const MAX_REMEMBERED = 5_000;
/** Jobs of which values are remembered; one that is forgotten is read again from its events. */
const MAX_JOBS = 1_000;

/**
 * Puts the values that scripts log among their jobs' events, each once. A value comes again when MLflow 3's client saves a
 * model (it logs the values of the run's current step for the model), and when a client repeats what it got no answer to.
 * MLflow keeps such a value once: run, key, step, time and value together are its key. The events themselves say what was
 * seen, also to a platform that starts after this one was killed.
 */
export class LoggedMetrics {
  readonly #database: PrismaClient;
  readonly #jobs = new Map<string, Memory>();

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  /** Resolves when all are among the job's events. Of one job, calls wait for each other. */
  append(identity: JobIdentity, metrics: readonly LoggedMetric[]): Promise<void> {
    const memory = this.#memoryOf(identity.jobId);
    const appended = memory.last.then(() => this.#append(identity, metrics, memory));
    memory.last = appended.catch(() => {
      // Some may be stored all the same: the next look at the events tells.
      memory.seen = undefined;
    });
    return appended;
  }

  async #append({ jobId, attemptId }: JobIdentity, metrics: readonly LoggedMetric[], memory: Memory): Promise<void> {
    const seen = memory.seen ?? new Set((await readLastMetrics(this.#database, jobId, MAX_REMEMBERED)).map(nameOf));
    memory.seen = seen;
    const fresh = new Map(
      metrics
        .map(eventOf)
        .map((event) => [nameOf(event), event] as const)
        .filter(([name]) => !seen.has(name)),
    );
    if (fresh.size === 0) return;
    await appendEvents(this.#database, jobId, [...fresh.values()], { id: attemptId });
    for (const name of fresh.keys()) seen.add(name);
    for (const oldest of seen) {
      if (seen.size <= MAX_REMEMBERED) break;
      seen.delete(oldest);
    }
  }

  /** The job's, which is now the one used last. */
  #memoryOf(jobId: string): Memory {
    const memory = this.#jobs.get(jobId) ?? { seen: undefined, last: Promise.resolve() };
    this.#jobs.delete(jobId);
    this.#jobs.set(jobId, memory);
    const [unused] = this.#jobs.keys();
    if (this.#jobs.size > MAX_JOBS && unused !== undefined) this.#jobs.delete(unused);
    return memory;
  }
}

interface Memory {
  /** Names of values, the oldest first; absent until they were read. */
  seen: Set<string> | undefined;
  /** Settles when the last append has ended. */
  last: Promise<void>;
}

/** The last values that the job's script logged, up to `limit`, the oldest first. */
async function readLastMetrics(database: PrismaClient, jobId: string, limit: number): Promise<MetricEvent[]> {
  const rows = await database.$queryRaw<{ event: unknown }[]>`
    SELECT event FROM job_events, jsonb_array_elements(events) WITH ORDINALITY AS each (event, place)
    WHERE job_id = ${jobId} AND events @> '[{"type":"metric"}]' AND event ->> 'type' = 'metric'
    ORDER BY first_sequence DESC, place DESC LIMIT ${limit}::int`;
  return rows.map(({ event }) => metricEvent.parse(event)).toReversed();
}

function eventOf({ runId, key, value, step, timestampMs }: LoggedMetric): MetricEvent {
  return { type: 'metric', at: new Date(timestampMs).toISOString(), runId, key, value, step };
}

/** Short, as thousands are kept. */
function nameOf({ runId, key, value, step, at }: MetricEvent): string {
  return createHash('sha1')
    .update(JSON.stringify([runId, key, value, step, at]))
    .digest('binary');
}

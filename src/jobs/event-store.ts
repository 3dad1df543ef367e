import { z } from 'zod';
import type { PrismaClient } from '../database/generated/client.ts';
import type { TransactionClient } from '../database/generated/internal/prismaNamespace.ts';
import { packEvents, unpackEvents } from './event-rows.ts';
import { type JobEvent, type JobEventType, jobEvent, type NumberedJobEvent } from './events.ts';

/** Channel of "job <id> has events up to <n>", payload `<id>:<n>`. */
export const EVENTS_CHANNEL = 'asgard_job_events';
/** Channel of transitions of all jobs, payload: a JSON `JobStatusChange`. */
export const STATUS_CHANNEL = 'asgard_job_status';

/** The most events and characters that one row holds: a reader takes whole rows, so they bound its memory. */
const MAX_ROW_EVENTS = 1000;
export const MAX_ROW_CHARACTERS = 256 * 1024;
/** A read stops after this many, so that a reader of long lines needs no more memory than one of short ones. */
const MAX_READ_CHARACTERS = 1024 * 1024;
const ROWS_PER_QUERY = 4;
/** NOTIFY takes 8,000 bytes of payload. */
const MAX_NOTIFIED_REASON = 500;

export type DatabaseClient = PrismaClient | TransactionClient;

/** In whose name something is written: nothing is once the attempt has ended, or another worker holds it. */
export interface AttemptGuard {
  readonly id: bigint;
  /** Absent: whoever holds it. */
  readonly workerId?: string;
}

const jobStatusChange = z.object({
  jobId: z.string(),
  sequence: z.int(),
  status: jobEvent.options[0].shape.status,
  at: z.iso.datetime(),
  reason: z.string().optional(),
});

/** A transition of any job, as the feed of all jobs carries it. A long `reason` is cut; the job's own event has it whole. */
export type JobStatusChange = z.infer<typeof jobStatusChange>;

/** Parses a payload of `STATUS_CHANNEL`. */
export function parseStatusChange(payload: string): JobStatusChange {
  return jobStatusChange.parse(JSON.parse(payload));
}

/**
 * Appends events to a job's sequence and wakes its readers, and those of all jobs' transitions, in one statement for each row.
 * @param guard when given, nothing is written unless this attempt is still the job's open one, and still that worker's
 * @returns whether all was written; false when the attempt is no longer the caller's or the job has ended
 */
export async function appendEvents(
  database: DatabaseClient,
  jobId: string,
  events: readonly JobEvent[],
  guard?: AttemptGuard,
): Promise<boolean> {
  for (const row of rowsOf(events, MAX_ROW_CHARACTERS)) {
    const written = await appendRow(database, jobId, row, guard);
    if (written === undefined) return false;
  }
  return true;
}

/** What the attempt has among the job's events, with what was just appended. */
export interface AppendedRow {
  readonly keptLines: number;
  readonly keptBytes: bigint;
}

/**
 * Appends one row. Its numbers are taken by raising the job's `last_sequence` in the statement that inserts: the row lock
 * makes writers on any replica wait for each other, so there is neither a hole nor a number that becomes visible before a
 * smaller one. Whether the job has ended is asked of the locked row itself: only that is read anew after waiting for its
 * lock. Frames of a spool are counted in the attempt's own row, whose lock decides the same way whose attempt it is: a
 * worker that was overtaken while it wrote adds nothing that its successor adds again.
 *
 * @param outputBytes when above 0, each event stands for one frame of the attempt's spool, with so many bytes of output in
 *   all: counted in the same statement
 * @returns undefined when nothing was written, as the guard does not hold or the job has ended
 */
export async function appendRow(
  database: DatabaseClient,
  jobId: string,
  row: readonly JobEvent[],
  guard: AttemptGuard | undefined,
  outputBytes = 0,
): Promise<AppendedRow | undefined> {
  const attempt = guard?.id ?? null;
  const worker = guard?.workerId ?? null;
  const frames = outputBytes > 0 ? row.length : 0;
  const [written] = await database.$queryRaw<AppendedRow[]>`
    WITH counted AS (
      UPDATE job_attempts SET frames_stored = frames_stored + ${frames}::int, output_bytes = output_bytes + ${outputBytes}::int,
        kept_lines = kept_lines + ${frames}::int, kept_bytes = kept_bytes + ${outputBytes}::int
      WHERE ${frames}::int > 0 AND id = ${attempt}::bigint AND ended_at IS NULL AND worker_id = ${worker}::text
      RETURNING kept_lines, kept_bytes
    ), numbered AS (
      UPDATE training_jobs SET last_sequence = last_sequence + ${row.length}::int
      WHERE id = ${jobId} AND completed_at IS NULL AND (CASE WHEN ${frames}::int > 0 THEN EXISTS (SELECT FROM counted)
        ELSE ${attempt}::bigint IS NULL OR EXISTS (SELECT FROM job_attempts
          WHERE id = ${attempt}::bigint AND ended_at IS NULL AND (${worker}::text IS NULL OR worker_id = ${worker}::text)) END)
      RETURNING last_sequence
    ), inserted AS (
      INSERT INTO job_events (job_id, first_sequence, last_sequence, events, attempt_id, output_bytes)
      SELECT ${jobId}, last_sequence - ${row.length}::int + 1, last_sequence, ${packEvents(row)}::jsonb,
        CASE WHEN ${frames}::int > 0 THEN ${attempt}::bigint END, ${outputBytes}::int FROM numbered
      RETURNING first_sequence, last_sequence
    )
    SELECT coalesce(kept_lines, 0) AS "keptLines", coalesce(kept_bytes, 0) AS "keptBytes",
      pg_notify(${EVENTS_CHANNEL}, ${jobId} || ':' || last_sequence)::text AS notified,
      (SELECT count(pg_notify(${STATUS_CHANNEL}, (change || jsonb_build_object('sequence', first_sequence + index))::text))
        FROM jsonb_to_recordset(${transitionsIn(jobId, row)}::jsonb) AS transitions (index int, change jsonb))::int AS transitions
    FROM inserted LEFT JOIN counted ON true`;
  return written;
}

/**
 * Events of a job with numbers above `after`, oldest first: up to `limit`, fewer when they are long. None means that there
 * are none yet.
 */
export async function readEvents(
  database: DatabaseClient,
  jobId: string,
  after: number,
  limit = Number.POSITIVE_INFINITY,
): Promise<NumberedJobEvent[]> {
  const found: NumberedJobEvent[] = [];
  let cursor = after;
  let characters = 0;
  while (found.length < limit && characters < MAX_READ_CHARACTERS) {
    // The row that holds number cursor + 1 may begin before it; its key is found through the primary key alone.
    const rows = await database.$queryRaw<{ first_sequence: number; events: unknown }[]>`
      SELECT first_sequence, events FROM job_events
      WHERE job_id = ${jobId} AND last_sequence > ${cursor}::int AND first_sequence >= coalesce((
        SELECT max(first_sequence) FROM job_events WHERE job_id = ${jobId} AND first_sequence <= ${cursor}::bigint + 1), 0)
      ORDER BY first_sequence LIMIT ${ROWS_PER_QUERY}::int`;
    for (const row of rows) {
      for (const event of unpackEvents(row.events, row.first_sequence)) {
        if (event.sequence <= cursor) continue;
        found.push(event);
        characters += lengthOf(event);
      }
    }
    if (rows.length < ROWS_PER_QUERY) break;
    cursor = found.at(-1)?.sequence ?? cursor;
  }
  return found.slice(0, limit);
}

/** The last events of a job with numbers below `before`, in their order: up to `limit`, fewer when they are long. */
export async function readEventsBefore(
  database: DatabaseClient,
  jobId: string,
  before: number,
  limit = Number.POSITIVE_INFINITY,
): Promise<NumberedJobEvent[]> {
  const rows = await database.$queryRaw<{ first_sequence: number; events: unknown }[]>`
    SELECT first_sequence, events FROM job_events
    WHERE job_id = ${jobId} AND first_sequence < ${before}::bigint
    ORDER BY first_sequence DESC LIMIT ${ROWS_PER_QUERY}::int`;
  const events = rows.toReversed().flatMap((row) => unpackEvents(row.events, row.first_sequence));
  const preceding = events.filter(({ sequence }) => sequence < before);
  return preceding.slice(-Math.min(limit, preceding.length));
}

/** Whether an event is one of the given types; no types means all. */
export function isOfTypes(event: JobEvent, types: readonly JobEventType[] | undefined): boolean {
  return types === undefined || types.includes(event.type);
}

/** The transitions among events, as JSON: each with its place in the row, and without the number that it will have. */
function transitionsIn(jobId: string, row: readonly JobEvent[]): string {
  const transitions = row.flatMap((event, index) => {
    if (event.type !== 'status') return [];
    const { status, at, reason } = event;
    const change: Omit<JobStatusChange, 'sequence'> = { jobId, status, at };
    return [{ index, change: { ...change, ...(reason && { reason: reason.slice(0, MAX_NOTIFIED_REASON) }) } }];
  });
  return JSON.stringify(transitions);
}

/** Events divided into rows of a bounded length. */
export function rowsOf<Event extends JobEvent>(events: readonly Event[], maxCharacters: number): Event[][] {
  const rows: Event[][] = [];
  let characters = 0;
  for (const event of events) {
    const length = lengthOf(event);
    const row = rows.at(-1);
    if (row === undefined || row.length >= MAX_ROW_EVENTS || characters + length > maxCharacters) {
      rows.push([event]);
      characters = length;
    } else {
      row.push(event);
      characters += length;
    }
  }
  return rows;
}

/** About what an event takes as JSON. */
export function lengthOf(event: JobEvent): number {
  return 100 + ('text' in event ? event.text.length : 0);
}

import { createHash } from 'node:crypto';
import type { PrismaClient } from '../database/generated/client.ts';
import type { TransactionClient } from '../database/generated/internal/prismaNamespace.ts';
import { unpackEvents } from './event-rows.ts';
import { appendRow, type DatabaseClient, EVENTS_CHANNEL, MAX_ROW_CHARACTERS, rowsOf } from './event-store.ts';
import type { JobEvent, OutputProof } from './events.ts';
import type { Claim } from './queue.ts';

/** A line of a script. */
export type OutputLine = Extract<JobEvent, { type: 'log' }>;

/** Lines that the runner removed before they were read: all up to a frame of its spool that were not stored. */
export interface OutputGap {
  readonly at: string;
  readonly lastFrame: number;
  /** Of all output up to that frame. */
  readonly totalBytes: number;
}

/** In whose name output is stored. */
type Writer = Pick<Claim, 'id' | 'jobId' | 'workerId'>;

/** A line counts as at least so many bytes of the limit, as in `python/asgard/segments.py`. */
const LINE_BYTES = 32;
/** The part of the limit that is removed at once, so that it is done seldom. */
const STEP = 1 / 8;
/** Whole rows are removed, so those of a low limit are short. */
const ROWS_OF_LIMIT = 32;
const ROWS_PER_READ = 8;

/**
 * Appends lines of an attempt's script. When more than `limit` bytes are there, the oldest that are not in the first half
 * are removed, and one event tells of all that were. Readers that keep up see every line: what goes is behind them.
 * @returns as `appendEvents` does
 */
export async function appendOutput(
  database: PrismaClient,
  writer: Writer,
  lines: readonly OutputLine[],
  limit: number,
): Promise<boolean> {
  for (const row of rowsOf(lines, Math.min(MAX_ROW_CHARACTERS, limit / ROWS_OF_LIMIT))) {
    const written = await appendRow(database, writer.jobId, row, writer, bytesOf(row));
    if (written === undefined) return false;
    // Should this process end in between, the next row finds it so.
    const isOver = Math.max(Number(written.keptBytes), written.keptLines * LINE_BYTES) > limit;
    if (isOver && !(await trim(database, writer, limit))) return false;
  }
  return true;
}

/**
 * Gives numbers to lines that are gone, and tells of them as of those that were removed here. The runner keeps half of the
 * limit behind a gap: so what is stored between the first half and it goes too.
 * @returns as `appendEvents` does
 */
export async function appendGap(
  database: PrismaClient,
  writer: Writer,
  gap: OutputGap,
  limit: number,
): Promise<boolean> {
  return database.$transaction(async (transaction) => {
    const output = await hold(transaction, writer);
    if (output === undefined) return false;
    const lines = gap.lastFrame - output.framesStored;
    const [numbered] = await transaction.$queryRaw<{ last: number }[]>`
      UPDATE training_jobs SET last_sequence = last_sequence + ${lines}::int
      WHERE id = ${writer.jobId} AND completed_at IS NULL RETURNING last_sequence AS last`;
    if (numbered === undefined) return false;
    const { last } = numbered;
    const first = (await firstBehindHead(transaction, writer, output, limit)) ?? last - lines + 1;
    await replaceMiddle(transaction, writer, output, {
      first,
      lastRow: last,
      last,
      at: gap.at,
      framesStored: gap.lastFrame,
      outputBytes: BigInt(gap.totalBytes),
    });
    await transaction.$queryRaw`SELECT pg_notify(${EVENTS_CHANNEL}, ${writer.jobId} || ':' || ${last}::int)::text`;
    return true;
  });
}

/**
 * What is left of an attempt's output. It is read whole, unless `all` is what the attempt printed and nothing was removed.
 */
export async function keptOutput(
  database: DatabaseClient,
  { id, jobId }: Pick<Writer, 'id' | 'jobId'>,
  all?: OutputProof,
): Promise<OutputProof> {
  if (all !== undefined && (await database.jobAttempt.count({ where: { id, omittedFirst: null } })) > 0) return all;
  const hash = createHash('sha256');
  const total = { lines: 0, bytes: 0 };
  for (let cursor = 0; ; ) {
    const rows = await database.$queryRaw<{ first: number; events: unknown }[]>`
      SELECT first_sequence AS first, events FROM job_events
      WHERE job_id = ${jobId} AND attempt_id = ${id} AND first_sequence > ${cursor}::int
      ORDER BY first_sequence LIMIT ${ROWS_PER_READ}::int`;
    for (const row of rows) {
      const texts = unpackEvents(row.events, row.first).flatMap((event) =>
        'text' in event ? [`${event.text}\n`] : [],
      );
      const data = Buffer.from(texts.join(''));
      hash.update(data);
      total.lines += texts.length;
      total.bytes += data.length;
      cursor = row.first;
    }
    if (rows.length < ROWS_PER_READ) return { ...total, sha256: hash.digest('hex') };
  }
}

/** How much of an attempt's output was stored, and how much of that is left. */
interface StoredOutput {
  readonly framesStored: number;
  readonly outputBytes: bigint;
  readonly keptLines: number;
  readonly keptBytes: bigint;
  readonly omittedFirst: number | null;
  readonly omittedLast: number | null;
}

/** Removes what is too much, and a little more. */
async function trim(database: PrismaClient, writer: Writer, limit: number): Promise<boolean> {
  return database.$transaction(async (transaction) => {
    const output = await hold(transaction, writer);
    if (output === undefined) return false;
    const first = await firstBehindHead(transaction, writer, output, limit);
    if (first === undefined) return true;
    const { keptBytes, keptLines } = output;
    // Of the rows behind the head: with how much kept each would be the oldest of them.
    const [middle] = await transaction.$queryRaw<{ lastRow: number; last: number; at: string }[]>`
      WITH behind AS (
        SELECT first_sequence, last_sequence, output_bytes, sum(output_bytes) OVER oldest AS bytes,
          sum(last_sequence - first_sequence + 1) OVER oldest AS lines
        FROM job_events WHERE job_id = ${writer.jobId} AND attempt_id = ${writer.id} AND first_sequence >= ${first}::int
        WINDOW oldest AS (ORDER BY first_sequence)
      ), surplus AS (
        SELECT max(first_sequence) AS first FROM behind WHERE ${limit * (1 - STEP)}::float8
          < greatest(${keptBytes}::bigint - bytes + output_bytes,
            (${keptLines}::int - lines + last_sequence - first_sequence + 1) * ${LINE_BYTES}::int)
      )
      SELECT first_sequence AS "lastRow", last_sequence AS last, events->-1->>'at' AS at
      FROM job_events JOIN surplus ON first_sequence = first WHERE job_id = ${writer.jobId}`;
    if (middle !== undefined) await replaceMiddle(transaction, writer, output, { ...output, ...middle, first });
    return true;
  });
}

/** Locks the attempt; undefined when it is not the writer's. */
async function hold(transaction: TransactionClient, { id, workerId }: Writer): Promise<StoredOutput | undefined> {
  const [output] = await transaction.$queryRaw<StoredOutput[]>`
    SELECT frames_stored AS "framesStored", output_bytes AS "outputBytes", kept_lines AS "keptLines",
      kept_bytes AS "keptBytes", omitted_first AS "omittedFirst", omitted_last AS "omittedLast"
    FROM job_attempts WHERE id = ${id} AND worker_id = ${workerId} AND ended_at IS NULL FOR UPDATE`;
  return output;
}

/** Where the first row begins that does not fit in half of the limit, once for each attempt. Undefined: they all do. */
async function firstBehindHead(
  transaction: TransactionClient,
  writer: Writer,
  output: StoredOutput,
  limit: number,
): Promise<number | undefined> {
  if (output.omittedFirst !== null) return output.omittedFirst;
  const [row] = await transaction.$queryRaw<{ first: number | null }[]>`
    SELECT min(first_sequence) AS first FROM (
      SELECT first_sequence, sum(output_bytes) OVER oldest AS bytes, sum(last_sequence - first_sequence + 1) OVER oldest AS lines
      FROM job_events WHERE job_id = ${writer.jobId} AND attempt_id = ${writer.id}
      WINDOW oldest AS (ORDER BY first_sequence)
    ) AS stored WHERE greatest(bytes, lines * ${LINE_BYTES}::int) > ${limit / 2}::float8`;
  return row?.first ?? undefined;
}

/** Removes the rows from `first` to the one that begins at `lastRow`, and writes anew what tells of all that are gone. */
async function replaceMiddle(
  transaction: TransactionClient,
  { id, jobId }: Writer,
  output: StoredOutput,
  middle: {
    readonly first: number;
    readonly lastRow: number;
    readonly last: number;
    readonly at: string;
    readonly framesStored: number;
    readonly outputBytes: bigint;
  },
): Promise<void> {
  const { first, lastRow, last, at, framesStored, outputBytes } = middle;
  const [removed] = await transaction.$queryRaw<{ lines: number; bytes: bigint }[]>`
    WITH removed AS (
      DELETE FROM job_events WHERE job_id = ${jobId} AND (attempt_id = ${id} AND first_sequence BETWEEN ${first}::int AND ${lastRow}::int
        OR first_sequence = ${output.omittedLast}::int)
      RETURNING last_sequence - first_sequence + 1 AS lines, output_bytes, attempt_id
    )
    SELECT coalesce(sum(lines), 0)::int AS lines, coalesce(sum(output_bytes), 0)::bigint AS bytes
    FROM removed WHERE attempt_id IS NOT NULL`;
  const keptLines = output.keptLines - (removed?.lines ?? 0);
  const keptBytes = output.keptBytes - (removed?.bytes ?? 0n);
  const omitted: JobEvent = {
    type: 'omitted',
    at,
    firstSequence: first,
    lines: framesStored - keptLines,
    bytes: Number(outputBytes - keptBytes),
  };
  await transaction.$executeRaw`
    INSERT INTO job_events (job_id, first_sequence, last_sequence, events)
    VALUES (${jobId}, ${last}::int, ${last}::int, ${JSON.stringify([omitted])}::jsonb)`;
  await transaction.$executeRaw`
    UPDATE job_attempts SET frames_stored = ${framesStored}::int, output_bytes = ${outputBytes}::bigint,
      kept_lines = ${keptLines}::int, kept_bytes = ${keptBytes}::bigint, omitted_first = ${first}::int, omitted_last = ${last}::int
    WHERE id = ${id}`;
}

function bytesOf(row: readonly OutputLine[]): number {
  return row.reduce((bytes, { text }) => bytes + Buffer.byteLength(text) + 1, 0);
}

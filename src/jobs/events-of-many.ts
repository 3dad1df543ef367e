import { unpackEvents } from './event-rows.ts';
import { type DatabaseClient, isOfTypes } from './event-store.ts';
import type { JobEvent, JobEventType, NumberedJobEvent } from './events.ts';
import { omittedText } from './omitted-text.ts';

/** Rows of one statement, for all jobs together where there are fewer: a row holds up to 256 Ki characters. */
const ROWS_PER_STATEMENT = 8;
/** The same for logs, of which nearly all is wanted: the guide's training has 17 rows. */
const LOG_ROWS_PER_STATEMENT = 32;
/** Above the number of any event. */
const MAX_INT = 2 ** 31 - 1;

interface Row {
  readonly job_id: string;
  readonly first_sequence: number;
  readonly events: unknown;
}

/**
 * Events of many jobs with numbers above `after`, oldest first: up to `limit` of each, in the order of `jobIds`. It takes as
 * many statements as the longest of them alone.
 */
export async function readEventsOfMany(
  database: DatabaseClient,
  jobIds: readonly string[],
  options: { after: number; limit: number; types?: readonly JobEventType[] | undefined },
): Promise<NumberedJobEvent[][]> {
  const { after, limit, types } = options;
  const found = new Map<string, NumberedJobEvent[]>();
  let cursors = new Map(jobIds.map((id) => [id, after]));
  while (cursors.size > 0) {
    const perJob = Math.ceil(ROWS_PER_STATEMENT / cursors.size);
    // The row that holds number after + 1 may begin before it; its key is found through the primary key alone.
    const rows = await database.$queryRaw<Row[]>`
      SELECT job.id AS job_id, row.first_sequence, row.events
      FROM unnest(${[...cursors.keys()]}::text[], ${[...cursors.values()]}::int[]) AS job(id, after), LATERAL (
        SELECT first_sequence, events FROM job_events
        WHERE job_id = job.id AND last_sequence > job.after AND first_sequence >= coalesce((
          SELECT max(first_sequence) FROM job_events WHERE job_id = job.id AND first_sequence <= job.after::bigint + 1), 0)
        ORDER BY first_sequence LIMIT ${perJob}::int) AS row
      ORDER BY job.id, row.first_sequence`;
    const going = new Map<string, number>();
    for (const [id, ofJob] of Map.groupBy(rows, (row) => row.job_id)) {
      const events = ofJob.flatMap((row) => unpackEvents(row.events, row.first_sequence));
      const list = found.get(id) ?? [];
      const cursor = cursors.get(id) ?? after;
      list.push(...events.filter((event) => event.sequence > cursor && isOfTypes(event, types)));
      found.set(id, list);
      const last = events.at(-1);
      if (last !== undefined && ofJob.length === perJob && list.length < limit) going.set(id, last.sequence);
    }
    cursors = going;
  }
  return jobIds.map((id) => (found.get(id) ?? []).slice(0, limit));
}

/** The end of a job's log. */
export interface LogTail {
  readonly text: string;
  /** Whether there is more before it. */
  readonly isCut: boolean;
}

/**
 * The ends of many jobs' logs as text, in the order of `jobIds`, each line with a line feed: what was printed while the
 * environment was prepared, the script's lines and the platform's own. About `maxCharacters` of each at most.
 */
export async function readLogTails(
  database: DatabaseClient,
  jobIds: readonly string[],
  maxCharacters: number,
): Promise<LogTail[]> {
  const found = new Map<string, LogTail>();
  let starts = new Map(jobIds.map((id) => [id, MAX_INT]));
  while (starts.size > 0) {
    const perJob = Math.ceil(LOG_ROWS_PER_STATEMENT / starts.size);
    const rows = await database.$queryRaw<Row[]>`
      SELECT job.id AS job_id, row.first_sequence, row.events
      FROM unnest(${[...starts.keys()]}::text[], ${[...starts.values()]}::int[]) AS job(id, start), LATERAL (
        SELECT first_sequence, events FROM job_events
        WHERE job_id = job.id AND first_sequence < job.start
        ORDER BY first_sequence DESC LIMIT ${perJob}::int) AS row
      ORDER BY job.id, row.first_sequence`;
    const going = new Map<string, number>();
    for (const [id, ofJob] of Map.groupBy(rows, (row) => row.job_id)) {
      let text = found.get(id)?.text ?? '';
      let start = 1;
      for (const row of ofJob.toReversed()) {
        text = textOf(unpackEvents(row.events, row.first_sequence)) + text;
        start = row.first_sequence;
        if (text.length >= maxCharacters) break;
      }
      // Numbers have no hole, so there is more before any but the first.
      found.set(id, { text, isCut: start > 1 });
      if (start > 1 && text.length < maxCharacters) going.set(id, start);
    }
    starts = going;
  }
  return jobIds.map((id) => found.get(id) ?? { text: '', isCut: false });
}

function textOf(events: readonly JobEvent[]): string {
  return events.map(eventText).join('');
}

function eventText(event: JobEvent): string {
  switch (event.type) {
    case 'environment':
      return `${event.text}\n`;
    case 'log':
      // A long line that came in pieces is one again.
      return event.isContinued ? event.text : `${event.text}\n`;
    case 'omitted':
      return `${omittedText(event)}\n`;
    default:
      return '';
  }
}

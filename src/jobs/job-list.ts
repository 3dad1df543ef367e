import { z } from 'zod';
import { Prisma, type PrismaClient } from '../database/generated/client.ts';
import { JobStatus } from '../database/generated/enums.ts';

type Sql = Prisma.Sql;
const { sql } = Prisma;

const MAX_NAME = 500;
const MAX_TAGS = 10;

const text = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .refine((value) => !value.includes('\0') && value.isWellFormed(), 'must be text without NUL or half characters');

/** PostgreSQL's own range is wider; JavaScript's reaches further back than that. */
const moment = z.date().min(new Date('0001-01-01T00:00:00Z')).max(new Date('9999-12-31T23:59:59.999Z'));

/** Which jobs a list holds; a criterion that is absent does not choose, and all that are given must hold. */
export const jobFilter = z.object({
  /** Any of these; none of them chooses no job. */
  statuses: z.array(z.enum(JobStatus)).max(Object.keys(JobStatus).length).optional(),
  experimentName: text(MAX_NAME).optional(),
  modelName: text(MAX_NAME).optional(),
  /** Each with exactly this value. */
  tags: z
    .array(z.object({ key: text(250), value: text(5000) }))
    .max(MAX_TAGS)
    .optional(),
  createdFrom: moment.optional(),
  createdBefore: moment.optional(),
  /** Part of the script's name, in any case. */
  scriptName: text(255).optional(),
  /** Those whose scripts read this feature view. */
  featureViewName: text(MAX_NAME).optional(),
});

export type JobFilter = z.infer<typeof jobFilter>;

/**
 * By which moment of a job a list is ordered; of equal ones the id decides. A job that has not come to that moment yet
 * counts as the oldest.
 */
export interface JobOrder {
  readonly by: 'createdAt' | 'startedAt' | 'completedAt';
  readonly isAscending: boolean;
}

/** The place of a job in an ordered list: its moment, null when it has not come to that, and its id. */
export interface JobPlace {
  readonly id: string;
  readonly at: Date | null;
}

export interface JobListRequest {
  readonly filter: JobFilter;
  readonly order: JobOrder;
  /** How many places, from the end of what lies between `after` and `before` when `isFromEnd`. */
  readonly limit: number;
  readonly isFromEnd?: boolean;
  readonly after?: JobPlace | undefined;
  readonly before?: JobPlace | undefined;
}

export interface JobPlaces {
  readonly places: JobPlace[];
  /** Whether the list holds jobs before the first of them, or before where it would be. */
  readonly hasPrevious: boolean;
  readonly hasNext: boolean;
}

/**
 * What each order reads. `-infinity` for a moment that is not there yet lets one index, forwards and backwards, give
 * both directions and the rest of a list after any place by one comparison of rows.
 */
const KEYS: Record<JobOrder['by'], Sql> = {
  createdAt: sql`created_at`,
  startedAt: sql`coalesce(started_at, '-infinity'::timestamptz)`,
  completedAt: sql`coalesce(completed_at, '-infinity'::timestamptz)`,
};

/**
 * A part of the jobs, by their places alone: a place holds whatever is added or ended before or after it, so going on from
 * the last one shows every job that stays in the list once.
 */
export async function listJobs(database: PrismaClient, request: JobListRequest): Promise<JobPlaces> {
  const { filter, order, limit, isFromEnd = false, after, before } = request;
  const conditions = conditionsOf(filter);
  const within = [...conditions];
  if (after !== undefined) within.push(beyond(order, after, 'after'));
  if (before !== undefined) within.push(beyond(order, before, 'before'));
  const read = (from: Sql[], isBackwards: boolean, count: number) =>
    readPlaces(database, from, order.by, order.isAscending !== isBackwards, count);
  // Read towards the place's own side, so that the index gives the nearest one at once.
  const [found, previous, next] = await Promise.all([
    read(within, isFromEnd, limit + 1),
    after === undefined ? [] : read([...conditions, beyond(order, after, 'upTo')], true, 1),
    before === undefined ? [] : read([...conditions, beyond(order, before, 'from')], false, 1),
  ]);
  const places = found.slice(0, limit);
  const isMore = found.length > limit;
  return {
    places: isFromEnd ? places.toReversed() : places,
    hasPrevious: previous.length > 0 || (isFromEnd && isMore),
    hasNext: next.length > 0 || (!isFromEnd && isMore),
  };
}

/** How many jobs a filter chooses. */
export async function countJobs(database: PrismaClient, filter: JobFilter): Promise<number> {
  const rows = await database.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM training_jobs WHERE ${allOf(conditionsOf(filter))}`;
  return rows[0]?.count ?? 0;
}

async function readPlaces(
  database: PrismaClient,
  conditions: readonly Sql[],
  by: JobOrder['by'],
  isAscending: boolean,
  limit: number,
): Promise<JobPlace[]> {
  const direction = isAscending ? sql`ASC` : sql`DESC`;
  return database.$queryRaw<JobPlace[]>`
    SELECT id, nullif(${KEYS[by]}, '-infinity'::timestamptz) AS at FROM training_jobs WHERE ${allOf(conditions)}
    ORDER BY ${KEYS[by]} ${direction}, id ${direction} LIMIT ${limit}::int`;
}

const ASCENDING = { after: sql`>`, upTo: sql`<=`, before: sql`<`, from: sql`>=` };
const DESCENDING = { after: sql`<`, upTo: sql`>=`, before: sql`>`, from: sql`<=` };

/** What lies on one side of a place in the list's own order. */
function beyond({ by, isAscending }: JobOrder, { id, at }: JobPlace, side: keyof typeof ASCENDING): Sql {
  const operator = (isAscending ? ASCENDING : DESCENDING)[side];
  return sql`(${KEYS[by]}, id) ${operator} (${at?.toISOString() ?? '-infinity'}::timestamptz, ${id})`;
}

function conditionsOf(filter: JobFilter): Sql[] {
  const { statuses, experimentName, modelName, tags, createdFrom, createdBefore, scriptName, featureViewName } = filter;
  const conditions: Sql[] = [];
  if (statuses !== undefined) conditions.push(sql`status = ANY(${statuses}::"JobStatus"[])`);
  if (experimentName !== undefined) conditions.push(sql`experiment_name = ${experimentName}`);
  if (modelName !== undefined) conditions.push(sql`model_name = ${modelName}`);
  for (const { key, value } of tags ?? []) {
    conditions.push(sql`tags @> ${JSON.stringify({ [key]: value })}::jsonb`);
  }
  if (createdFrom !== undefined) conditions.push(sql`created_at >= ${createdFrom.toISOString()}::timestamptz`);
  if (createdBefore !== undefined) conditions.push(sql`created_at < ${createdBefore.toISOString()}::timestamptz`);
  if (scriptName !== undefined) conditions.push(sql`script_name ILIKE ${`%${escapeLike(scriptName)}%`}`);
  if (featureViewName !== undefined) {
    conditions.push(sql`EXISTS (
      SELECT FROM job_feature_reads f WHERE f.registered_view = ${featureViewName} AND f.job_id = training_jobs.id)`);
  }
  return conditions;
}

function allOf(conditions: readonly Sql[]): Sql {
  return conditions.length === 0 ? sql`true` : Prisma.join([...conditions], ' AND ');
}

function escapeLike(part: string): string {
  return part.replace(/[\\%_]/g, '\\$&');
}

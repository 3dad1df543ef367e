import { z } from 'zod';
import { JobStatus } from '../database/generated/enums.ts';
import type { NewestJobs } from '../jobs/service.ts';
import { storableText } from '../platform/text.ts';
import { wireStatus } from './present.ts';
import { looseInteger } from './wire.ts';
import { WIRE_STATUSES } from './wire-answers.ts';

type Place = NonNullable<NewestJobs['after']>;

/** A job's time in milliseconds and its id. 13 digits suffice until the year 2286. */
const CURSOR = /^([0-9]{13})-([0-9a-f]{16})$/;

/** The query of the list of jobs → which jobs. */
export const jobListQuery = z
  .object({
    limit: z
      .preprocess(looseInteger, z.int().min(1).max(100).default(20))
      .describe('At most this many jobs.')
      .meta({ default: 20 }),
    status: z.enum(WIRE_STATUSES).optional().describe('Only jobs that stand there.'),
    feature_view: storableText(500).optional().describe('Only jobs whose scripts read this feature view.'),
    cursor: z
      .string()
      .regex(CURSOR, 'is no cursor of this list: give the next_cursor of the page before')
      .optional()
      .describe('The `next_cursor` of the page before.'),
  })
  .transform(
    ({ limit, status, feature_view, cursor }): NewestJobs => ({
      first: limit,
      after: cursor === undefined ? undefined : placeOf(cursor),
      statuses:
        status === undefined ? undefined : Object.values(JobStatus).filter((each) => wireStatus(each) === status),
      featureViewName: feature_view,
    }),
  );

/** What a client gives back to read on behind a job. */
export function cursorBehind({ createdAt, id }: Place): string {
  return `${createdAt.getTime()}-${id}`;
}

function placeOf(cursor: string): Place {
  const [, milliseconds, id = ''] = CURSOR.exec(cursor) ?? [];
  return { createdAt: new Date(Number(milliseconds)), id };
}

import { queryFromInfo } from '@pothos/plugin-prisma';
import { z } from 'zod';
import { countJobs, type JobFilter, type JobPlace, jobFilter, listJobs } from '../../src/jobs/job-list.ts';
import { invalidInput } from '../../src/platform/errors.ts';
import { builder } from '../builder.ts';
import { type Connection, connectionOf, pageSize } from '../connection.ts';
import { cursorsOf } from '../cursor.ts';
import { parseInput } from '../errors.ts';
import { TrainingJob } from './job.ts';
import { JobStatusType } from './job-event.ts';
import { directionField } from './order-direction.ts';
import { TagInput } from './tag.ts';

const TrainingJobFilter = builder.inputType('TrainingJobFilter', {
  description: 'Which jobs; a field that is absent or null does not choose, and all that are given must hold.',
  fields: (t) => ({
    statuses: t.field({
      type: [JobStatusType],
      description: 'Those that stand at any of these; an empty list chooses none.',
    }),
    experimentName: t.string({ description: 'Those that name exactly this experiment.' }),
    modelName: t.string({ description: 'Those that name exactly this model.' }),
    tags: t.field({
      type: [TagInput],
      description: 'Those that were given all of these tags, with these values; at most 10.',
    }),
    createdFrom: t.field({ type: 'DateTime', description: 'Those that were handed in at this moment or later.' }),
    createdBefore: t.field({ type: 'DateTime', description: 'Those that were handed in before this moment.' }),
    scriptName: t.string({
      description: 'Those whose script has a file name that contains this, in any case; at most 255 characters.',
    }),
    featureViewName: t.string({ description: 'Those whose scripts read this feature view.' }),
  }),
});

const TrainingJobOrderField = builder.enumType('TrainingJobOrderField', {
  description: 'What jobs can be ordered by. Of the same moment the id decides; no moment counts as the oldest.',
  values: {
    CREATED_AT: { value: 'createdAt', description: 'When they were handed in.' },
    STARTED_AT: { value: 'startedAt', description: 'When a worker began them.' },
    COMPLETED_AT: { value: 'completedAt', description: 'When they ended.' },
  } as const,
});

const TrainingJobOrder = builder.inputType('TrainingJobOrder', {
  description: 'In which order jobs come.',
  fields: (t) => ({
    field: t.field({
      type: TrainingJobOrderField,
      required: true,
      defaultValue: 'createdAt',
      description: 'What decides which comes first.',
    }),
    direction: t.field(directionField('DESC')),
  }),
});

interface JobConnection extends Connection<{ id: string }> {
  readonly filter: JobFilter;
}

const TrainingJobEdge = builder.edgeObject({
  type: TrainingJob,
  name: 'TrainingJobEdge',
  description: 'A job in a page.',
});

const TrainingJobConnection = builder.objectRef<JobConnection>('TrainingJobConnection').implement({
  description: 'A page of jobs.',
  fields: (t) => ({
    edges: t.field({
      type: [TrainingJobEdge],
      description: 'The jobs, each with its cursor.',
      resolve: ({ edges }) => edges,
    }),
    pageInfo: t.field({
      type: builder.pageInfoRef(),
      description: 'Where this page lies in the list.',
      resolve: ({ pageInfo }) => pageInfo,
    }),
    totalCount: t.int({
      description: 'How many jobs the filter chooses, on all pages together. Counted only when it is asked for.',
      resolve: ({ filter }, _args, { database }) => countJobs(database, filter),
    }),
  }),
});

builder.queryField('trainingJobs', (t) =>
  t.field({
    type: TrainingJobConnection,
    description:
      'All jobs, the newest first unless `orderBy` says otherwise. Pages go forwards (`first`, `after`) or backwards ' +
      '(`last`, `before`); without either, the first 20.',
    args: {
      ...t.arg.connectionArgs(),
      filter: t.arg({ type: TrainingJobFilter, description: 'Chooses among the jobs; absent means all.' }),
      orderBy: t.arg({ type: TrainingJobOrder, description: 'Their order; absent means the newest first.' }),
    },
    resolve: async (_root, args, context, info): Promise<JobConnection> => {
      const { database } = context;
      const filter = parseFilter(args.filter);
      const order = { by: args.orderBy?.field ?? 'createdAt', isAscending: args.orderBy?.direction === 'ASC' };
      const cursors = cursorsOf(['jobs', order.by, order.isAscending], jobPlace);
      const { places, hasNext, hasPrevious } = await listJobs(database, {
        filter,
        order,
        ...sizeOf(args),
        after: cursors.decode(args.after, 'after'),
        before: cursors.decode(args.before, 'before'),
      });
      const { select } = queryFromInfo({
        context,
        info,
        typeName: 'TrainingJob',
        path: ['edges', 'node'],
        select: { id: true },
      });
      const ids = places.map(({ id }) => id);
      const rows = ids.length === 0 ? [] : await database.trainingJob.findMany({ select, where: { id: { in: ids } } });
      const jobs = new Map(rows.map((row) => [row.id, row]));
      const edges = places.flatMap((place) => {
        const node = jobs.get(place.id);
        return node === undefined ? [] : [{ cursor: cursors.encode(place), node }];
      });
      return { ...connectionOf(edges, hasNext, hasPrevious), filter };
    },
  }),
);

/** A job's place as a cursor holds it. */
const jobPlace: z.ZodType<JobPlace> = z.object({
  id: z.string().regex(/^[0-9a-f]{16}$/),
  at: z.iso
    .datetime()
    .transform((text) => new Date(text))
    .pipe(jobFilter.shape.createdFrom.unwrap())
    .nullable(),
});

interface PageArgs {
  readonly first?: number | null | undefined;
  readonly last?: number | null | undefined;
}

function sizeOf({ first, last }: PageArgs): { limit: number; isFromEnd: boolean } {
  if (first != null && last != null) throw invalidInput(['last'], 'a page goes from one end: give "first" or "last"');
  return last == null
    ? { limit: pageSize(first), isFromEnd: false }
    : { limit: pageSize(last, 'last'), isFromEnd: true };
}

/** @throws AsgardError INVALID_INPUT with every issue */
function parseFilter(filter: typeof TrainingJobFilter.$inferInput | null | undefined): JobFilter {
  const given = Object.entries(filter ?? {}).filter(([, value]) => value !== null);
  return parseInput(
    z.object({ filter: jobFilter }),
    { filter: Object.fromEntries(given) },
    'the jobs cannot be listed so',
  ).filter;
}

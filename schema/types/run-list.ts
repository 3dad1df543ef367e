import { z } from 'zod';
import { type RunListOptions, runFilter, runOrder } from '../../src/experiments/run-list.ts';
import { invalidInput } from '../../src/platform/errors.ts';
import { builder } from '../builder.ts';
import { parseInput } from '../errors.ts';
import { directionField } from './order-direction.ts';
import { RunStatus } from './run.ts';

export const RunFilter = builder.inputType('RunFilter', {
  description: 'Which runs; a field that is absent or null does not choose, and all that are given must hold.',
  fields: (t) => ({
    statuses: t.field({
      type: [RunStatus],
      description: 'Those that stand at any of these; an empty list chooses none.',
    }),
    name: t.string({
      description:
        'Those whose name contains this, in any case; at most 250 characters. `_`, `%` and quotes stand for any one character.',
    }),
  }),
});

const RunOrderField = builder.enumType('RunOrderField', {
  description: 'What runs can be ordered by, beside their metrics.',
  values: {
    STARTED_AT: { value: 'startedAt', description: 'When they started; of the same moment the id decides.' },
    ENDED_AT: { value: 'endedAt', description: 'When they ended; those that have not come last.' },
  } as const,
});

export const RunOrder = builder.inputType('RunOrder', {
  description: 'In which order runs come: by a field or by a metric.',
  fields: (t) => ({
    field: t.field({
      type: RunOrderField,
      description: 'What decides: `STARTED_AT` when neither this nor `metric` is given.',
    }),
    metric: t.string({
      description:
        'The name of the metric whose newest value decides, instead of `field`; runs without it, or where it is not a ' +
        'number, come last.',
    }),
    direction: t.field(directionField('DESC')),
  }),
});

const options: z.ZodType<RunListOptions> = z
  .object({ filter: runFilter, orderBy: runOrder })
  .transform(({ filter, orderBy: order }) => ({ filter, order }));

/** @throws AsgardError INVALID_INPUT, its paths by the names of the arguments */
export function runListOptions(
  filter: typeof RunFilter.$inferInput | null | undefined,
  orderBy: typeof RunOrder.$inferInput | null | undefined,
): RunListOptions {
  const { field, metric, direction } = orderBy ?? {};
  if (field != null && metric != null) {
    throw invalidInput(['orderBy'], '"orderBy" takes either "field" or "metric"');
  }
  return parseInput(
    options,
    {
      filter: { statuses: filter?.statuses ?? undefined, name: filter?.name ?? undefined },
      orderBy: { by: metric == null ? (field ?? 'startedAt') : { metric }, isAscending: direction === 'ASC' },
    },
    'the runs cannot be listed so',
  );
}

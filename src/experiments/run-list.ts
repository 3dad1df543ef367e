import { z } from 'zod';
import type { MlflowClient } from '../mlflow/client.ts';
import { allOf, containsFilter } from '../mlflow/filter.ts';
import type { Keyset, MlflowList } from '../mlflow/list.ts';
import { RUN_STATUSES, type Run } from '../mlflow/wire.ts';

/** By what runs are ordered: a moment, or the newest value of a metric. */
export const runOrder = z.object({
  by: z.union([
    z.enum(['startedAt', 'endedAt']),
    z.object({
      metric: z
        .string()
        .max(250)
        .regex(/^[\w./: -]+$/, 'must be a name of a metric: letters, digits and "_", "-", ".", ":", "/", " "'),
    }),
  ]),
  isAscending: z.boolean(),
});

/** Which runs a list holds; a criterion that is absent does not choose. */
export const runFilter = z.object({
  /** Any of these; none of them chooses no run. */
  statuses: z.array(z.enum(RUN_STATUSES)).max(RUN_STATUSES.length).optional(),
  /** Part of the name, in any case. */
  name: z
    .string()
    .max(250)
    .refine((value) => !value.includes('\0') && value.isWellFormed(), 'must be text without NUL or half characters')
    .optional(),
});

export interface RunListOptions {
  readonly order: z.infer<typeof runOrder>;
  readonly filter: z.infer<typeof runFilter>;
}

export const NEWEST_RUNS: RunListOptions = { order: { by: 'startedAt', isAscending: false }, filter: {} };

/** The largest time that a `Date` holds: what is beyond is cut to it. */
const MAX_TIME_MS = 8.64e15;

/**
 * Active runs of any of the experiments. Runs that do not have what they are ordered by come last; of equal ones the newest
 * come first, then the id decides.
 */
export function runList(
  mlflow: MlflowClient,
  experimentIds: readonly string[],
  { order, filter }: RunListOptions,
): MlflowList<Run> {
  const { by, isAscending } = order;
  const orderBy = [`${attributeOf(by)} ${isAscending ? 'ASC' : 'DESC'}`];
  const isNone = filter.statuses?.length === 0;
  const own = allOf([...statusFilters(filter.statuses), nameFilter(filter.name)]);
  return {
    identity: ['runs', experimentIds, order, filter],
    // What a run is ordered by can change: then it is elsewhere in the list.
    idOf: (run) => (by === 'startedAt' ? run.id : `${run.id} ${orderValueOf(run, by)}`),
    search: async ({ from, ...page }) => {
      if (isNone) return { items: [], nextPageToken: null };
      return mlflow.searchRuns({ ...page, experimentIds, orderBy, filter: allOf([own, from]) });
    },
    keyset: by === 'startedAt' ? byStart(isAscending) : undefined,
  };
}

function byStart(isAscending: boolean): Keyset<Run> {
  const keyOf = ({ startedAt }: Run) => startedAt?.getTime() ?? 0;
  return {
    keyOf: (run) => (keyOf(run) > 0 && keyOf(run) < MAX_TIME_MS ? keyOf(run) : null),
    filterFrom: (time) => `attributes.start_time ${isAscending ? '>=' : '<='} ${time}`,
    isAfter: (run, time, id) => {
      const difference = isAscending ? keyOf(run) - time : time - keyOf(run);
      return difference > 0 || (difference === 0 && run.id > id);
    },
  };
}

function attributeOf(by: RunListOptions['order']['by']): string {
  switch (by) {
    case 'startedAt':
      return 'attributes.start_time';
    case 'endedAt':
      return 'attributes.end_time';
    default:
      return `metrics.\`${by.metric}\``;
  }
}

function orderValueOf(run: Run, by: RunListOptions['order']['by']): string {
  if (typeof by === 'string') return String(run[by]?.getTime() ?? '');
  return String(run.metrics.find(({ key }) => key === by.metric)?.value ?? '');
}

/** MLflow's grammar has neither OR nor lists of statuses: it names those that are not wanted. */
function statusFilters(wanted: readonly Run['status'][] | undefined): string[] {
  if (wanted === undefined) return [];
  return RUN_STATUSES.filter((status) => !wanted.includes(status)).map((status) => `attributes.status != '${status}'`);
}

function nameFilter(name: string | undefined): string | undefined {
  return name === undefined || name === '' ? undefined : containsFilter('attributes.run_name', name);
}

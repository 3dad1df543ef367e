import type { RunListOptions } from '../../src/experiments/run-list.ts';
import { invalidInput } from '../../src/platform/errors.ts';
import { builder } from '../builder.ts';
import { forwardArgs, listConnection } from '../connection.ts';
import { firstPages } from '../first-pages.ts';
import { experimentKey, loadExperiments } from '../loaders.ts';
import { OrderDirection } from './order-direction.ts';
import { Run, RunConnection } from './run.ts';
import { RunFilter, RunOrder, runListOptions } from './run-list.ts';
import { checkSearch, searchDescription } from './search.ts';
import { Tag } from './tag.ts';

/** A field of this type may give an `experimentKey` instead of an experiment. */
export const Experiment = builder.loadableObjectRef('Experiment', {
  load: async (keys: string[], context) => {
    const experiments = await loadExperiments(keys, context);
    // One that was asked for by its name may be asked for by its id next.
    for (const experiment of experiments) {
      if (experiment !== null) Experiment.getDataloader(context).prime(experimentKey.ofId(experiment.id), experiment);
    }
    return experiments;
  },
  cacheResolved: ({ id }) => experimentKey.ofId(id),
});

const firstRuns = firstPages((ids, limit, options: RunListOptions, { experiments }) =>
  experiments.firstRunsOfEach(ids, limit, options),
);

Experiment.implement({
  description: 'A named group of runs.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Its id.' }),
    name: t.exposeString('name', { description: 'Its name, which is unique.' }),
    artifactLocation: t.exposeString('artifactLocation', { description: 'Where artifacts of its runs lie.' }),
    isDeleted: t.exposeBoolean('isDeleted', { description: 'Whether it was deleted; it can be restored.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', nullable: true, description: 'When it was made.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', nullable: true, description: 'When it last changed.' }),
    tags: t.field({ type: [Tag], description: 'Its tags.', resolve: ({ tags }) => Object.entries(tags) }),
    runs: t.field({
      type: RunConnection,
      description: 'Its runs that are not deleted; the newest first unless `orderBy` says otherwise.',
      args: {
        ...forwardArgs,
        filter: t.arg({ type: RunFilter, description: 'Which of its runs; absent means all.' }),
        orderBy: t.arg({ type: RunOrder, description: 'Their order; absent means by start, the newest first.' }),
      },
      resolve: ({ id }, { filter, orderBy, ...args }, context) => {
        const options = runListOptions(filter, orderBy);
        return listConnection(context.experiments.runList(id, options), args, (first) =>
          firstRuns(context, id, first, options),
        );
      },
    }),
  }),
});

const ExperimentConnection = builder.connectionObject(
  { type: Experiment, name: 'ExperimentConnection', description: 'A page of experiments.' },
  { name: 'ExperimentEdge', description: 'An experiment in a page.' },
);

const ExperimentOrderField = builder.enumType('ExperimentOrderField', {
  description: 'What experiments can be ordered by.',
  values: {
    CREATED_AT: { value: 'createdAt', description: 'When they were made; of the same moment the id decides.' },
    NAME: { value: 'name', description: 'Their names, as the tracking server’s database sorts them.' },
  } as const,
});

const ExperimentOrder = builder.inputType('ExperimentOrder', {
  description: 'In which order experiments come.',
  fields: (t) => ({
    field: t.field({
      type: ExperimentOrderField,
      required: true,
      defaultValue: 'createdAt',
      description: 'What decides.',
    }),
    direction: t.field({
      type: OrderDirection,
      required: true,
      defaultValue: 'DESC',
      description: 'From which end.',
    }),
  }),
});

builder.objectField(Run, 'experiment', (t) =>
  t.field({
    type: Experiment,
    nullable: true,
    description: 'The experiment that holds it; null when that is gone.',
    resolve: ({ experimentId }) => experimentKey.ofId(experimentId),
  }),
);

builder.queryFields((t) => ({
  experiment: t.field({
    type: Experiment,
    nullable: true,
    description: 'The experiment with this id or this name (one of the two); null when there is none.',
    args: { id: t.arg.id({ description: 'Its id.' }), name: t.arg.string({ description: 'Its name.' }) },
    resolve: (_root, { id, name }) => {
      if (id != null && name == null) return experimentKey.ofId(id);
      if (name != null && id == null) return experimentKey.ofName(name);
      throw invalidInput([], 'experiment takes either "id" or "name"');
    },
  }),
  experiments: t.field({
    type: ExperimentConnection,
    description: 'All experiments that are not deleted; the newest first unless `orderBy` says otherwise.',
    args: {
      ...forwardArgs,
      search: t.arg.string({ description: searchDescription('experiments') }),
      orderBy: t.arg({ type: ExperimentOrder, description: 'Their order; absent means the newest first.' }),
    },
    resolve: (_root, { search, orderBy, ...args }, { experiments }) =>
      listConnection(
        experiments.experimentList({
          search: checkSearch(search),
          by: orderBy?.field ?? 'createdAt',
          isAscending: orderBy?.direction === 'ASC',
        }),
        args,
      ),
  }),
}));

import type { RunListOptions } from '../../src/experiments/run-list.ts';
import { invalidInput } from '../../src/platform/errors.ts';
import { builder } from '../builder.ts';
import { forwardArgs, listConnection } from '../connection.ts';
import { firstPages } from '../first-pages.ts';
import { experimentKey, loadExperiments } from '../loaders.ts';
import { directionField } from './order-direction.ts';
import { Run, RunConnection } from './run.ts';
import { RunFilter, RunOrder, runListOptions } from './run-list.ts';
import { checkSearch, searchDescription } from './search.ts';
import { tagsField } from './tag.ts';

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
  description: 'A named group of runs in MLflow. Every job names one, which is made when its script first needs it.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'MLflow’s id: a whole number as text.' }),
    name: t.exposeString('name', { description: 'Unique among all experiments, the deleted ones included.' }),
    artifactLocation: t.exposeString('artifactLocation', {
      description: 'The URI under which the artifacts of its runs lie, e.g. `mlflow-artifacts:/1`.',
    }),
    isDeleted: t.exposeBoolean('isDeleted', {
      description: 'Whether it was deleted, which hides it from `experiments`; MLflow can restore it.',
    }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was made; null where MLflow does not know.',
    }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When its name or tags last changed; null where MLflow does not know.',
    }),
    tags: t.field(tagsField('What it is tagged with in MLflow.')),
    runs: t.field({
      type: RunConnection,
      description: 'Its runs that are not deleted; the newest first unless `orderBy` says otherwise.',
      args: {
        ...forwardArgs,
        filter: t.arg({ type: RunFilter, description: 'Chooses among its runs; absent means all.' }),
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
      description: 'What decides which comes first.',
    }),
    direction: t.field(directionField('DESC')),
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
    args: {
      id: t.arg.id({ description: 'The id of the experiment, if not `name`.' }),
      name: t.arg.string({ description: 'The exact name of the experiment, if not `id`.' }),
    },
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

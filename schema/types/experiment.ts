import { invalidInput } from '../../src/platform/errors.ts';
import { builder } from '../builder.ts';
import { forwardArgs, pageConnection } from '../connection.ts';
import { firstPages } from '../first-pages.ts';
import { experimentKey, loadExperiments } from '../loaders.ts';
import { Run, RunConnection } from './run.ts';
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

const newestRuns = firstPages((ids, limit, { experiments }) => experiments.newestRunsOfEach(ids, limit));

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
      description: 'Its runs, the newest first.',
      args: forwardArgs,
      resolve: ({ id }, args, context) =>
        pageConnection(
          args,
          (page) => context.experiments.runs([id], page),
          (first) => newestRuns(context, id, first),
        ),
    }),
  }),
});

const ExperimentConnection = builder.connectionObject(
  { type: Experiment, name: 'ExperimentConnection', description: 'A page of experiments.' },
  { name: 'ExperimentEdge', description: 'An experiment in a page.' },
);

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
    description: 'All experiments that are not deleted, the newest first.',
    args: forwardArgs,
    resolve: (_root, args, { experiments }) => pageConnection(args, (page) => experiments.list(page)),
  }),
}));

import { modelVersionKey } from '../../src/models/version-key.ts';
import { builder } from '../builder.ts';
import { forwardArgs, listConnection } from '../connection.ts';
import { loadModelVersions } from '../loaders.ts';
import { Run } from './run.ts';
import { checkSearch, searchDescription } from './search.ts';
import { tagsField } from './tag.ts';
import { versionFilter, versionFilterArg } from './version-filter.ts';

const ModelVersionStatus = builder.enumType('ModelVersionStatus', {
  description: 'Whether a model version can be used.',
  values: {
    PENDING_REGISTRATION: { description: 'It is being registered.' },
    FAILED_REGISTRATION: { description: 'It could not be registered.' },
    READY: { description: 'It can be loaded and asked for predictions.' },
  } as const,
});

/** A field of this type may give a `modelVersionKey` instead of a model version. */
export const ModelVersion = builder.loadableObjectRef('ModelVersion', {
  load: loadModelVersions,
  cacheResolved: ({ name, version }) => modelVersionKey(name, version),
});

ModelVersion.implement({
  description: 'One version of a registered model.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name of the registered model that it is a version of.' }),
    version: t.exposeString('version', { description: 'Its number, from 1, as text.' }),
    status: t.expose('status', {
      type: ModelVersionStatus,
      description: 'Whether it can be loaded and asked for predictions.',
    }),
    statusMessage: t.exposeString('statusMessage', {
      nullable: true,
      description: 'Why it cannot, where that is known.',
    }),
    stage: t.exposeString('stage', {
      description: 'MLflow’s stage of it: `None`, `Staging`, `Production` or `Archived`. MLflow prefers aliases today.',
    }),
    description: t.exposeString('description', {
      nullable: true,
      description: 'What people wrote of it in MLflow; null when nobody did.',
    }),
    source: t.exposeString('source', { description: 'The URI that its files were registered from.' }),
    tags: t.field(
      tagsField('What it is tagged with in MLflow; of a job’s version also the job’s tags and `asgard.job_id`.'),
    ),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was registered.' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'When its description, stage or status last changed.',
    }),
    runId: t.exposeID('runId', {
      nullable: true,
      description: 'The id of the run that logged it; null when none did.',
    }),
    run: t.field({
      type: Run,
      nullable: true,
      description: 'The run that logged it; null when none did or it is gone.',
      resolve: ({ runId }) => runId,
    }),
  }),
});

export const ModelVersionConnection = builder.connectionObject(
  { type: ModelVersion, name: 'ModelVersionConnection', description: 'A page of model versions.' },
  { name: 'ModelVersionEdge', description: 'A model version in a page.' },
);

builder.queryFields((t) => ({
  modelVersion: t.field({
    type: ModelVersion,
    nullable: true,
    description: 'The version of a registered model with this number; null when there is none.',
    args: {
      name: t.arg.string({ required: true, description: 'The name of the registered model.' }),
      version: t.arg.string({ required: true, description: 'The number of the version, as text.' }),
    },
    resolve: (_root, { name, version }) => modelVersionKey(name, version),
  }),
  modelVersions: t.field({
    type: ModelVersionConnection,
    description: 'Versions of all registered models, those that were registered last first.',
    args: {
      ...forwardArgs,
      search: t.arg.string({ description: searchDescription('versions of models') }),
      filter: versionFilterArg,
    },
    resolve: (_root, { search, filter, ...args }, { models }) =>
      listConnection(models.allVersionsList({ search: checkSearch(search), ...versionFilter(filter) }), args),
  }),
}));

import type { ServedVersion } from '../../src/inference/served-models.ts';
import { modelVersionKey } from '../../src/models/version-key.ts';
import { builder } from '../builder.ts';
import { ModelVersion } from './model-version.ts';
import { ServingEngineType } from './serving-engine.ts';

const ServedModel = builder.objectRef<ServedVersion>('ServedModel').implement({
  description: 'A model version in the memory of the platform that answers.',
  fields: (t) => ({
    name: t.string({ description: 'The name of the registered model.', resolve: ({ version }) => version.name }),
    version: t.string({
      description: 'The number of the version, as text.',
      resolve: ({ version }) => version.version,
    }),
    modelVersion: t.field({
      type: ModelVersion,
      nullable: true,
      description: 'The version itself; null when it was deleted meanwhile.',
      resolve: ({ version: { name, version } }) => modelVersionKey(name, version),
    }),
    engine: t.expose('engine', { type: ServingEngineType, description: 'What runs it.' }),
    memoryBytes: t.exposeFloat('memoryBytes', {
      description:
        'What it takes of the memory, as measured some seconds ago: its share of what its processes hold, and of a compiled ' +
        'model what is reckoned for its file.',
    }),
    processes: t.exposeInt('processes', {
      description:
        'How many Python processes have it; 0 of a compiled one that was not asked what only Python answers.',
    }),
    waitingRequests: t.exposeInt('waiting', { description: 'How many requests it has not answered yet.' }),
    loadedAt: t.expose('loadedAt', { type: 'DateTime', description: 'When it was loaded.' }),
    lastUsedAt: t.expose('usedAt', { type: 'DateTime', description: 'When it was last asked, or loaded.' }),
  }),
});

builder.objectField(ModelVersion, 'served', (t) =>
  t.field({
    type: ServedModel,
    nullable: true,
    description: 'How it is in the memory of the platform that answers; null when it is not: its next use loads it.',
    resolve: (version, _args, { servedModels }) => servedModels.find(version),
  }),
);

builder.queryField('servedModels', (t) =>
  t.field({
    type: [ServedModel],
    description: 'The model versions in the memory of the platform that answers, those that were used last first.',
    resolve: (_root, _args, { servedModels }) => servedModels.list(),
  }),
);

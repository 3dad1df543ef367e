import { builder } from '../builder.ts';
import { forwardArgs, pageConnection } from '../connection.ts';
import { loadModels } from '../loaders.ts';
import { ModelVersion, ModelVersionConnection } from './model-version.ts';
import { Tag } from './tag.ts';

const ModelAlias = builder.objectRef<{ alias: string; version: string }>('ModelAlias').implement({
  description: 'A name for one version of a registered model, which can move to another.',
  fields: (t) => ({
    alias: t.exposeString('alias', { description: 'The name.' }),
    version: t.exposeString('version', { description: 'The number of the version that it names.' }),
  }),
});

/** A field of this type may give a model's name instead of a model. */
const RegisteredModel = builder.loadableObjectRef('RegisteredModel', {
  load: loadModels,
  cacheResolved: ({ name }) => name,
});

RegisteredModel.implement({
  description: 'A name under which versions of a model are kept.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, which is unique.' }),
    description: t.exposeString('description', { nullable: true, description: 'What its maker says of it.' }),
    tags: t.field({ type: [Tag], description: 'Its tags.', resolve: ({ tags }) => Object.entries(tags) }),
    aliases: t.field({ type: [ModelAlias], description: 'Its aliases.', resolve: ({ aliases }) => [...aliases] }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it last changed.' }),
    latestVersion: t.field({
      type: ModelVersion,
      nullable: true,
      description: 'The version with the largest number; null when it has none.',
      resolve: ({ latestVersions }) => latestVersions[0] ?? null,
    }),
    versions: t.field({
      type: ModelVersionConnection,
      description: 'Its versions, the newest first.',
      args: forwardArgs,
      resolve: ({ name }, args, { models }) => pageConnection(args, (page) => models.versions(name, page)),
    }),
  }),
});

const RegisteredModelConnection = builder.connectionObject(
  { type: RegisteredModel, name: 'RegisteredModelConnection', description: 'A page of registered models.' },
  { name: 'RegisteredModelEdge', description: 'A registered model in a page.' },
);

builder.objectField(ModelVersion, 'model', (t) =>
  t.field({
    type: RegisteredModel,
    nullable: true,
    description: 'The registered model that it is a version of.',
    resolve: ({ name }) => name,
  }),
);

builder.queryFields((t) => ({
  model: t.field({
    type: RegisteredModel,
    nullable: true,
    description: 'The registered model with this name; null when there is none.',
    args: { name: t.arg.string({ required: true, description: 'The name of the model.' }) },
    resolve: (_root, { name }) => name,
  }),
  models: t.field({
    type: RegisteredModelConnection,
    description: 'All registered models by name.',
    args: { ...forwardArgs, search: t.arg.string({ description: 'Only models whose name contains this.' }) },
    resolve: (_root, { search, ...args }, { models }) =>
      pageConnection(args, (page) => models.list(search == null ? page : { ...page, search })),
  }),
}));

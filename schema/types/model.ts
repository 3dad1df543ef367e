import { builder } from '../builder.ts';
import { forwardArgs, pageConnection } from '../connection.ts';
import { checkDatabaseText } from '../database-text.ts';
import { firstPages } from '../first-pages.ts';
import { loadModels } from '../loaders.ts';
import { ModelVersion, ModelVersionConnection } from './model-version.ts';
import { Tag } from './tag.ts';

interface ModelAlias {
  readonly alias: string;
  readonly version: string;
}

const ModelAliasType = builder.objectRef<ModelAlias>('ModelAlias').implement({
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

const newestVersions = firstPages((names, limit, { models }) => models.newestVersionsOfEach(names, limit));

RegisteredModel.implement({
  description: 'A name under which versions of a model are kept.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, which is unique.' }),
    description: t.exposeString('description', { nullable: true, description: 'What its maker says of it.' }),
    tags: t.field({ type: [Tag], description: 'Its tags.', resolve: ({ tags }) => Object.entries(tags) }),
    aliases: t.field({ type: [ModelAliasType], description: 'Its aliases.', resolve: ({ aliases }) => [...aliases] }),
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
      resolve: ({ name }, args, context) =>
        pageConnection(
          args,
          (page) => context.models.versions(name, page),
          (first) => newestVersions(context, name, first),
        ),
    }),
  }),
});

const RegisteredModelConnection = builder.connectionObject(
  { type: RegisteredModel, name: 'RegisteredModelConnection', description: 'A page of registered models.' },
  { name: 'RegisteredModelEdge', description: 'A registered model in a page.' },
);

builder.objectFields(ModelVersion, (t) => ({
  model: t.field({
    type: RegisteredModel,
    nullable: true,
    description: 'The registered model that it is a version of.',
    resolve: ({ name }) => name,
  }),
  // Of the model: where MLflow lists versions, it leaves their aliases out.
  aliases: t.stringList({
    description: 'The aliases that name it.',
    resolve: async ({ name, version }, _args, context) => {
      const model: { aliases: readonly ModelAlias[] } | null = await RegisteredModel.getDataloader(context).load(name);
      return (model?.aliases ?? []).filter((alias) => alias.version === version).map(({ alias }) => alias);
    },
  }),
}));

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
    resolve: (_root, { search, ...args }, { models }) => {
      checkDatabaseText(['search'], search);
      return pageConnection(args, (page) => models.list(search == null ? page : { ...page, search }));
    },
  }),
}));

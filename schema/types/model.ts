import type { VersionFilter } from '../../src/models/lists.ts';
import { builder } from '../builder.ts';
import { forwardArgs, listConnection } from '../connection.ts';
import { firstPages } from '../first-pages.ts';
import { loadModels } from '../loaders.ts';
import { ModelVersion, ModelVersionConnection } from './model-version.ts';
import { directionField } from './order-direction.ts';
import { checkSearch, searchDescription } from './search.ts';
import { searchedTags, TagInput, tagSearchDescription, tagsField } from './tag.ts';
import { versionFilter, versionFilterArg } from './version-filter.ts';

interface ModelAlias {
  readonly alias: string;
  readonly version: string;
}

const ModelAliasType = builder.objectRef<ModelAlias>('ModelAlias').implement({
  description: 'A name for one version of a registered model, which can move to another.',
  fields: (t) => ({
    alias: t.exposeString('alias', {
      description: 'The name, unique among the aliases of one model, e.g. `champion`.',
    }),
    version: t.exposeString('version', { description: 'The number of the version that it names.' }),
  }),
});

/** A field of this type may give a model's name instead of a model. */
export const RegisteredModel = builder.loadableObjectRef('RegisteredModel', {
  load: loadModels,
  cacheResolved: ({ name }) => name,
});

const newestVersions = firstPages((names, limit, filter: VersionFilter, { models }) =>
  models.newestVersionsOfEach(names, limit, filter),
);

RegisteredModel.implement({
  description: 'A name under which versions of a model are kept.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Unique among registered models; jobs and predictions name it.' }),
    description: t.exposeString('description', {
      nullable: true,
      description: 'What people wrote of it in MLflow; null when nobody did.',
    }),
    tags: t.field(tagsField('What it is tagged with in MLflow.')),
    aliases: t.field({
      type: [ModelAliasType],
      description: 'The aliases that name versions of it.',
      resolve: ({ aliases }) => [...aliases],
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When its name was registered.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it last changed, by a new version too.' }),
    latestVersion: t.field({
      type: ModelVersion,
      nullable: true,
      description: 'The version with the largest number; null when it has none.',
      resolve: ({ latestVersions }) => latestVersions[0] ?? null,
    }),
    versions: t.field({
      type: ModelVersionConnection,
      description: 'Its versions, the newest first.',
      args: { ...forwardArgs, filter: versionFilterArg },
      resolve: ({ name }, { filter: given, ...args }, context) => {
        const filter = versionFilter(given);
        const list = context.models.versionList(name, filter);
        return listConnection(list, args, (first) => newestVersions(context, name, first, filter));
      },
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

const ModelOrderField = builder.enumType('ModelOrderField', {
  description: 'What registered models can be ordered by.',
  values: {
    NAME: { value: 'name', description: 'Their names, as the tracking server’s database sorts them.' },
    UPDATED_AT: {
      value: 'updatedAt',
      description: 'When they last changed, by a new version too; of the same moment the name decides.',
    },
  } as const,
});

const ModelOrder = builder.inputType('ModelOrder', {
  description: 'In which order registered models come.',
  fields: (t) => ({
    field: t.field({
      type: ModelOrderField,
      required: true,
      defaultValue: 'name',
      description: 'What decides which comes first.',
    }),
    direction: t.field(directionField('ASC')),
  }),
});

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
    description: 'All registered models; by name unless `orderBy` says otherwise.',
    args: {
      ...forwardArgs,
      search: t.arg.string({ description: searchDescription('models') }),
      tags: t.arg({ type: [TagInput], description: tagSearchDescription('models') }),
      orderBy: t.arg({ type: ModelOrder, description: 'Their order; absent means by name.' }),
    },
    resolve: (_root, { search, tags, orderBy, ...args }, { models }) =>
      listConnection(
        models.modelList({
          search: checkSearch(search),
          tags: searchedTags(['tags'], tags),
          by: orderBy?.field ?? 'name',
          isAscending: orderBy?.direction !== 'DESC',
        }),
        args,
      ),
  }),
}));

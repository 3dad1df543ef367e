import type { FeatureService } from '../../src/features/feature-services.ts';
import { builder } from '../builder.ts';
import { forwardArgs } from '../connection.ts';
import { checkDatabaseText } from '../database-text.ts';
import { namedConnection } from '../named-connection.ts';
import { FeatureView } from './feature-view.ts';
import { searchDescription } from './search.ts';
import { tagsField } from './tag.ts';

const ChosenFeatures = builder.objectRef<FeatureService['views'][number]>('ChosenFeatures').implement({
  description: 'What a feature service has of one feature view.',
  fields: (t) => ({
    view: t.field({
      type: FeatureView,
      nullable: true,
      description: 'The feature view; null when another client of Feast deleted it.',
      resolve: ({ name }) => name,
    }),
    features: t.exposeStringList('features', { description: 'The names of the features that it has of it.' }),
  }),
});

export const FeatureServiceType = builder.objectRef<FeatureService>('FeatureService').implement({
  description: 'A named choice of features of several feature views, for a model to ask for.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Unique among feature services.' }),
    views: t.expose('views', { type: [ChosenFeatures], description: 'What it has of each feature view.' }),
    features: t.stringList({
      description: 'All of its features, each as `view:feature`.',
      resolve: ({ views }) => views.flatMap(({ name, features }) => features.map((feature) => `${name}:${feature}`)),
    }),
    description: t.exposeString('description', { description: 'What people wrote of it; empty when nobody did.' }),
    owner: t.exposeString('owner', { description: 'Who answers for it; empty when nobody was named.' }),
    tags: t.field(tagsField()),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was first applied.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it last changed.' }),
  }),
});

const FeatureServiceConnection = builder.connectionObject(
  { type: FeatureServiceType, name: 'FeatureServiceConnection', description: 'A page of feature services.' },
  { name: 'FeatureServiceEdge', description: 'A feature service in a page.' },
);

builder.queryFields((t) => ({
  featureService: t.field({
    type: FeatureServiceType,
    nullable: true,
    description: 'The feature service of this name; null when there is none.',
    args: { name: t.arg.string({ required: true, description: 'As it was applied.' }) },
    resolve: async (_root, { name }, { featureServices }) => {
      checkDatabaseText(['name'], name);
      const [service] = await featureServices.byNames([name]);
      return service ?? null;
    },
  }),
  featureServices: t.field({
    type: FeatureServiceConnection,
    description: 'All feature services, by name.',
    args: { ...forwardArgs, search: t.arg.string({ description: searchDescription('feature services') }) },
    resolve: (_root, args, { featureServices }) =>
      namedConnection('feature services', args, (query) => featureServices.list(query)),
  }),
}));

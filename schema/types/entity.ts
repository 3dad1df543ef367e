import type { Entity } from '../../src/features/registry.ts';
import { builder } from '../builder.ts';
import { forwardArgs } from '../connection.ts';
import { namedConnection } from '../named-connection.ts';
import { FeatureView } from './feature-view.ts';
import { searchDescription } from './search.ts';

const EntityType = builder.objectRef<Entity>('Entity').implement({
  description:
    'What features are about, such as customers. It comes with the first feature view that names it, and goes with the last.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What feature views call it.' }),
    joinKey: t.exposeString('joinKey', {
      description: 'The column of tables and of entity rows that tells which one.',
    }),
    dtype: t.exposeString('dtype', {
      description: 'The type of that column in every view of it: `int64` or `string`.',
    }),
    views: t.field({
      type: [FeatureView],
      description: 'The feature views about it, by name.',
      resolve: ({ views }) => views,
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When a feature view first named it.' }),
  }),
});

const EntityConnection = builder.connectionObject(
  { type: EntityType, name: 'EntityConnection', description: 'A page of entities.' },
  { name: 'EntityEdge', description: 'An entity in a page.' },
);

builder.queryField('entities', (t) =>
  t.field({
    type: EntityConnection,
    description: 'All entities, by name.',
    args: { ...forwardArgs, search: t.arg.string({ description: searchDescription('entities') }) },
    resolve: (_root, args, { featureRegistry }) =>
      namedConnection('entities', args, (query) => featureRegistry.entities(query)),
  }),
);

import { DTYPES, type Dtype } from '../../src/features/feature-names.ts';
import type { FeatureView as View } from '../../src/features/feature-view.ts';
import { builder } from '../builder.ts';
import { forwardArgs } from '../connection.ts';
import { loadFeatureViews } from '../loaders.ts';
import { namedConnection } from '../named-connection.ts';
import { searchDescription } from './search.ts';
import { tagsField } from './tag.ts';

type Definition = Omit<View, 'version' | 'createdAt' | 'updatedAt'>;

export const FeatureDtype = builder.enumType('FeatureDtype', {
  description: 'The types that a feature can be declared with.',
  values: Object.fromEntries(DTYPES.map((value) => [value.toUpperCase(), { value, description: wordsFor(value) }])) as {
    [Value in Dtype as Uppercase<Value>]: { value: Value; description: string };
  },
});

function wordsFor(dtype: Dtype): string {
  const element = dtype.replace('array_', '');
  const words: Record<string, string> = {
    int32: 'whole numbers of 32 bits',
    int64: 'whole numbers of 64 bits',
    float32: 'numbers of single precision',
    float64: 'numbers of double precision',
    string: 'texts',
    bytes: 'data of any kind',
    bool: 'true or false',
    unix_timestamp: 'moments',
  };
  return element === dtype ? `Of ${words[element]}.` : `Lists of ${words[element]}.`;
}

const FeatureType = builder.objectRef<Definition['features'][number]>('Feature').implement({
  description: 'A column of a table that is a feature.',
  fields: (t) => ({
    name: t.exposeString('name', {
      description: 'Of the column; in a request it stands behind the view: `view:feature`.',
    }),
    dtype: t.field({
      type: FeatureDtype,
      nullable: true,
      description: 'What it was declared as; null for a type that only other clients of Feast know.',
      resolve: ({ dtype }) => DTYPES.find((known) => known === dtype) ?? null,
    }),
    description: t.exposeString('description', { description: 'What people wrote of it; empty when nobody did.' }),
    tags: t.field(tagsField()),
  }),
});

const FeatureSource = builder.objectRef<Definition['source']>('FeatureSource').implement({
  description: 'The Iceberg table that a feature view reads.',
  fields: (t) => ({
    catalog: t.exposeString('catalog', { description: 'The name of its catalog, such as `iceberg`.' }),
    schema: t.exposeString('schema', { description: 'Its schema within the catalog, such as `gold`.' }),
    tableName: t.exposeString('tableName', { description: 'What it is called within its schema.' }),
    timestampField: t.exposeString('timestampField', { description: 'The column with the time of each row.' }),
    createdTimestampColumn: t.exposeString('createdTimestampColumn', {
      nullable: true,
      description: 'The column that decides between rows of one time, the later counting; null when none does.',
    }),
  }),
});

const DefinitionInterface = builder.interfaceRef<Definition>('FeatureViewDefinition').implement({
  description: 'What makes a feature view.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Unique among feature views, in any case.' }),
    entities: t.exposeStringList('entities', { description: 'The columns that tell whose features a row has.' }),
    features: t.expose('features', { type: [FeatureType], description: 'The columns that are features.' }),
    source: t.expose('source', { type: FeatureSource, description: 'The table that it reads.' }),
    ttlSeconds: t.exposeInt('ttlSeconds', {
      description: 'How old a row may be to count, in seconds; 0 when rows of any age do.',
    }),
    online: t.exposeBoolean('online', {
      description: 'Whether its newest values are kept where they are read at once.',
    }),
    description: t.exposeString('description', { description: 'What people wrote of it; empty when nobody did.' }),
    owner: t.exposeString('owner', { description: 'Who answers for it; empty when nobody was named.' }),
    tags: t.field(tagsField()),
  }),
});

/** The same without what only the registry gives it. */
export const ProposedFeatureView = builder.objectRef<Definition>('ProposedFeatureView').implement({
  description: 'A feature view as it would be.',
  interfaces: [DefinitionInterface],
});

/** A field of this type may give a view's name instead of a view. */
export const FeatureView = builder.loadableObjectRef('FeatureView', {
  load: loadFeatureViews,
  cacheResolved: ({ name }) => name,
});

FeatureView.implement({
  description: 'Columns of an Iceberg table that are features, and whose.',
  interfaces: [DefinitionInterface],
  fields: (t) => ({
    version: t.exposeInt('version', {
      description: 'Raised by every change of its features or entities; the first is 0.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was first applied.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it last changed.' }),
  }),
});

const FeatureViewConnection = builder.connectionObject(
  {
    type: FeatureView,
    name: 'FeatureViewConnection',
    description: 'A page of feature views.',
    fields: (t) => ({
      totalCount: t.int({
        description: 'How many there are on all pages together.',
        resolve: (page) => ('totalCount' in page && typeof page.totalCount === 'number' ? page.totalCount : 0),
      }),
    }),
  },
  { name: 'FeatureViewEdge', description: 'A feature view in a page.' },
);

builder.queryFields((t) => ({
  featureView: t.field({
    type: FeatureView,
    nullable: true,
    description: 'The feature view of this name; null when there is none.',
    args: { name: t.arg.string({ required: true, description: 'As it was applied.' }) },
    resolve: (_root, { name }) => name,
  }),
  featureViews: t.field({
    type: FeatureViewConnection,
    description: 'All feature views, by name.',
    args: { ...forwardArgs, search: t.arg.string({ description: searchDescription('feature views') }) },
    resolve: (_root, args, { featureViews }) =>
      namedConnection('feature views', args, (query) => featureViews.list(query)),
  }),
}));

import { type OnlineColumn, type OnlineFeatures, type OnlineStatus, VALUE_FORMS } from '../../src/features/online.ts';
import { type OnlineRequest, onlineRequest } from '../../src/features/online-request.ts';
import { builder } from '../builder.ts';
import { parseInput } from '../errors.ts';

export const OnlineFeatureStatus = builder.enumType('OnlineFeatureStatus', {
  description: 'What there is of a feature of an entity.',
  values: {
    PRESENT: { description: 'A value, which may be null.' },
    MISSING: { description: 'Nothing: the entity is not in the table, or was not materialized yet.' },
    EXPIRED: { description: 'A value that is older than its view’s ttl allows. It is not given.' },
  } satisfies Record<OnlineStatus, object>,
});

const OnlineFeatureType = builder.objectRef<OnlineColumn>('OnlineFeature').implement({
  description: 'A feature of all entity rows; each of its lists has one item for each row.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The feature’s name, with its view’s where that was asked for.' }),
    featureViewName: t.exposeString('view', { description: 'Which view it is of.' }),
    feature: t.exposeString('feature', { description: 'Its name within the view.' }),
    values: t.field({
      type: ['JSON'],
      nullable: { list: false, items: true },
      description: `The values. ${VALUE_FORMS}`,
      resolve: ({ cells }) => cells.map(({ value }) => value),
    }),
    statuses: t.field({
      type: [OnlineFeatureStatus],
      description: 'What each of them is.',
      resolve: ({ cells }) => cells.map(({ status }) => status),
    }),
    eventTimestamps: t.field({
      type: ['DateTime'],
      nullable: { list: false, items: true },
      description: 'When each value was true; null where there is none.',
      resolve: ({ cells }) => cells.map(({ eventAtMs }) => (eventAtMs === null ? null : new Date(eventAtMs))),
    }),
    agesSeconds: t.field({
      type: ['Float'],
      nullable: { list: false, items: true },
      description: 'How long ago that was; null where there is none.',
      resolve: ({ cells }) => cells.map(({ ageSeconds }) => ageSeconds),
    }),
  }),
});

const OnlineFeaturesType = builder.objectRef<OnlineFeatures>('OnlineFeatures').implement({
  description: 'The newest features of some entities.',
  fields: (t) => ({
    entities: t.field({
      type: 'JSON',
      description: 'The entity rows, as they were asked for.',
      resolve: ({ entities }) => entities,
    }),
    features: t.field({
      type: [OnlineFeatureType],
      description: 'One for each feature that was asked for, in that order.',
      resolve: ({ columns }) => [...columns],
    }),
  }),
});

const OnlineFeaturesInput = builder.inputType('OnlineFeaturesInput', {
  description: 'Which features of which entities.',
  fields: (t) => ({
    features: t.stringList({ description: 'Each as `view:feature`, at most 500; or give `featureService`.' }),
    featureService: t.string({ description: 'Gives the features of this service.' }),
    entities: t.field({
      type: 'JSON',
      required: true,
      description:
        'An object of the join keys, each with a list of one value for each row: `{"customer_id": [1, 2]}`; at most 1000 rows. ' +
        'A whole number beyond 2^53 is given as a string of its digits.',
    }),
    fullFeatureNames: t.boolean({
      defaultValue: false,
      description: 'Whether features are named `view__feature`, as two views may have one of the same name.',
    }),
  }),
});

builder.queryField('onlineFeatures', (t) =>
  t.field({
    type: OnlineFeaturesType,
    description:
      'The newest features of entities, which materialization has brought into the online store. What is not known is refused ' +
      'with the nearest name that is.',
    args: {
      input: t.arg({ type: OnlineFeaturesInput, required: true, description: 'The features and the entities.' }),
    },
    resolve: (_root, { input }, { onlineFeatures }) => onlineFeatures.read(parse(input)),
  }),
);

/** @throws AsgardError INVALID_INPUT with every issue */
function parse({ entities, ...rest }: typeof OnlineFeaturesInput.$inferInput): OnlineRequest {
  const given = Object.entries(rest).filter(([, value]) => value !== null);
  return parseInput(onlineRequest, { entities, ...Object.fromEntries(given) }, 'online features cannot be read so');
}

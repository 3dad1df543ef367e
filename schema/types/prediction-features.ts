import type { MissingFeature, PredictionFeatures } from '../../src/inference/entity-features.ts';
import { builder } from '../builder.ts';
import { OnlineFeatureStatus } from './online-features.ts';

const PredictionFeatureViewType = builder
  .objectRef<PredictionFeatures['views'][number]>('PredictionFeatureView')
  .implement({
    description: 'A feature view that a prediction by entity read.',
    fields: (t) => ({
      featureViewName: t.exposeString('name', { description: 'As the training set called it.' }),
      oldestEventTimestamp: t.expose('oldestAt', {
        type: 'DateTime',
        nullable: true,
        description: 'When its oldest value among all rows was true; null when it had none.',
      }),
      oldestAgeSeconds: t.exposeFloat('oldestAgeSeconds', { nullable: true, description: 'How long ago that was.' }),
    }),
  });

const MissingFeatureType = builder.objectRef<MissingFeature>('MissingFeature').implement({
  description: 'A feature of a row that there was no value of: the model was given null.',
  fields: (t) => ({
    row: t.exposeInt('row', { description: 'From 0.' }),
    column: t.exposeString('column', { description: 'Of the model.' }),
    feature: t.exposeString('feature', { description: '`view:feature`.' }),
    status: t.expose('status', { type: OnlineFeatureStatus, description: '`MISSING` or `EXPIRED`.' }),
  }),
});

export const PredictionFeaturesType = builder.objectRef<PredictionFeatures>('PredictionFeatures').implement({
  description: 'What a prediction by entity read from the online store.',
  fields: (t) => ({
    views: t.field({
      type: [PredictionFeatureViewType],
      description: 'The feature views that were read.',
      resolve: ({ views }) => [...views],
    }),
    missing: t.field({
      type: [MissingFeatureType],
      description: 'The features that there were no values of, by row.',
      resolve: ({ missing }) => [...missing],
    }),
  }),
});

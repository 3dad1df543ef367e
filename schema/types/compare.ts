import { builder } from '../builder.ts';
import { ComparisonType } from './comparison.ts';

const VersionName = builder.inputType('ModelVersionName', {
  description: 'Which version of which registered model.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'The name of the registered model.' }),
    version: t.string({ required: true, description: 'The number of the version, as text.' }),
  }),
});

builder.queryFields((t) => ({
  compareJobs: t.field({
    type: ComparisonType,
    description:
      'What differs between jobs: scripts, environments, params and metrics of their runs, and what they read of the feature store.',
    args: {
      ids: t.arg.idList({ required: true, description: '2 to 10 jobs; the others are compared with the first.' }),
    },
    resolve: (_root, { ids }, { comparisons }) => comparisons.ofJobs(ids),
  }),
  compareModelVersions: t.field({
    type: ComparisonType,
    description: 'What differs between versions of registered models, and between the jobs that made them.',
    args: {
      versions: t.arg({
        type: [VersionName],
        required: true,
        description: '2 to 10 versions, of one model or of several; the others are compared with the first.',
      }),
    },
    resolve: (_root, { versions }, { comparisons }) => comparisons.ofVersions(versions),
  }),
}));

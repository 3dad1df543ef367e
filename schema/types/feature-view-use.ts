import { z } from 'zod';
import { jobsOfViews, versionsOfViews } from '../../src/jobs/feature-view-use.ts';
import { modelVersionKey } from '../../src/models/version-key.ts';
import { builder } from '../builder.ts';
import { forwardArgs, pageSize } from '../connection.ts';
import { cursorsOf } from '../cursor.ts';
import { firstPages } from '../first-pages.ts';
import { rowConnection } from '../row-connection.ts';
import { FeatureRead } from './feature-read.ts';
import { FeatureView } from './feature-view.ts';
import { TrainingJob } from './job.ts';
import { ModelVersion, ModelVersionConnection } from './model-version.ts';

const jobPlace = z.object({ createdAt: z.iso.datetime(), id: z.string().max(100) });
const jobCursors = cursorsOf(['jobs of a feature view'], jobPlace);
const versionPlace = z.object({ createdAt: z.iso.datetime(), name: z.string().max(500), version: z.string().max(20) });
const versionCursors = cursorsOf(['versions of a feature view'], versionPlace);

const jobs = firstPages((views, limit, after: z.infer<typeof jobPlace> | null, { database }) =>
  jobsOfViews(database, views, limit, after),
);
const versions = firstPages((views, limit, after: z.infer<typeof versionPlace> | null, { database }) =>
  versionsOfViews(database, views, limit, after),
);

const FeatureViewJobConnection = builder.connectionObject(
  { type: TrainingJob, name: 'FeatureViewJobConnection', description: 'A page of the jobs that read a feature view.' },
  { name: 'FeatureViewJobEdge', description: 'A job in a page.' },
);

builder.objectField(FeatureView, 'jobs', (t) =>
  t.field({
    type: FeatureViewJobConnection,
    description: 'The jobs whose scripts read it, the newest first.',
    args: forwardArgs,
    resolve: async ({ name }, args, context) => {
      const after = jobCursors.decode(args.after, 'after');
      const rows = await jobs(context, name, pageSize(args.first), after ?? null);
      return rowConnection(
        args,
        rows,
        ({ id, createdAt }) => jobCursors.encode({ id, createdAt: createdAt.toISOString() }),
        async ({ id }) => ({ id }),
      );
    },
  }),
);

builder.objectField(FeatureView, 'modelVersions', (t) =>
  t.field({
    type: ModelVersionConnection,
    description: 'The model versions that came out of attempts at jobs which read it, the newest first.',
    args: forwardArgs,
    resolve: async ({ name }, args, context) => {
      const after = versionCursors.decode(args.after, 'after');
      const rows = await versions(context, name, pageSize(args.first), after ?? null);
      return rowConnection(
        args,
        rows,
        ({ name: model, version, createdAt }) =>
          versionCursors.encode({ name: model, version, createdAt: createdAt.toISOString() }),
        ({ name: model, version }) => ModelVersion.getDataloader(context).load(modelVersionKey(model, version)),
      );
    },
  }),
);

builder.prismaObjectField(FeatureRead, 'featureView', (t) =>
  t.field({
    type: FeatureView,
    nullable: true,
    description: 'The feature view as it is now; null when it is gone.',
    select: { registeredView: true },
    resolve: ({ registeredView }) => registeredView,
  }),
);

import { z } from 'zod';
import type { Prisma } from '../../src/database/generated/client.ts';
import type { MadeVersion } from '../../src/jobs/version-maker.ts';
import { modelVersionKey } from '../../src/models/version-key.ts';
import { builder } from '../builder.ts';
import { forwardArgs, pageSize } from '../connection.ts';
import { cursorsOf } from '../cursor.ts';
import { loadJobsByModelVersion, loadJobsByRun } from '../loaders.ts';
import { rowConnection } from '../row-connection.ts';
import { TrainingJob } from './job.ts';
import { ModelVersion, ModelVersionConnection } from './model-version.ts';
import { Run, RunConnection } from './run.ts';

const runPlace = z.object({ id: z.string().regex(/^\d{1,18}$/) });
const runCursors = cursorsOf(['runs of a job'], runPlace);

const versionPlace = z.object({ createdAt: z.iso.datetime(), name: z.string().max(500), version: z.string().max(20) });
const versionCursors = cursorsOf(['versions of a job'], versionPlace);

/** What follows a version in the order of their registration. */
function versionsAfter(after: z.infer<typeof versionPlace>): Prisma.JobModelVersionWhereInput {
  const { createdAt, name, version } = after;
  return {
    OR: [
      { createdAt: { gt: createdAt } },
      { createdAt, name: { gt: name } },
      { createdAt, name, version: { gt: version } },
    ],
  };
}

builder.prismaObjectFields('TrainingJob', (t) => ({
  runs: t.field({
    type: RunConnection,
    description: 'The runs that its script created, in that order.',
    args: forwardArgs,
    select: (args) => {
      const after = runCursors.decode(args.after, 'after');
      const where = after === undefined ? {} : { id: { gt: BigInt(after.id) } };
      return {
        runs: { select: { id: true, runId: true }, where, orderBy: { id: 'asc' }, take: pageSize(args.first) + 1 },
      };
    },
    resolve: ({ runs }, args, context) =>
      rowConnection(
        args,
        runs,
        ({ id }) => runCursors.encode({ id: String(id) }),
        ({ runId }) => Run.getDataloader(context).load(runId),
      ),
  }),
  registeredVersions: t.field({
    type: ModelVersionConnection,
    description: 'The model versions that came out of it, under whichever name, in the order of their registration.',
    args: forwardArgs,
    select: (args) => {
      const after = versionCursors.decode(args.after, 'after');
      return {
        modelVersions: {
          select: { name: true, version: true, createdAt: true },
          where: after === undefined ? {} : versionsAfter(after),
          orderBy: [{ createdAt: 'asc' }, { name: 'asc' }, { version: 'asc' }],
          take: pageSize(args.first) + 1,
        },
      };
    },
    resolve: ({ modelVersions }, args, context) =>
      rowConnection(
        args,
        modelVersions,
        ({ name, version, createdAt }) => versionCursors.encode({ name, version, createdAt: createdAt.toISOString() }),
        ({ name, version }) => ModelVersion.getDataloader(context).load(modelVersionKey(name, version)),
      ),
  }),
}));

builder.objectField(Run, 'job', (t) =>
  t.loadable({
    type: TrainingJob,
    nullable: true,
    description: 'The job whose script created it; null when none did.',
    load: (runIds: string[], context) => loadJobsByRun(runIds, context),
    resolve: ({ id }) => id,
  }),
);

builder.objectField(ModelVersion, 'job', (t) =>
  t.loadable({
    type: TrainingJob,
    nullable: true,
    description: 'The job that it came out of; null when none made it.',
    load: (versions: MadeVersion[], context) => loadJobsByModelVersion(versions, context),
    loaderOptions: { cacheKeyFn: ({ name, version }) => modelVersionKey(name, version) },
    resolve: ({ name, version, runId }) => ({ name, version, runId }),
  }),
);

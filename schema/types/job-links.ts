import { z } from 'zod';
import type { Prisma } from '../../src/database/generated/client.ts';
import { modelVersionKey } from '../../src/models/version-key.ts';
import { builder } from '../builder.ts';
import { type Connection, connectionOf, type ForwardArgs, forwardArgs, pageSize } from '../connection.ts';
import { cursorsOf } from '../cursor.ts';
import { loadJobsByModelVersion, loadJobsByRun } from '../loaders.ts';
import { TrainingJob } from './job.ts';
import { ModelVersion, ModelVersionConnection } from './model-version.ts';
import { Run, RunConnection } from './run.ts';

const runPlace = z.object({ id: z.string().regex(/^\d{1,18}$/) });
const runCursors = cursorsOf(['runs of a job'], runPlace);

const versionPlace = z.object({ createdAt: z.iso.datetime(), name: z.string().max(500), version: z.string().max(20) });
const versionCursors = cursorsOf(['versions of a job'], versionPlace);

/**
 * A page of the objects that some rows name, without those that are gone: there may be fewer than `first`, also none,
 * before a next page. `rows` holds one more than the page if there is one.
 */
async function connection<Row, Node>(
  args: ForwardArgs,
  rows: readonly Row[],
  cursorOf: (row: Row) => string,
  load: (row: Row) => Promise<Node>,
): Promise<Connection<Node & {}>> {
  const first = pageSize(args.first);
  const page = rows.slice(0, first);
  const nodes = await Promise.all(page.map(load));
  const edges = page.flatMap((row, index) => {
    const node = nodes[index];
    return node == null ? [] : [{ cursor: cursorOf(row), node }];
  });
  const { pageInfo } = connectionOf(edges, rows.length > first, args.after != null);
  const [head, tail] = [page.at(0), page.at(-1)];
  if (head === undefined || tail === undefined) return { edges, pageInfo };
  // Of the rows, so that reading goes on behind objects that are gone.
  return { edges, pageInfo: { ...pageInfo, startCursor: cursorOf(head), endCursor: cursorOf(tail) } };
}

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
      connection(
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
      connection(
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
    load: (keys: string[], context) => loadJobsByModelVersion(keys, context),
    resolve: ({ name, version }) => modelVersionKey(name, version),
  }),
);

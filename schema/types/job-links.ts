import type DataLoader from 'dataloader';
import { builder } from '../builder.ts';
import { type Connection, connectionOf, type ForwardArgs, forwardArgs, pageSize } from '../connection.ts';
import { loadJobsByModelVersion, loadJobsByRun, modelVersionKey } from '../loaders.ts';
import { TrainingJob } from './job.ts';
import { ModelVersion, ModelVersionConnection } from './model-version.ts';
import { Run, RunConnection } from './run.ts';

/** These lists only grow at their end, so a cursor is the number of the items up to it. */
const skipOf = ({ after }: ForwardArgs) =>
  after == null ? 0 : Number(Buffer.from(after, 'base64url').toString()) || 0;
const cursorOf = (position: number) => Buffer.from(String(position)).toString('base64url');

/** A page of the objects that the keys name, without those that are gone. `keys` holds one more than the page if there is one. */
async function connection<Node>(
  args: ForwardArgs,
  keys: readonly string[],
  loader: DataLoader<string, Node>,
): Promise<Connection<Node & {}>> {
  const first = pageSize(args);
  const skipped = skipOf(args);
  const nodes = await Promise.all(keys.slice(0, first).map((key) => loader.load(key)));
  const edges = nodes.flatMap((node, index) => (node == null ? [] : [{ cursor: cursorOf(skipped + index + 1), node }]));
  return connectionOf(edges, keys.length > first, skipped > 0);
}

builder.prismaObjectFields('TrainingJob', (t) => ({
  runs: t.field({
    type: RunConnection,
    description: 'The runs that its script created, in that order.',
    args: forwardArgs,
    select: (args) => ({
      runs: { select: { runId: true }, orderBy: { id: 'asc' }, skip: skipOf(args), take: pageSize(args) + 1 },
    }),
    resolve: ({ runs }, args, context) =>
      connection(
        args,
        runs.map(({ runId }) => runId),
        Run.getDataloader(context),
      ),
  }),
  registeredVersions: t.field({
    type: ModelVersionConnection,
    description: 'The model versions that came out of it, under whichever name, in the order of their registration.',
    args: forwardArgs,
    select: (args) => ({
      modelVersions: {
        select: { name: true, version: true },
        orderBy: [{ createdAt: 'asc' }, { name: 'asc' }, { version: 'asc' }],
        skip: skipOf(args),
        take: pageSize(args) + 1,
      },
    }),
    resolve: ({ modelVersions }, args, context) =>
      connection(
        args,
        modelVersions.map(({ name, version }) => modelVersionKey(name, version)),
        ModelVersion.getDataloader(context),
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

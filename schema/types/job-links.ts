import type DataLoader from 'dataloader';
import { modelVersionKey } from '../../src/models/version-key.ts';
import { builder } from '../builder.ts';
import {
  type Connection,
  connectionOf,
  type ForwardArgs,
  forwardArgs,
  invalidCursor,
  pageSize,
} from '../connection.ts';
import { loadJobsByModelVersion, loadJobsByRun } from '../loaders.ts';
import { TrainingJob } from './job.ts';
import { ModelVersion, ModelVersionConnection } from './model-version.ts';
import { Run, RunConnection } from './run.ts';

/** These lists only grow at their end, so a cursor is the number of the items up to it. */
const cursorOf = (position: number) => Buffer.from(String(position)).toString('base64url');

/** @throws AsgardError INVALID_INPUT */
function skipOf({ after }: ForwardArgs): number {
  if (after == null) return 0;
  const position = Buffer.from(after, 'base64url').toString();
  if (!/^[1-9]\d{0,8}$/.test(position)) throw invalidCursor(after);
  return Number(position);
}

/**
 * A page of the objects that the keys name, without those that are gone: there may be fewer than `first`, also none,
 * before a next page. `keys` holds one more than the page if there is one.
 */
async function connection<Node>(
  args: ForwardArgs,
  keys: readonly string[],
  loader: DataLoader<string, Node>,
): Promise<Connection<Node & {}>> {
  const first = pageSize(args.first);
  const skipped = skipOf(args);
  const page = keys.slice(0, first);
  const nodes = await Promise.all(page.map((key) => loader.load(key)));
  const edges = nodes.flatMap((node, index) => (node == null ? [] : [{ cursor: cursorOf(skipped + index + 1), node }]));
  const { pageInfo } = connectionOf(edges, keys.length > first, skipped > 0);
  if (page.length === 0) return { edges, pageInfo };
  // Of the keys, so that reading goes on behind objects that are gone.
  const ends = { startCursor: cursorOf(skipped + 1), endCursor: cursorOf(skipped + page.length) };
  return { edges, pageInfo: { ...pageInfo, ...ends } };
}

builder.prismaObjectFields('TrainingJob', (t) => ({
  runs: t.field({
    type: RunConnection,
    description: 'The runs that its script created, in that order.',
    args: forwardArgs,
    select: (args) => ({
      runs: { select: { runId: true }, orderBy: { id: 'asc' }, skip: skipOf(args), take: pageSize(args.first) + 1 },
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
        take: pageSize(args.first) + 1,
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

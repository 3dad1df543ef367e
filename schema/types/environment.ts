import { queryFromInfo } from '@pothos/plugin-prisma';
import { z } from 'zod';
import type { EnvironmentCopy as Copy } from '../../src/database/generated/client.ts';
import type { EnvironmentStatus } from '../../src/database/generated/enums.ts';
import { versionsOfEnvironments } from '../../src/jobs/environment-versions.ts';
import { modelVersionKey } from '../../src/models/version-key.ts';
import { isStorableText } from '../../src/platform/text.ts';
import { packagesOf } from '../../src/python/lock-packages.ts';
import { builder } from '../builder.ts';
import { connectionOf, forwardArgs, pageSize } from '../connection.ts';
import { cursorsOf } from '../cursor.ts';
import { firstPages } from '../first-pages.ts';
import { rowConnection } from '../row-connection.ts';
import { TrainingJob } from './job.ts';
import { ModelVersion, ModelVersionConnection } from './model-version.ts';

const EnvironmentStatusType = builder.enumType('EnvironmentStatus', {
  description: 'Where an environment stands.',
  values: {
    BUILDING: { description: 'It is being built.' },
    READY: { description: 'It is there, and can be used at once.' },
    FAILED: { description: 'Its last build failed; the next job that needs it tries again.' },
    EVICTED: { description: 'It was removed to make room; the next job or model that needs it has it built again.' },
  } as const,
});

const EnvironmentPackage = builder.objectRef<{ name: string; version: string }>('EnvironmentPackage').implement({
  description: 'A Python package in an environment.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, as its index spells it.' }),
    version: t.exposeString('version', {
      description: 'Its version; of one that was not taken from an index, the address that it was taken from.',
    }),
  }),
});

builder.prismaObject('EnvironmentCopy', {
  description: 'An environment as one machine has it.',
  fields: (t) => ({
    machine: t.exposeString('machine', { description: 'The name of the machine.' }),
    status: t.expose('status', { type: EnvironmentStatusType, description: 'Where it stands there.' }),
    failure: t.exposeString('failure', {
      nullable: true,
      description: 'Why its last build there failed; null when it did not.',
    }),
    buildSeconds: t.exposeFloat('buildSeconds', {
      nullable: true,
      description: 'How long its last build there took; null while it is not known.',
    }),
    sizeBytes: t.exposeFloat('sizeBytes', {
      nullable: true,
      description:
        'What its files take on the disk there, those that it shares with others by hard links included; null while it is not known.',
    }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When a job or model last began to use it there, within a minute; null before the first.',
    }),
  }),
});

/** The copy that stands for the environment: one that can be used, if there is one, and of those the last that was. */
const ORDER: readonly EnvironmentStatus[] = ['READY', 'BUILDING', 'FAILED', 'EVICTED'];
function bestOf<T extends Pick<Copy, 'status' | 'lastUsedAt'>>(copies: readonly T[]): T | undefined {
  const usedAt = ({ lastUsedAt }: T) => lastUsedAt?.getTime() ?? 0;
  return copies.toSorted((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status) || usedAt(b) - usedAt(a))[0];
}

const place = z.object({ createdAt: z.iso.datetime(), id: z.string().max(500) });
type Place = z.infer<typeof place>;
const environmentCursors = cursorsOf(['environments'], place);
const jobCursors = cursorsOf(['jobs of an environment'], place);
const versionPlace = z.object({ createdAt: z.iso.datetime(), name: z.string().max(500), version: z.string().max(20) });
const versionCursors = cursorsOf(['versions of an environment'], versionPlace);

/** What follows a place in a list with the newest first. */
function before<Key extends 'id' | 'hash'>(key: Key, { createdAt, id }: Place) {
  return { OR: [{ createdAt: { lt: createdAt } }, { createdAt, [key]: { lt: id } }] };
}

const EnvironmentJobConnection = builder.connectionObject(
  { type: TrainingJob, name: 'EnvironmentJobConnection', description: 'A page of the jobs of an environment.' },
  { name: 'EnvironmentJobEdge', description: 'A job in a page.' },
);

const versions = firstPages((hashes, limit, after: z.infer<typeof versionPlace> | null, { database }) =>
  versionsOfEnvironments(database, hashes, limit, after),
);

const copyFields = {
  select: { status: true, failure: true, buildSeconds: true, sizeBytes: true, lastUsedAt: true },
} as const;

export const Environment = builder.prismaObject('Environment', {
  description: 'A resolved lock of Python packages, which jobs and the models that came out of them share.',
  select: { hash: true },
  fields: (t) => ({
    hash: t.exposeID('hash', {
      description: 'Its name: the first 16 hexadecimal digits of the SHA-256 of Python’s version and the lock.',
    }),
    pythonVersion: t.exposeString('python', { description: 'The version of Python, such as `3.12.3`.' }),
    lock: t.exposeString('lock', {
      description: 'Its packages with their exact versions, as a requirements file that pip and uv take.',
    }),
    packages: t.field({
      type: [EnvironmentPackage],
      description: 'Its packages, by name.',
      select: { lock: true },
      resolve: ({ lock }) => packagesOf(lock),
    }),
    status: t.field({
      type: EnvironmentStatusType,
      nullable: true,
      description:
        'Where it stands: READY when any machine has it. Null while none has begun to build it. What follows is of the ' +
        'machine that this is of; `copies` tells of each.',
      select: { copies: copyFields },
      resolve: ({ copies }) => bestOf(copies)?.status,
    }),
    failure: t.string({
      nullable: true,
      description: 'Why its last build failed; null when it did not.',
      select: { copies: copyFields },
      resolve: ({ copies }) => bestOf(copies)?.failure,
    }),
    buildSeconds: t.float({
      nullable: true,
      description: 'How long its last build took; null while it is not known.',
      select: { copies: copyFields },
      resolve: ({ copies }) => bestOf(copies)?.buildSeconds,
    }),
    sizeBytes: t.float({
      nullable: true,
      description:
        'What its files take on the disk, those that it shares with others by hard links included; null while it is not known.',
      select: { copies: copyFields },
      resolve: ({ copies }) => bestOf(copies)?.sizeBytes,
    }),
    lastUsedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When a job or model last began to use it, within a minute; null before the first.',
      select: { copies: copyFields },
      resolve: ({ copies }) => bestOf(copies)?.lastUsedAt,
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When requirements first resolved to it.' }),
    copies: t.relation('copies', {
      description: 'The machines that have it or had it.',
      query: { orderBy: [{ machine: 'asc' }, { place: 'asc' }] },
    }),
    jobs: t.field({
      type: EnvironmentJobConnection,
      description: 'The jobs that ran or will run in it, the newest first.',
      args: forwardArgs,
      select: (args) => {
        const after = jobCursors.decode(args.after, 'after');
        return {
          jobs: {
            select: { id: true, createdAt: true },
            where: after === undefined ? {} : before('id', after),
            orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
            take: pageSize(args.first) + 1,
          },
        };
      },
      resolve: ({ jobs }, args) =>
        rowConnection(
          args,
          jobs,
          ({ id, createdAt }) => jobCursors.encode({ id, createdAt: createdAt.toISOString() }),
          async ({ id }) => ({ id }),
        ),
    }),
    models: t.field({
      type: ModelVersionConnection,
      description: 'The model versions that came out of its jobs, the newest first. Predictions of them run in it.',
      args: forwardArgs,
      resolve: async ({ hash }, args, context) => {
        const after = versionCursors.decode(args.after, 'after');
        const rows = await versions(context, hash, pageSize(args.first), after ?? null);
        return rowConnection(
          args,
          rows,
          ({ name, version, createdAt }) =>
            versionCursors.encode({ name, version, createdAt: createdAt.toISOString() }),
          ({ name, version }) => ModelVersion.getDataloader(context).load(modelVersionKey(name, version)),
        );
      },
    }),
  }),
});

builder.prismaObjectField('TrainingJob', 'environment', (t) =>
  t.relation('environment', {
    nullable: true,
    description: 'The Python environment that it runs in; null before its requirements are resolved.',
  }),
);

const EnvironmentConnection = builder.connectionObject(
  { type: Environment, name: 'EnvironmentConnection', description: 'A page of environments.' },
  { name: 'EnvironmentEdge', description: 'An environment in a page.' },
);

builder.queryFields((t) => ({
  environment: t.prismaField({
    type: 'Environment',
    nullable: true,
    description: 'The environment of this name; null when there is none.',
    args: { hash: t.arg.id({ required: true, description: 'The hash of its lock, as `environmentHash` of a job.' }) },
    resolve: (query, _root, { hash }, { database }) =>
      isStorableText(hash) ? database.environment.findUnique({ ...query, where: { hash } }) : null,
  }),
  environments: t.field({
    type: EnvironmentConnection,
    description: 'All environments, the newest first.',
    args: forwardArgs,
    resolve: async (_root, args, context, info) => {
      const first = pageSize(args.first);
      const after = environmentCursors.decode(args.after, 'after');
      const path = ['edges', 'node'];
      const typeName = 'Environment';
      const { select } = queryFromInfo({ context, info, typeName, path, select: { hash: true, createdAt: true } });
      const rows = await context.database.environment.findMany({
        select: { ...select, hash: true, createdAt: true },
        where: after === undefined ? {} : before('hash', after),
        orderBy: [{ createdAt: 'desc' }, { hash: 'desc' }],
        take: first + 1,
      });
      const edges = rows.slice(0, first).map((node) => ({
        cursor: environmentCursors.encode({ id: node.hash, createdAt: node.createdAt.toISOString() }),
        node,
      }));
      return connectionOf(edges, rows.length > first, after !== undefined);
    },
  }),
}));

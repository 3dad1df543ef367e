import type { PlatformStatus } from '../../src/status/platform-status.ts';
import { builder } from '../builder.ts';

const JobCounts = builder.objectRef<PlatformStatus['jobs']>('JobCounts').implement({
  description: 'How many jobs have not ended.',
  fields: (t) => ({
    queued: t.exposeInt('queued', { description: 'Those that wait for a worker.' }),
    running: t.exposeInt('running', { description: 'Those that a worker has.' }),
  }),
});

const IsolationType = builder.enumType('Isolation', {
  description: 'How far scripts are kept from the platform and from each other.',
  values: {
    NAMESPACES: { value: 'namespaces', description: 'Each sees its own processes and its own files alone.' },
    ACCOUNT: { value: 'account', description: 'Each runs under a user number of its own, and is started cold.' },
    NONE: { value: 'none', description: "Not at all: each can do what the platform's own account can." },
  } as const satisfies Record<string, { value: PlatformStatus['isolation']; description: string }>,
});

const PlatformStatusType = builder.objectRef<PlatformStatus>('PlatformStatus').implement({
  description: 'What the platform says of itself.',
  fields: (t) => ({
    ready: t.exposeBoolean('ready', { description: 'Whether all of its parts answer.' }),
    notReady: t.stringList({
      description: 'One line for each part that is not ready: its name and what it waits for.',
      resolve: ({ notReady }) => [...notReady],
    }),
    troubles: t.stringList({
      description: 'One line for each part with which something is wrong and without which the platform goes on.',
      resolve: ({ troubles }) => [...troubles],
    }),
    mlflowTrackingUri: t.exposeString('mlflowTrackingUri', { description: 'The address of the MLflow server.' }),
    mlflowAvailable: t.exposeBoolean('mlflowAvailable', { description: 'Whether the MLflow server answers.' }),
    feastStoreAvailable: t.exposeBoolean('feastStoreAvailable', { description: 'Whether the feature store answers.' }),
    registeredModels: t.exposeInt('registeredModels', { description: 'How many registered models there are.' }),
    activeExperiments: t.exposeInt('activeExperiments', { description: 'How many experiments are not deleted.' }),
    featureViews: t.exposeInt('featureViews', { description: 'How many feature views there are.' }),
    isolation: t.expose('isolation', {
      type: IsolationType,
      description: 'How far scripts are kept from the platform.',
    }),
    jobs: t.expose('jobs', { type: JobCounts, description: 'How many jobs have not ended.' }),
  }),
});

builder.queryField('platformStatus', (t) =>
  t.field({
    type: PlatformStatusType,
    description: 'How the platform is. Answers also while parts of it are not up.',
    resolve: (_root, _args, { status }) => status(),
  }),
);

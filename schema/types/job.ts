import { dataloaderGetter } from '@pothos/plugin-dataloader';
import { z } from 'zod';
import type { JobEventType } from '../../src/jobs/events.ts';
import { modelVersionKey } from '../../src/models/version-key.ts';
import { isStorableText } from '../../src/platform/text.ts';
import { builder } from '../builder.ts';
import { pageSize } from '../connection.ts';
import type { Context } from '../context.ts';
import { firstPages } from '../first-pages.ts';
import { experimentKey } from '../loaders.ts';
import { Experiment } from './experiment.ts';
import { isJobUnreachable, RetryOnType } from './job-attempt.ts';
import { JobEventInterface, JobEventTypeEnum, JobStatusType } from './job-event.ts';
import { ModelVersion } from './model-version.ts';
import { Run } from './run.ts';
import { Tag } from './tag.ts';

/** The most events that one read gives. */
const MAX_EVENTS = 1000;

/** Columns that hold a JSON object of texts: variables and tags. */
const texts = z.record(z.string(), z.string());

const firstEvents = firstPages((jobIds, limit, options: EventOptions, { events }) =>
  events.listOfMany(jobIds, { ...options, limit }),
);

interface EventOptions {
  readonly after: number;
  readonly types: readonly JobEventType[] | undefined;
}

const logTextOf = dataloaderGetter<string, string, string>(
  {},
  (ids, context) => (context as Context).jobs.logTexts(ids), // the getter does not know our context
  undefined,
  undefined,
);

const EnvironmentVariable = builder.objectRef<[name: string, value: string]>('EnvironmentVariable').implement({
  description: 'A variable that a script sees.',
  fields: (t) => ({
    name: t.string({ description: 'The name of the variable.', resolve: ([name]) => name }),
    value: t.string({ description: 'The text that it was given.', resolve: ([, value]) => value }),
  }),
});

export const TrainingJob = builder.prismaObject('TrainingJob', {
  description: 'One uploaded script and its execution.',
  // Only what a query names is read: a script can be a megabyte.
  select: { id: true },
  fields: (t) => ({
    id: t.exposeID('id', { description: '16 hexadecimal digits, the same as `job_id` in REST.' }),
    scriptName: t.exposeString('scriptName', { description: 'The file name that the script was handed in with.' }),
    script: t.exposeString('script', {
      description: 'The source text of the script, up to 1 MiB: do not select it in lists.',
    }),
    experimentName: t.exposeString('experimentName', { description: 'The MLflow experiment that its runs go to.' }),
    modelName: t.exposeString('modelName', {
      description: 'The registered model that its model becomes a version of.',
    }),
    requirements: t.exposeStringList('requirements', {
      description: 'The Python packages that it asked for beside the ones that are always there, as they were given.',
    }),
    environmentVariables: t.field({
      type: [EnvironmentVariable],
      description: 'The variables that it was handed in with; beside them the script sees the platform’s own.',
      select: { environmentVars: true },
      resolve: (job) => Object.entries(texts.parse(job.environmentVars)),
    }),
    timeoutSeconds: t.exposeInt('timeoutSeconds', {
      description: 'How many seconds it may take, the preparation of its environment included.',
    }),
    graceSeconds: t.exposeInt('graceSeconds', {
      description: 'How many seconds its script gets to end by itself when it is asked to, before it is killed.',
    }),
    retries: t.exposeInt('retries', { description: 'How many attempts may follow its first one.' }),
    retryOn: t.expose('retryOn', { type: RetryOnType, description: 'Which failures are tried again.' }),
    attempts: t.relation('attempts', {
      description: 'Its attempts so far, the first first: at most `retries` and one.',
      query: { orderBy: { number: 'asc' } },
    }),
    isUnreachable: t.boolean({
      description:
        'Whether nothing has been heard of its worker for a minute: the machine is silent, and what became of the script is ' +
        'not known. It is taken up again when the machine returns, and is LOST when that takes longer than `ASGARD_LOST_AFTER`.',
      resolve: ({ id }, _args, context) => isJobUnreachable(context).load(id),
    }),
    priority: t.exposeInt('priority', {
      description: 'Jobs of a higher one start first; of equal ones the oldest.',
    }),
    idempotencyKey: t.exposeString('idempotencyKey', {
      nullable: true,
      description: 'The key that it was handed in with; null when without one.',
    }),
    tags: t.field({
      type: [Tag],
      description: 'The tags that it was handed in with; its runs and model version bear them in MLflow.',
      select: { tags: true },
      resolve: (job) => Object.entries(texts.parse(job.tags)),
    }),
    status: t.expose('status', { type: JobStatusType, description: 'Where it stands now; `jobStatus` follows it.' }),
    error: t.exposeString('error', {
      nullable: true,
      description: 'Why it did not complete, for people to read; null while it may still, and when it did.',
    }),
    environmentHash: t.exposeString('environmentHash', {
      nullable: true,
      description: 'The name of `environment`: the hash of its lock. Null before its requirements are resolved.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was handed in.' }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When a worker first began it; null before.',
    }),
    completedAt: t.expose('completedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it came to its last status; null before.',
    }),
    elapsedSeconds: t.int({
      description: 'Whole seconds from when it was handed in to its end, or to now while it lasts.',
      select: { createdAt: true, completedAt: true },
      resolve: ({ createdAt, completedAt }) =>
        Math.max(0, Math.floor(((completedAt ?? new Date()).getTime() - createdAt.getTime()) / 1000)),
    }),
    lastSequence: t.exposeInt('lastSequence', { description: 'The number of its newest event; 0 before the first.' }),
    events: t.field({
      type: [JobEventInterface],
      description: 'Its events in the order of their numbers. The subscription `jobEvents` goes on from there.',
      args: {
        after: t.arg.int({ defaultValue: 0, description: 'Only events with a larger number.' }),
        first: t.arg.int({ defaultValue: 100, description: `How many at most, 1 to ${MAX_EVENTS}.` }),
        types: t.arg({ type: [JobEventTypeEnum], required: false, description: 'Only these kinds; absent means all.' }),
      },
      resolve: async ({ id }, { after, first, types }, context) => {
        const limit = pageSize(first ?? 100, 'first', MAX_EVENTS);
        const events = await firstEvents(context, id, limit, { after: after ?? 0, types: types ?? undefined });
        return events.slice(0, limit);
      },
    }),
    logText: t.string({
      description:
        'Its log so far as text: environment, script and platform, each line with a line feed. Of a log of more than ' +
        '8 Mi characters the end, after a line that says so; the jobs of one operation share that bound.',
      resolve: ({ id }, _args, context) => logTextOf(context).load(id),
    }),
    experiment: t.field({
      type: Experiment,
      nullable: true,
      description: 'The experiment that it names; null while MLflow has none of that name.',
      select: { experimentName: true },
      resolve: (job) => experimentKey.ofName(job.experimentName),
    }),
    runId: t.exposeID('runId', {
      nullable: true,
      description: 'The id of `run`; null until the script has ended, or when it made none.',
    }),
    run: t.field({
      type: Run,
      nullable: true,
      description:
        'The run that logged its model, else its last run; null until the script has ended, when it made none, or when it is gone.',
      select: { runId: true },
      resolve: (job) => job.runId,
    }),
    modelVersion: t.field({
      type: ModelVersion,
      nullable: true,
      description: 'The version of `modelName` that it made; null while there is none.',
      select: { modelName: true, modelVersion: true },
      resolve: (job) => (job.modelVersion === null ? null : modelVersionKey(job.modelName, job.modelVersion)),
    }),
  }),
});

builder.queryField('trainingJob', (t) =>
  t.prismaField({
    type: 'TrainingJob',
    nullable: true,
    description: 'The job with this id; null when there is none.',
    args: { id: t.arg.id({ required: true, description: 'The id that `submitTrainingJob` gave.' }) },
    resolve: (query, _root, { id }, { database }) =>
      isStorableText(id) ? database.trainingJob.findUnique({ ...query, where: { id } }) : null,
  }),
);

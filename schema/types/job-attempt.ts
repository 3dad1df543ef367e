import { dataloaderGetter } from '@pothos/plugin-dataloader';
import type { RetryOn } from '../../src/database/generated/enums.ts';
import { isUnreachable } from '../../src/jobs/queue.ts';
import { builder } from '../builder.ts';
import type { Context } from '../context.ts';
import { JobStatusType } from './job-event.ts';

export const RetryOnType = builder.enumType('RetryOn', {
  description: 'Which failures of a job are tried again. A cancelled one never is.',
  values: {
    INFRASTRUCTURE: {
      description:
        'Those of what a script stands on: its machine or runner was lost, the script could not be started, MLflow, the ' +
        'database or a package index did not answer, the disk was full.',
    },
    ANY: {
      description: 'Those of the script too: it exited with another code than 0, was killed, or ran out of time.',
    },
  } satisfies Record<RetryOn, object>,
});

builder.prismaObject('JobAttempt', {
  description: 'One execution of a job by one worker.',
  fields: (t) => ({
    number: t.exposeInt('number', { description: 'Its number within the job, from 1.' }),
    status: t.expose('status', {
      type: JobStatusType,
      description: 'PREPARING or RUNNING while it lasts; then how it ended, also when another attempt followed.',
    }),
    error: t.exposeString('error', { nullable: true, description: 'Why it did not complete, for people to read.' }),
    startedAt: t.expose('startedAt', { type: 'DateTime', description: 'When a worker began it.' }),
    endedAt: t.expose('endedAt', { type: 'DateTime', nullable: true, description: 'When it ended; null before.' }),
    exitCode: t.exposeInt('exitCode', { nullable: true, description: 'How its script exited; null when it did not.' }),
    signal: t.exposeString('signal', { nullable: true, description: 'The signal that ended its script, if one did.' }),
    maxRssBytes: t.float({
      nullable: true,
      description: 'The most memory in bytes that one process of its script held; null while that is not known.',
      select: { maxRssBytes: true },
      resolve: ({ maxRssBytes }) => (maxRssBytes === null ? null : Number(maxRssBytes)),
    }),
    cpuSeconds: t.exposeFloat('cpuSeconds', {
      nullable: true,
      description: 'The CPU time in seconds that all processes of its script took; null while that is not known.',
    }),
    firstSequence: t.exposeInt('firstSequence', {
      nullable: true,
      description: 'The number of its first event. Null for an attempt of an earlier version of Asgard.',
    }),
    lastSequence: t.exposeInt('lastSequence', {
      nullable: true,
      description: 'The number of its last event; null while it lasts. What lies between is its own.',
    }),
    isUnreachable: t.boolean({
      description: 'Whether it lasts and nothing has been heard of its worker for a minute.',
      select: { endedAt: true, leaseExpiresAt: true },
      resolve: (attempt) => isUnreachable(attempt, new Date()),
    }),
  }),
});

/** Whether a job is unreachable, by its id: of all that are asked for at once, in one query. */
export const isJobUnreachable = dataloaderGetter<string, boolean, string>(
  {},
  async (ids, context) => {
    const { database } = context as Context; // the getter does not know our context
    const open = await database.jobAttempt.findMany({
      where: { jobId: { in: [...ids] }, endedAt: null },
      select: { jobId: true, endedAt: true, leaseExpiresAt: true },
    });
    const now = new Date();
    const silent = new Set(open.filter((attempt) => isUnreachable(attempt, now)).map(({ jobId }) => jobId));
    return ids.map((id) => silent.has(id));
  },
  undefined,
  undefined,
);

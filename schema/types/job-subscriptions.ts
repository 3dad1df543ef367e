import { clearAllDataLoaders } from '@pothos/plugin-dataloader';
import type { JobStatusChange as StatusChange } from '../../src/jobs/event-store.ts';
import type { JobEventType, NumberedJobEvent } from '../../src/jobs/events.ts';
import { groupLines } from '../../src/jobs/line-groups.ts';
import { omittedText } from '../../src/jobs/omitted-text.ts';
import { invalidInput } from '../../src/platform/errors.ts';
import { builder } from '../builder.ts';
import type { Context } from '../context.ts';
import { endingOnReturn } from '../ending-on-return.ts';
import { TrainingJob } from './job.ts';
import { JobEventInterface, JobEventTypeEnum, JobStatusType, LogLine, StatusChanged } from './job-event.ts';

const JobStatusChange = builder.objectRef<StatusChange>('JobStatusChange').implement({
  description: 'A job moved to another status, in the feed of all jobs.',
  fields: (t) => ({
    jobId: t.exposeID('jobId', { description: 'The id of the job that moved.' }),
    sequence: t.exposeInt('sequence', { description: 'The number of the transition among the events of that job.' }),
    status: t.expose('status', { type: JobStatusType, description: 'The status it moved to.' }),
    at: t.expose('at', { type: 'DateTime', description: 'When it moved.' }),
    reason: t.string({
      nullable: true,
      description: 'Why, where there is something to say.',
      resolve: (c) => c.reason,
    }),
    job: t.field({
      type: TrainingJob,
      description: 'The job, as it is by now.',
      // By its id alone: the Prisma plugin reads what is asked for, in one query for all jobs of a payload.
      resolve: ({ jobId }) => ({ id: jobId }),
    }),
  }),
});

const resumable = builder.args((t) => ({
  id: t.id({ required: true, description: 'The id of the job to follow.' }),
  after: t.int({
    defaultValue: 0,
    description:
      'The number of the last event that the caller has, whatever its kind; 0 for all. Nothing up to it is sent again.',
  }),
}));

builder.subscriptionFields((t) => ({
  jobEvents: t.field({
    type: [JobEventInterface],
    description:
      'The events of a job after a number, those that happened and then each as it happens; every payload is a list of ' +
      'consecutive ones. Completes after the end event: a stream that stops without it was cut, and goes on by `after`.',
    args: {
      ...resumable,
      types: t.arg({ type: [JobEventTypeEnum], required: false, description: 'Only these kinds; absent means all.' }),
      grouped: t.arg.boolean({
        defaultValue: false,
        description:
          'Whether log lines that were printed at once come together, as `LogLines`: a script that prints much is followed ' +
          'at a third of the cost.',
      }),
    },
    subscribe: (_root, { id, after, types }, context) => follow(context, id, after, types ?? undefined),
    resolve: (events: NumberedJobEvent[], { grouped }, context) =>
      payload(context, grouped === true ? groupLines(events) : events),
  }),
  jobLog: t.field({
    type: [LogLine],
    description:
      'The log lines of a job: `jobEvents` with the kind `LOG` alone, resumed in the same way by `after`; where lines were left out, a line of the platform says so. Completes when the job has ended; a stream that stops before was cut.',
    args: resumable,
    subscribe: (_root, { id, after }, context) => follow(context, id, after, ['log', 'omitted']),
    resolve: (events: NumberedJobEvent[]) => events.flatMap(logLine),
  }),
  jobStatus: t.field({
    type: [StatusChanged],
    description:
      'The transitions of a job: `jobEvents` with the kind `STATUS` alone, resumed in the same way by `after`. Completes when the job has ended; a stream that stops before was cut.',
    args: resumable,
    subscribe: (_root, { id, after }, context) => follow(context, id, after, ['status']),
    resolve: (events: NumberedJobEvent[]) => events.filter((event) => event.type === 'status'),
  }),
  jobStatusChanges: t.field({
    type: [JobStatusChange],
    description:
      'The transitions of all jobs from when the subscription has begun, to keep a list of jobs fresh. It does not complete, and cannot be resumed: whoever lost it subscribes anew and then reads the list again. A subscriber that reads too slowly is ended with the error UNAVAILABLE rather than shown a feed with holes.',
    subscribe: (_root, _args, { events, signal }) => endingOnReturn((end) => events.statusChanges(end), signal),
    resolve: (changes: StatusChange[], _args, context) => payload(context, changes),
  }),
}));

function logLine(event: NumberedJobEvent) {
  if (event.type === 'log') return [event];
  if (event.type !== 'omitted') return [];
  const { sequence, at } = event;
  return [{ sequence, at, type: 'log', stream: 'platform', text: omittedText(event) } as const];
}

/** @throws AsgardError NOT_FOUND before anything is streamed; INVALID_INPUT */
async function follow(
  { jobs, events, signal }: Context,
  id: string,
  after: number | null | undefined,
  types?: readonly JobEventType[],
) {
  if (after != null && after < 0) throw invalidInput(['after'], `"after" must not be negative, it is ${after}`);
  await jobs.get(id);
  return endingOnReturn((end) => events.follow(id, { after: after ?? 0, types, signal: end }), signal);
}

/** One operation has many payloads: what was loaded for the one before may have changed since. */
function payload<T>(context: Context, list: T[]): T[] {
  clearAllDataLoaders(context);
  return list;
}

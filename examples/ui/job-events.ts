import type { JobEventsSubscription, JobStatus } from './generated/graphql.ts';

type JobEvent = JobEventsSubscription['jobEvents'][number];

/** A line of a job's log: of its environment, its script or the platform; or what stands for lines that are not kept. */
export type Line = Extract<JobEvent, { __typename: 'EnvironmentLine' | 'LogLine' | 'OutputOmitted' }>;

/** What the events of a job have told so far. */
export interface Job {
  /** The number of the last event: where a subscription goes on after the connection was lost. */
  readonly lastSequence: number;
  readonly status: JobStatus | undefined;
  /** Why it stands there, where there is something to say. */
  readonly reason: string | null;
  readonly lines: readonly Line[];
  /** Its last event, with the number of lines that its script printed. */
  readonly end: Extract<JobEvent, { __typename: 'JobEnded' }> | undefined;
}

export const NO_EVENTS: Job = { lastSequence: 0, status: undefined, reason: null, lines: [], end: undefined };

/** A reducer: the job with the next list of its events. Events that it has already change nothing. */
export function addEvents(job: Job, events: readonly JobEvent[]): Job {
  const news = events.filter(({ sequence }) => sequence > job.lastSequence);
  const transition = news.findLast((event) => event.__typename === 'StatusChanged');
  return {
    lastSequence: news.at(-1)?.sequence ?? job.lastSequence,
    status: transition?.status ?? job.status,
    reason: transition === undefined ? job.reason : transition.reason,
    lines: [...job.lines, ...news.filter((event) => isLine(event))],
    end: news.find((event) => event.__typename === 'JobEnded') ?? job.end,
  };
}

/** How many of the lines that a job's script printed have come. `JobEnded.lines` says how many there are. */
export function printedLines({ lines }: Job): number {
  return lines.filter((line) => line.__typename === 'LogLine' && line.stream !== 'PLATFORM').length;
}

/** How many lines are left out, as the script printed more than is kept. Some may have come before they were. */
export function omittedLines({ lines }: Job): number {
  return lines.findLast((line) => line.__typename === 'OutputOmitted')?.lines ?? 0;
}

function isLine(event: JobEvent): event is Line {
  return ['EnvironmentLine', 'LogLine', 'OutputOmitted'].includes(event.__typename);
}

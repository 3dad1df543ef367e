import { expectedFailure, isDiskFull } from '../database/failure.ts';
import type { TrainingJob } from '../database/generated/client.ts';
import { RunnerLostError } from '../executors/executor.ts';
import type { Claim } from '../jobs/queue.ts';
import type { JobEnd } from '../jobs/transitions.ts';
import { AsgardError, assertNever, isRetryable, messageOf } from '../platform/errors.ts';
import type { ExitRecord } from '../python/frames.ts';
import { concludeFailure, concludeSuccess } from './outcome.ts';
import type { SupervisorContext } from './supervisor-context.ts';

/** Why an attempt stops before its script has ended by itself. */
export class Interruption extends Error {
  readonly status: 'CANCELLED' | 'TIMED_OUT' | 'LOST';

  constructor(status: 'CANCELLED' | 'TIMED_OUT' | 'LOST', message: string) {
    super(message);
    this.status = status;
  }
}

/** The supervision ends and the attempt does not: another worker has it, or the next one shall take it over. */
export class Released extends Error {}

/** What an attempt's end is, after its script's. @throws the signal's reason when that aborts */
export async function endOfScript(
  context: SupervisorContext,
  job: TrainingJob,
  claim: Claim,
  exit: ExitRecord,
  signal: AbortSignal,
): Promise<JobEnd> {
  switch (exit.reason) {
    case 'timed_out':
      return { status: 'TIMED_OUT', error: timeoutMessage(job) };
    case 'cancelled':
      return endOfAskedRunner(context, claim);
    case 'start_failed': {
      const error = `the script could not be started: ${exit.message ?? ''}`;
      return { status: 'FAILED', error, isInfrastructure: true };
    }
    case 'output_lost': {
      const error = exit.message ?? 'the script was killed, as its output could not be stored';
      return { status: 'FAILED', error, isInfrastructure: true };
    }
    case 'exited': {
      const end = await (exit.code === 0
        ? concludeSuccess(context, job, claim, signal)
        : concludeFailure(context, claim, exit));
      return exit.message === null ? end : { ...end, lastLines: [exit.message, ...(end.lastLines ?? [])] };
    }
    default:
      return assertNever(exit.reason);
  }
}

/** Why an attempt's job is to be cancelled; null: it is not. A platform that ended without its database left word with the run. */
export async function cancelReasonOf(
  { executor }: Pick<SupervisorContext, 'executor'>,
  { cancelRequestedAt, cancelReason }: Pick<TrainingJob, 'cancelRequestedAt' | 'cancelReason'>,
  { jobId, number: attempt, place }: Pick<Claim, 'jobId' | 'number' | 'place'>,
): Promise<string | null> {
  if (cancelRequestedAt !== null) return cancelReason ?? 'cancelled on request';
  return executor.cancelReason({ jobId, attempt, place });
}

/** Its runner got SIGTERM: from us when a cancel was asked for, else from whoever shuts the machine or its service down. */
async function endOfAskedRunner(context: SupervisorContext, claim: Claim): Promise<JobEnd> {
  const job = await context.database.trainingJob.findUniqueOrThrow({ where: { id: claim.jobId } });
  const reason = await cancelReasonOf(context, job, claim);
  if (reason !== null) return { status: 'CANCELLED', error: reason };
  const error = 'its runner was asked to end, and not by the platform: the machine or its service was shut down';
  return { status: 'LOST', error, isInfrastructure: true };
}

/**
 * What was thrown becomes the attempt's end: an interruption, the user's fault, or ours. Null: it has not ended.
 * @param hasRunner whether its script has been started
 */
export function endAfter(
  { logger }: SupervisorContext,
  jobId: string,
  error: unknown,
  hasRunner: boolean,
): JobEnd | null {
  if (error instanceof Interruption) {
    const { status, message } = error;
    // What kept the script from being started in time was not the script.
    const isInfrastructure = status === 'LOST' || (status === 'TIMED_OUT' && !hasRunner);
    return { status, error: message, isInfrastructure };
  }
  if (error instanceof RunnerLostError) return { status: 'LOST', error: error.message, isInfrastructure: true };
  if (error instanceof AsgardError) {
    return { status: 'FAILED', error: error.message, isInfrastructure: isRetryable(error) };
  }
  logger.error({ jobId, err: error }, 'job.supervision_failed');
  // A database that is away is no fault of the job's, whose script goes on.
  if (expectedFailure(error) !== undefined) return null;
  if (isDiskFull(error)) {
    const message = `the disk is full: ${lastLineOf(messageOf(error))}`;
    return { status: 'FAILED', error: message, isInfrastructure: true };
  }
  const message = `the platform failed while it ran the job: ${messageOf(error)}`;
  return { status: 'FAILED', error: message, isInfrastructure: true };
}

/** Messages about the database begin with where in our code it was called. */
function lastLineOf(message: string): string {
  return message.slice(message.lastIndexOf('\n') + 1);
}

export function timeoutMessage(job: Pick<TrainingJob, 'timeoutSeconds'>): string {
  return `the job did not end within its ${job.timeoutSeconds} s`;
}

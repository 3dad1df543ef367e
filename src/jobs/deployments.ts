import type { Deployment, PrismaClient } from '../database/generated/client.ts';
import type { JobStatus } from '../database/generated/enums.ts';
import type { Listener } from '../database/listen.ts';
import { looks } from '../database/looks.ts';
import { aliasName } from '../models/alias.ts';
import { AsgardError, invalidInput } from '../platform/errors.ts';
import { parseStatusChange, STATUS_CHANNEL } from './event-store.ts';
import { type JobSummary, readSummaries } from './job-summary.ts';
import type { JobService } from './service.ts';
import { isTerminal } from './states.ts';
import type { JobSubmission } from './submission.ts';

/** The alias that a deployment sets, unless it names another one. */
export const SERVING_ALIAS = 'champion';

/** Channel of "a deployment has ended", payload its id. */
export const DEPLOYMENTS_CHANNEL = 'asgard_deployments';

/** Where a deployment stands. */
export type DeploymentState = 'QUEUED' | 'TRAINING' | 'DEPLOYING' | 'DEPLOYED' | 'FAILED';

/** A deployment with the job that it waits for. Its id is the job's. */
export interface DeploymentOfJob {
  readonly deployment: Deployment;
  readonly job: JobSummary;
}

/**
 * Deployments: a job is handed in with the wish that what it registers shall be served. The wish is a row beside the job's, made
 * with it; whichever platform sees that the job has ended fulfils it (`src/worker/deployer.ts`).
 */
export class DeploymentService {
  readonly #database: PrismaClient;
  readonly #listener: Pick<Listener, 'subscribe'>;
  readonly #jobs: Pick<JobService, 'submit'>;

  constructor(database: PrismaClient, listener: Pick<Listener, 'subscribe'>, jobs: Pick<JobService, 'submit'>) {
    this.#database = database;
    this.#listener = listener;
    this.#jobs = jobs;
  }

  /**
   * Hands a job in, whose model an alias shall name as soon as the job is COMPLETED and the model is known to work. With an
   * idempotency key that was used before, gives the deployment of that time, whatever else is handed in.
   * @throws AsgardError as `JobService.submit` does; INVALID_INPUT for the alias; CONFLICT when the key is that of a job without a
   * deployment
   */
  async deploy(submission: JobSubmission, alias: string = SERVING_ALIAS): Promise<Deployment> {
    const parsed = aliasName.safeParse(alias);
    if (!parsed.success) throw invalidInput(['alias'], parsed.error.issues[0]?.message ?? 'is no alias');
    const { id: jobId } = await this.#jobs.submit(submission, { alias });
    const deployment = await this.#database.deployment.findUnique({ where: { jobId } });
    if (deployment !== null) return deployment;
    const message = `idempotencyKey: it was used before, for job ${jobId}, which deploys nothing: use another key`;
    throw new AsgardError('CONFLICT', message);
  }

  /** @throws AsgardError NOT_FOUND */
  async get(id: string): Promise<DeploymentOfJob> {
    const isId = /^[0-9a-f]{16}$/.test(id);
    const deployment = isId ? await this.#database.deployment.findUnique({ where: { jobId: id } }) : null;
    const [job] = deployment === null ? [] : await readSummaries(this.#database, [id]);
    if (deployment !== null && job !== undefined) return { deployment, job };
    throw new AsgardError('NOT_FOUND', `there is no deployment ${JSON.stringify(id.slice(0, 100))}`);
  }

  /**
   * A deployment as it is now, then each time that it stands elsewhere; ends when it is DEPLOYED or FAILED, or `signal` aborts.
   * @throws AsgardError NOT_FOUND
   */
  async *follow(id: string, signal: AbortSignal): AsyncGenerator<Deployment, void> {
    const channels = {
      [STATUS_CHANNEL]: (payload: string) => parseStatusChange(payload).jobId === id,
      [DEPLOYMENTS_CHANNEL]: (ended: string) => ended === id,
    };
    let before: DeploymentState | undefined;
    for await (const _look of looks(this.#listener, channels, signal)) {
      const { deployment, job } = await this.get(id);
      const state = deploymentState(deployment, job.status);
      // The row has the end, and what came of it, a moment after the job's own.
      const isOver = deployment.status !== 'PENDING';
      if (state !== before && (isOver || state !== 'FAILED')) yield deployment;
      before = state;
      if (isOver) return;
    }
  }
}

/** Where a deployment stands, by its own row and the status of its job. */
export function deploymentState({ status }: Pick<Deployment, 'status'>, jobStatus: JobStatus): DeploymentState {
  if (status !== 'PENDING') return status;
  if (jobStatus === 'QUEUED') return 'QUEUED';
  if (!isTerminal(jobStatus)) return 'TRAINING';
  return jobStatus === 'COMPLETED' ? 'DEPLOYING' : 'FAILED';
}

/** Why a deployment failed; null when it did not. */
export function deploymentError(
  { error, status }: Pick<Deployment, 'status' | 'error'>,
  job: Pick<JobSummary, 'status' | 'error'>,
): string | null {
  if (status !== 'PENDING') return error;
  return isTerminal(job.status) && job.status !== 'COMPLETED' ? failureOfJob(job) : null;
}

/** Why nothing is deployed of a job that ended badly. */
export function failureOfJob({ status, error }: Pick<JobSummary, 'status' | 'error'>): string {
  return `its job is ${status}${error === null ? '' : `: ${error}`}`;
}

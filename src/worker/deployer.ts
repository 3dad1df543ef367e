import type { PrismaClient } from '../database/generated/client.ts';
import type { Listener } from '../database/listen.ts';
import { DEPLOYMENTS_CHANNEL, failureOfJob } from '../jobs/deployments.ts';
import { parseStatusChange, STATUS_CHANNEL } from '../jobs/event-store.ts';
import { isTerminal } from '../jobs/states.ts';
import type { ModelVersion } from '../mlflow/wire.ts';
import type { ModelRegistry } from '../models/registry.ts';
import type { ModelService } from '../models/service.ts';
import { AsgardError, isRetryable, messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import { Repeated } from '../platform/repeated.ts';

/** A lost notification delays a deployment by this much at most, and so long lies between two tries. */
const SWEEP_MS = 5_000;
/** MLflow may be away for so long after the job's end before a deployment is given up. */
const GIVE_UP_MS = 3_600_000;
const MAX_AT_ONCE = 100;

export interface DeployerOptions {
  readonly database: PrismaClient;
  readonly listener: Listener;
  readonly models: Pick<ModelService, 'getVersion'>;
  readonly registry: Pick<ModelRegistry, 'setAliasWithin'>;
  /** Lets versions pass that work, and tries those that nobody has tried: CONFLICT with the reason for any other. */
  readonly mustServe: (version: ModelVersion) => Promise<void>;
  readonly logger: Logger;
}

interface Ended {
  readonly jobId: string;
  readonly alias: string;
  readonly modelName: string;
  readonly modelVersion: string | null;
  readonly status: 'COMPLETED' | 'FAILED' | 'CANCELLED' | 'TIMED_OUT' | 'LOST';
  readonly error: string | null;
  readonly completedAt: Date;
}

/**
 * Has aliases name what jobs with a deployment have registered, once those jobs have ended: of one alias in the order of their
 * ends. A deployment is open until its row says what became of it, so a platform that is killed leaves it to the next, or to
 * another one; setting an alias twice does no harm.
 */
export class Deployer implements AsyncDisposable {
  readonly #options: DeployerOptions;
  readonly #sweeping: Repeated;
  readonly #subscriptions: (() => void)[] = [];
  #isStopping = false;
  #wasWoken = false;
  #under: Promise<void> | undefined;

  /** Begins, with what was left open. */
  static async start(options: DeployerOptions): Promise<Deployer> {
    const deployer = new Deployer(options);
    const { listener, logger } = options;
    deployer.#subscriptions.push(
      await listener.subscribe(STATUS_CHANNEL, (payload) => {
        if (!isTerminal(parseStatusChange(payload).status)) return;
        deployer.#deployAll().catch((error: unknown) => logger.error({ err: error }, 'deployer.sweep_failed'));
      }),
    );
    return deployer;
  }

  private constructor(options: DeployerOptions) {
    this.#options = options;
    this.#sweeping = new Repeated(SWEEP_MS, () => this.#deployAll());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    for (const unsubscribe of this.#subscriptions) unsubscribe();
    await this.#sweeping[Symbol.asyncDispose]();
    await this.#under;
  }

  /** Looks at once, or after the look that is under way. */
  #deployAll(): Promise<void> {
    this.#wasWoken = true;
    this.#under ??= this.#sweep().finally(() => {
      this.#under = undefined;
    });
    return this.#under;
  }

  async #sweep(): Promise<void> {
    const { database, logger } = this.#options;
    while (this.#wasWoken && !this.#isStopping) {
      this.#wasWoken = false;
      /** Aliases of which an earlier deployment waits: a later one must not come before it. */
      const held = new Set<string>();
      try {
        for (const ended of await endedDeployments(database)) {
          const key = `${ended.alias}/${ended.modelName}`;
          if (this.#isStopping || held.has(key)) continue;
          if (!(await this.#conclude(ended))) held.add(key);
        }
      } catch (error) {
        logger.error({ err: error }, 'deployer.sweep_failed');
      }
    }
  }

  /** @returns false when it is to be tried again */
  async #conclude(ended: Ended): Promise<boolean> {
    const { models, registry, mustServe, logger } = this.#options;
    const { jobId, alias, modelName, modelVersion: version, status, completedAt } = ended;
    if (status !== 'COMPLETED') return this.#close(jobId, { status: 'FAILED', error: failureOfJob(ended) });
    if (version === null) return this.#close(jobId, { status: 'FAILED', error: 'its job has registered no model' });
    try {
      // Before the lock of the model is held: it may take as long as loading a model does.
      await mustServe(await models.getVersion(modelName, version));
      await registry.setAliasWithin(modelName, { alias, version, force: false }, async (set) => {
        const { database } = this.#options;
        if ((await database.deployment.count({ where: { jobId, status: 'PENDING' } })) === 0) return;
        const { previousVersion: previous } = await set();
        // Its own number: a platform was killed between setting the alias and noting so.
        const previousVersion = previous === version ? null : previous;
        await this.#close(jobId, { status: 'DEPLOYED', previousVersion });
        logger.info({ jobId, modelName, version, alias }, 'deployment.deployed');
      });
      return true;
    } catch (error) {
      // Only an expected failure that does not pass is an answer.
      const mayPass = isRetryable(error) || !(error instanceof AsgardError);
      if (mayPass && Date.now() - completedAt.getTime() < GIVE_UP_MS) {
        logger.warn({ jobId, modelName, version, alias, err: error }, 'deployment.waits');
        return false;
      }
      return this.#close(jobId, { status: 'FAILED', error: messageOf(error) });
    }
  }

  async #close(
    jobId: string,
    data: { status: 'DEPLOYED'; previousVersion: string | null } | { status: 'FAILED'; error: string },
  ): Promise<true> {
    const { database, logger } = this.#options;
    const count = await database.$transaction(async (transaction) => {
      const where = { jobId, status: 'PENDING' } as const;
      const closed = await transaction.deployment.updateMany({ where, data: { ...data, completedAt: new Date() } });
      await transaction.$executeRaw`SELECT pg_notify(${DEPLOYMENTS_CHANNEL}, ${jobId})`;
      return closed.count;
    });
    if (count > 0 && data.status === 'FAILED') logger.warn({ jobId, problem: data.error }, 'deployment.failed');
    return true;
  }
}

/** Those that are open and whose jobs have ended, in the order of those ends. */
function endedDeployments(database: PrismaClient): Promise<Ended[]> {
  return database.$queryRaw<Ended[]>`
    SELECT d.job_id AS "jobId", d.alias, j.model_name AS "modelName", j.model_version AS "modelVersion",
      j.status::text AS status, j.error, j.completed_at AS "completedAt"
    FROM deployments d JOIN training_jobs j ON j.id = d.job_id
    WHERE d.status = 'PENDING' AND j.completed_at IS NOT NULL
    ORDER BY j.completed_at, j.id LIMIT ${MAX_AT_ONCE}::int`;
}

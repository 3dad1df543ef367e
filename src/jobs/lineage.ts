import type { JobFeatureRead, PrismaClient, ServableVersion } from '../database/generated/client.ts';
import type { ExperimentService } from '../experiments/service.ts';
import type { ModelVersion, Run } from '../mlflow/wire.ts';
import { servableVersion } from '../models/servable-versions.ts';
import type { ModelService } from '../models/service.ts';
import { isStorableText } from '../platform/text.ts';
import { readsOfVersions } from './feature-read-log.ts';
import { makerOf } from './version-maker.ts';

/** What a job was made of, as far as a version's origin goes. */
const JOB = {
  id: true,
  scriptName: true,
  script: true,
  experimentName: true,
  requirements: true,
  status: true,
  runId: true,
  environmentHash: true,
  createdAt: true,
  completedAt: true,
  environment: { select: { hash: true, python: true, lock: true } },
} as const;

/** Where a model version comes from. What is null is gone, or never was. */
export interface Lineage {
  readonly version: ModelVersion;
  readonly run: Run | null;
  readonly job: JobOrigin | null;
  /** What it was trained with, in the order of the reads. */
  readonly reads: readonly JobFeatureRead[];
  /** What came of trying it. */
  readonly record: ServableVersion | null;
}

export type JobOrigin = Awaited<ReturnType<typeof jobOrigins>>[number];

export interface LineageOptions {
  readonly database: PrismaClient;
  readonly models: Pick<ModelService, 'getVersion'>;
  readonly experiments: Pick<ExperimentService, 'runsByIds'>;
}

/** From a version to its run, its job with script and environment, and the features that it was trained with. */
export class LineageService {
  readonly #options: LineageOptions;

  constructor(options: LineageOptions) {
    this.#options = options;
  }

  /** @throws AsgardError NOT_FOUND, naming what there is, and MLflow's failures */
  async ofVersion(name: string, number: string): Promise<Lineage> {
    const { database, models } = this.#options;
    const version = await models.getVersion(name, number);
    const [maker, run, [reads = []], record] = await Promise.all([
      makerOf(database, version),
      this.run(version.runId),
      readsOfVersions(database, [version]),
      servableVersion(database, version),
    ]);
    const [job = null] = maker === null ? [] : await jobOrigins(database, [maker.jobId]);
    return { version, run, job, reads, record };
  }

  /** Null when there is none, or it is gone. */
  async run(runId: string | null): Promise<Run | null> {
    const { database, experiments } = this.#options;
    if (runId === null || !isStorableText(runId)) return null;
    const known = await database.jobRun.findUnique({ where: { runId }, select: { experimentId: true } });
    const [run] = await experiments.runsByIds([{ runId, experimentId: known?.experimentId }]);
    return run ?? null;
  }
}

/** What these jobs were made of; what does not exist is left out. */
export function jobOrigins(database: PrismaClient, ids: readonly string[]) {
  return database.trainingJob.findMany({ where: { id: { in: [...ids] } }, select: JOB });
}

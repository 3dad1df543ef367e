import type { z } from 'zod';
import type { ServableVersion } from '../database/generated/client.ts';
import type { CompileStatus, ExampleSource } from '../database/generated/enums.ts';
import { type Compilation, compilationOf } from '../inference/compiled/proof.ts';
import { ENGINE_NAMES } from '../inference/engine.ts';
import type { ServedVersion } from '../inference/served-models.ts';
import { type DeploymentOfJob, type DeploymentState, deploymentError, deploymentState } from '../jobs/deployments.ts';
import type { ModelVersion, RegisteredModel } from '../mlflow/wire.ts';
import { assertNever } from '../platform/errors.ts';
import { naiveTime, presentServed } from './present.ts';
import type { RestServices } from './services.ts';
import type { deployment, modelVersion, registeredModel, registration } from './wire-model-answers.ts';

/** What is known of versions beside what MLflow says. */
type Known = Pick<RestServices, 'modelChecks' | 'servedModels'>;

/** One registered model with its newest version of each stage, and what came of trying those. */
export async function presentModel(model: RegisteredModel, known: Known): Promise<z.infer<typeof registeredModel>> {
  const aliases = model.aliases.map(({ alias, version }) => [alias, version] as const);
  return {
    name: model.name,
    description: model.description,
    tags: model.tags,
    // Absent otherwise, as in the guide's answers.
    ...(aliases.length > 0 && { aliases: Object.fromEntries(aliases) }),
    latest_versions: await presentVersions(model.latestVersions, known),
    created_at: naiveTime(model.createdAt),
    updated_at: naiveTime(model.updatedAt),
  };
}

/** Registered models. What came of trying their versions is asked for at once. */
export async function presentModels(models: readonly RegisteredModel[], known: Known) {
  const checks = await known.modelChecks(models.flatMap(({ latestVersions }) => latestVersions));
  return Promise.all(
    models.map((model) => {
      const own = checks.splice(0, model.latestVersions.length);
      return presentModel(model, { ...known, modelChecks: async () => own });
    }),
  );
}

/** Versions as they are in lists, and what came of trying them. */
export async function presentVersions(
  versions: readonly ModelVersion[],
  { modelChecks, servedModels }: Known,
): Promise<z.infer<typeof modelVersion>[]> {
  const checks = await modelChecks(versions);
  return versions.map((version, index) => presentVersion(version, checks[index], servedModels.find(version)));
}

/** `presentVersions` of one. */
export async function presentOne(version: ModelVersion, { modelChecks, servedModels }: Known) {
  const [record] = await modelChecks([version]);
  return presentVersion(version, record, servedModels.find(version));
}

/** The answer to a registration of the model that a run saved. */
export function presentRegistration(version: ModelVersion, runId: string): z.infer<typeof registration> {
  return {
    model_name: version.name,
    version: version.version,
    run_id: version.runId ?? runId,
    status: version.status,
    created_at: naiveTime(version.createdAt),
  };
}

/** A version, what came of trying and compiling it, and how it is in memory. */
export function presentVersion(
  version: ModelVersion,
  record: ServableVersion | null = null,
  served: ServedVersion | null = null,
): z.infer<typeof modelVersion> {
  return {
    name: version.name,
    version: version.version,
    stage: version.stage,
    run_id: version.runId,
    description: version.description,
    tags: version.tags,
    created_at: naiveTime(version.createdAt),
    updated_at: naiveTime(version.updatedAt),
    // Absent otherwise, as in the guide's answers.
    ...(record !== null && record.status !== 'CHECKING' && presentRecord(record)),
    ...(served !== null && { loaded: presentServed(served) }),
  };
}

const EXAMPLES = {
  INPUT_EXAMPLE: 'input_example',
  TRAINING_ROWS: 'training_rows',
  SIGNATURE: 'signature',
  FEATURE_NAMES: 'feature_names',
} as const satisfies Record<ExampleSource, string>;
const COMPILED = { PENDING: 'pending', COMPILED: 'compiled', REFUSED: 'refused' } as const satisfies Record<
  CompileStatus,
  string
>;

function presentRecord(record: ServableVersion) {
  const { status, refusal, warning, traceback, loadSeconds, p50Ms, peakMemoryBytes, exampleSource, engine } = record;
  const compilation = compilationOf(record);
  return {
    servable: status === 'SERVABLE',
    refusal,
    warning,
    load_seconds: loadSeconds,
    predict_p50_ms: p50Ms,
    peak_memory_bytes: peakMemoryBytes === null ? null : Number(peakMemoryBytes),
    tried_with: exampleSource && EXAMPLES[exampleSource],
    traceback,
    engine: ENGINE_NAMES[engine],
    ...(compilation !== null && { compilation: presentCompilation(compilation) }),
  };
}

function presentCompilation({ status, refusal, proof }: Compilation) {
  if (proof === null) return { status: COMPILED[status], refusal, proof };
  const { rows, splits, splits_tested, largest_difference, tolerance, seconds, size_bytes } = proof;
  const shown = { rows, splits, splits_tested, largest_difference, tolerance, seconds, size_bytes };
  return { status: COMPILED[status], refusal, proof: shown };
}

/** A deployment in the guide's words for a job. */
export function presentDeployment({ deployment: row, job }: DeploymentOfJob): z.infer<typeof deployment> {
  return {
    deployment_id: row.jobId,
    status: wireDeploymentStatus(deploymentState(row, job.status)),
    job_id: row.jobId,
    model_name: job.modelName,
    model_version: job.modelVersion,
    alias: row.alias,
    previous_version: row.previousVersion,
    error: deploymentError(row, job),
    created_at: naiveTime(row.createdAt),
    completed_at: row.completedAt && naiveTime(row.completedAt),
  };
}

function wireDeploymentStatus(state: DeploymentState): z.infer<typeof deployment>['status'] {
  switch (state) {
    case 'QUEUED':
      return 'queued';
    case 'TRAINING':
    case 'DEPLOYING':
      return 'running';
    case 'DEPLOYED':
      return 'completed';
    case 'FAILED':
      return 'failed';
    default:
      return assertNever(state);
  }
}

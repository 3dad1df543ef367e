import type { z } from 'zod';
import { type DeploymentOfJob, type DeploymentState, deploymentError, deploymentState } from '../jobs/deployments.ts';
import type { ModelVersion, RegisteredModel } from '../mlflow/wire.ts';
import { assertNever } from '../platform/errors.ts';
import { naiveTime } from './present.ts';
import type { deployment, modelVersion, registeredModel, registration } from './wire-model-answers.ts';

/** One registered model with its newest version of each stage. */
export function presentModel(model: RegisteredModel): z.infer<typeof registeredModel> {
  const aliases = model.aliases.map(({ alias, version }) => [alias, version] as const);
  return {
    name: model.name,
    description: model.description,
    tags: model.tags,
    // Absent otherwise, as in the guide's answers.
    ...(aliases.length > 0 && { aliases: Object.fromEntries(aliases) }),
    latest_versions: model.latestVersions.map(presentVersion),
    created_at: naiveTime(model.createdAt),
    updated_at: naiveTime(model.updatedAt),
  };
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

/** A version as it is in lists. */
export function presentVersion(version: ModelVersion): z.infer<typeof modelVersion> {
  return {
    name: version.name,
    version: version.version,
    stage: version.stage,
    run_id: version.runId,
    description: version.description,
    tags: version.tags,
    created_at: naiveTime(version.createdAt),
    updated_at: naiveTime(version.updatedAt),
  };
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

import type { z } from 'zod';
import type { ModelVersion, RegisteredModel } from '../mlflow/wire.ts';
import { naiveTime } from './present.ts';
import type { modelVersion, registeredModel, registration } from './wire-model-answers.ts';

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

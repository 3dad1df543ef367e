import { z } from 'zod';
import type { MlflowClient } from '../mlflow/client.ts';
import { filterString } from '../mlflow/filter.ts';
import type { ModelVersion } from '../mlflow/wire.ts';
import { AsgardError, hasCode, invalidInput } from '../platform/errors.ts';
import { storableText } from '../platform/text.ts';
import { modelName, tags } from './naming.ts';
import { registerVersion, resolveSource } from './registration.ts';
import { savedModelOf } from './saved-model.ts';

/** What a user asks: that the model which a run saved becomes a version of a registered model. */
export const registryRequest = z.object({
  modelName,
  runId: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,255}$/, 'must be the id of an MLflow run: letters, digits, "_" and "-"'),
  description: storableText(5000).optional(),
  tags: tags.default({}),
});

export type RegistryRequest = z.infer<typeof registryRequest>;

/** Of one run there are rarely several versions under one name. */
const MAX_VERSIONS_COMPARED = 100;

/**
 * Registers the model that a run saved (see `savedModelOf`) as a new version, under a name that may be new. A request
 * that was answered before is answered so again: when the name has a version of the same model, run, description and
 * tags, that is the answer, so that a client which lost the first answer may safely ask again.
 * @throws AsgardError NOT_FOUND when there is no such run, INVALID_INPUT when it saved no model or MLflow refuses the
 * name, else as `registerVersion` does
 */
export async function registerRun(mlflow: MlflowClient, request: RegistryRequest): Promise<ModelVersion> {
  const { modelName: name, runId, description, tags } = request;
  const source = await sourceOf(mlflow, runId);
  const version = await resolveSource(mlflow, { name, source, runId, description, tags });
  const filter = `${filterString('name', [name])} AND run_id = '${runId}'`;
  const { items } = await mlflow.searchModelVersions({ filter, maxResults: MAX_VERSIONS_COMPARED });
  const made = items.find(
    (item) =>
      item.source === version.source &&
      item.status === 'READY' &&
      (item.description ?? '') === (description ?? '') &&
      areSame(item.tags, tags),
  );
  return made ?? registerVersion(mlflow, version);
}

async function sourceOf(mlflow: MlflowClient, runId: string): Promise<string> {
  const run = await mlflow.getRun(runId).catch((cause: unknown) => {
    if (!hasCode(cause, 'NOT_FOUND')) throw cause;
    throw new AsgardError('NOT_FOUND', `run_id: there is no run ${runId}`, { cause });
  });
  if (run.isDeleted) throw new AsgardError('NOT_FOUND', `run_id: run ${runId} was deleted`);
  const source = await savedModelOf(mlflow, run);
  if (source !== null) return source;
  const how = 'log one with mlflow.<flavor>.log_model(…) or as model/model.pkl';
  throw invalidInput(['runId'], `run ${runId} has saved no model: ${how}`, 'no_model');
}

function areSame(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

import { z } from 'zod';
import type { MlflowClient } from '../mlflow/client.ts';
import { orNull } from '../mlflow/upstream-error.ts';
import type { LoggedModel, Run } from '../mlflow/wire.ts';

/** A script that logs a model each epoch has many; they are asked for one by one. */
const MAX_LOGGED_MODELS = 100;

/** What MLflow 2's `log_model` notes on its run, the oldest first; MLflow 3's entries have an id. */
const HISTORY_TAG = 'mlflow.log-model.history';
const history = z.array(z.object({ artifact_path: z.string().min(1), model_id: z.string().nullish() }));

/**
 * The source, as the registry takes it, of the model that a run saved: the newest logged model of MLflow 3; else the one
 * that MLflow 2's `log_model` noted last; else a pickle saved by hand at `model/model.pkl`. Null when it saved none.
 */
export async function savedModelOf(mlflow: MlflowClient, run: Run): Promise<string | null> {
  const logged = await newestLoggedModel(mlflow, run.modelIds);
  if (logged !== null) return `models:/${logged.id}`;
  const noted = notedModel(run.tags[HISTORY_TAG]);
  if (noted !== null) return `runs:/${run.id}/${noted}`;
  const artifacts = await mlflow.listArtifacts(run.id, 'model');
  return artifacts.some(({ path }) => path === 'model/model.pkl') ? `runs:/${run.id}/model` : null;
}

async function newestLoggedModel(mlflow: MlflowClient, ids: readonly string[]): Promise<LoggedModel | null> {
  const models = await Promise.all(ids.slice(0, MAX_LOGGED_MODELS).map((id) => orNull(mlflow.getLoggedModel(id))));
  const ready = models.filter((model): model is LoggedModel => model?.isReady === true);
  return ready.toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime())[0] ?? null;
}

function notedModel(tag: string | undefined): string | null {
  if (tag === undefined) return null;
  try {
    const noted = history.parse(JSON.parse(tag)).filter(({ model_id }) => model_id == null);
    return noted.at(-1)?.artifact_path ?? null;
  } catch {
    return null; // a script may have written anything there
  }
}

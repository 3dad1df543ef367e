import { setTimeout as delay } from 'node:timers/promises';
import type { MlflowClient } from '../mlflow/client.ts';
import { AsgardError, isRetryable, messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { ServableGate } from './check/servable-gate.ts';
import type { ServedModels } from './served-models.ts';

/** MLflow is up some seconds after the platform, and an environment may have to be made first. */
const RETRY_MS = 2_000;
const GIVE_UP_MS = 600_000;

export interface PreloadOptions {
  readonly models: readonly { readonly name: string; readonly alias: string }[];
  readonly served: Pick<ServedModels, 'get'>;
  /** Lets pass the versions that work, as it does for requests. */
  readonly gate: Pick<ServableGate, 'pass'>;
  readonly mlflow: Pick<MlflowClient, 'getRegisteredModel' | 'getModelVersion'>;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Loads models that work before anybody asks for them, one after another. Never rejects: what cannot be loaded is logged. */
export async function preloadModels(options: PreloadOptions): Promise<void> {
  const { models, served, gate, mlflow, logger, signal } = options;
  const giveUpAt = performance.now() + GIVE_UP_MS;
  for (const { name, alias } of models) {
    const load = async () => {
      const { aliases } = await mlflow.getRegisteredModel(name, signal);
      const version = aliases.find((each) => each.alias === alias)?.version;
      if (version === undefined) throw new AsgardError('NOT_FOUND', `model ${name} has no alias ${alias}`);
      const found = await mlflow.getModelVersion(name, version, signal);
      await gate.pass(found);
      await served.get(found);
    };
    for (;;) {
      try {
        await load();
        break;
      } catch (error) {
        if (signal.aborted) return;
        if (!isRetryable(error) || performance.now() > giveUpAt) {
          logger.warn({ model: `${name}@${alias}`, reason: messageOf(error) }, 'model.not_preloaded');
          break;
        }
        await delay(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
      }
    }
  }
}

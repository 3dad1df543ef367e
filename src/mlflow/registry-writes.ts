import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { AsgardError } from '../platform/errors.ts';
import type { MlflowConnection } from './connection.ts';

/** MLflow reads a row and then inserts or updates it: of two calls at once one may fail, having changed nothing. */
const RACED = /UniqueViolation|IntegrityError|StaleDataError|duplicate key/i;
const MAX_TRIES = 5;
const PAUSE_MS = 30;

/**
 * MLflow's calls that change registered models and versions that are there. All say the whole of what they set, so that
 * doing one again does no harm. NOT_FOUND when there is no such model or version, else the failures of `MlflowClient`.
 */
export class RegistryWrites {
  readonly #connection: MlflowConnection;

  constructor(connection: MlflowConnection) {
    this.#connection = connection;
  }

  /** An alias that names another version names this one afterwards. INVALID_INPUT for a name that MLflow keeps for itself. */
  setAlias(name: string, alias: string, version: string): Promise<void> {
    return this.#send('POST', 'registered-models/alias', { name, alias, version });
  }

  /** Also when there is no such alias. */
  deleteAlias(name: string, alias: string): Promise<void> {
    return this.#send('DELETE', 'registered-models/alias', { name, alias });
  }

  describeModel(name: string, description: string): Promise<void> {
    return this.#send('PATCH', 'registered-models/update', { name, description });
  }

  describeVersion(name: string, version: string, description: string): Promise<void> {
    return this.#send('PATCH', 'model-versions/update', { name, version, description });
  }

  setModelTag(name: string, key: string, value: string): Promise<void> {
    return this.#send('POST', 'registered-models/set-tag', { name, key, value });
  }

  /** Also when it has no such tag. */
  deleteModelTag(name: string, key: string): Promise<void> {
    return this.#send('DELETE', 'registered-models/delete-tag', { name, key });
  }

  setVersionTag(name: string, version: string, key: string, value: string): Promise<void> {
    return this.#send('POST', 'model-versions/set-tag', { name, version, key, value });
  }

  /** Also when it has no such tag. */
  deleteVersionTag(name: string, version: string, key: string): Promise<void> {
    return this.#send('DELETE', 'model-versions/delete-tag', { name, version, key });
  }

  /** With all its versions. Its name may be given again, and versions are then numbered from 1. */
  deleteModel(name: string): Promise<void> {
    return this.#send('DELETE', 'registered-models/delete', { name });
  }

  /** With the aliases that name it. Its number is not given again. */
  deleteVersion(name: string, version: string): Promise<void> {
    return this.#send('DELETE', 'model-versions/delete', { name, version });
  }

  async #send(method: 'POST' | 'PATCH' | 'DELETE', endpoint: string, content: object): Promise<void> {
    const path = `/api/2.0/mlflow/${endpoint}`;
    const request = { method, path, body: JSON.stringify(content), signal: undefined, isRepeatable: true };
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#connection.request(request, z.object({}));
        return;
      } catch (error) {
        const isRaced = error instanceof AsgardError && RACED.test(error.message);
        if (!isRaced || attempt === MAX_TRIES) throw error;
        await delay(PAUSE_MS * attempt * Math.random());
      }
    }
  }
}

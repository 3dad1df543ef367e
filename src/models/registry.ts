import type { PrismaClient } from '../database/generated/client.ts';
import type { MlflowClient } from '../mlflow/client.ts';
import type { ModelVersion, RegisteredModel } from '../mlflow/wire.ts';
import { AsgardError, hasCode } from '../platform/errors.ts';
import { isStorableText } from '../platform/text.ts';
import { type NamedVersion, noSuchAlias } from './alias.ts';
import { ModelLock } from './model-lock.ts';
import type { AliasMove, RegistryChange } from './registry-changes.ts';
import { servableVersion } from './servable-versions.ts';
import type { ModelService } from './service.ts';

export interface RegistryOptions {
  readonly database: PrismaClient;
  readonly mlflow: MlflowClient;
  readonly models: Pick<ModelService, 'get' | 'getVersion'>;
  /** Lets versions pass that work, and tries those that nobody has tried: CONFLICT with the reason for any other. */
  readonly mustServe?: ((version: ModelVersion) => Promise<void>) | undefined;
}

/** What a move of an alias came to. */
export interface MovedAlias {
  readonly version: ModelVersion;
  /** The number of the version that the alias named before; null when there was no such alias. */
  readonly previousVersion: string | null;
}

/**
 * Changes of registered models and versions that are there. Those of one model happen one after the other, on all platforms
 * together. Besides what each says, it throws NOT_FOUND when there is no such model or version, naming what there is,
 * UNAVAILABLE when too many changes wait, and MLflow's failures.
 */
export class ModelRegistry {
  readonly #options: RegistryOptions;
  readonly #lock: ModelLock;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#lock = new ModelLock(options.database);
  }

  /**
   * Has an alias name a version; the last of several calls wins. A version that was never tried is tried before, which takes as
   * long as loading it does. What the gate refused is not served: an alias goes there only by `force`.
   * @throws AsgardError CONFLICT with the gate's reason
   */
  async setAlias(name: string, move: AliasMove): Promise<MovedAlias> {
    const { models, mustServe } = this.#options;
    if (!move.force && mustServe !== undefined) await mustServe(await models.getVersion(name, move.version));
    return this.setAliasWithin(name, move, (set) => set());
  }

  /** `setAlias` in the middle of work during which nothing else changes the model. @returns what the work gives */
  setAliasWithin<T>(
    name: string,
    { alias, version, force }: AliasMove,
    work: (set: () => Promise<MovedAlias>) => Promise<T>,
  ): Promise<T> {
    const { mlflow, models } = this.#options;
    const set = async () => {
      const [model, target] = await Promise.all([models.get(name), models.getVersion(name, version)]);
      if (!force) await this.#mustNotBeRefused(target, alias);
      await mlflow.registry.setAlias(name, alias, version);
      return {
        version: { ...target, aliases: [...new Set([...target.aliases, alias])] },
        previousVersion: model.aliases.find((each) => each.alias === alias)?.version ?? null,
      };
    };
    return this.#change(name, () => work(set));
  }

  /** @returns what it named. @throws AsgardError NOT_FOUND for an alias that the model has not, with the nearest that it has */
  deleteAlias(name: string, alias: string): Promise<NamedVersion> {
    const { mlflow, models } = this.#options;
    return this.#change(name, async () => {
      const { aliases } = await models.get(name);
      const named = aliases.find((each) => each.alias === alias);
      if (named === undefined) throw noSuchAlias(name, alias, aliases);
      await mlflow.registry.deleteAlias(name, alias);
      return named;
    });
  }

  updateModel(name: string, { description, tags, removeTags }: RegistryChange): Promise<RegisteredModel> {
    const { mlflow, models } = this.#options;
    return this.#change(name, async () => {
      await models.get(name);
      if (description !== undefined) await mlflow.registry.describeModel(name, description);
      for (const key of removeTags) await mlflow.registry.deleteModelTag(name, key);
      for (const [key, value] of Object.entries(tags)) await mlflow.registry.setModelTag(name, key, value);
      return models.get(name);
    });
  }

  updateVersion(
    name: string,
    version: string,
    { description, tags, removeTags }: RegistryChange,
  ): Promise<ModelVersion> {
    const { mlflow, models } = this.#options;
    return this.#change(name, async () => {
      await models.getVersion(name, version);
      if (description !== undefined) await mlflow.registry.describeVersion(name, version, description);
      for (const key of removeTags) await mlflow.registry.deleteVersionTag(name, version, key);
      for (const [key, value] of Object.entries(tags)) await mlflow.registry.setVersionTag(name, version, key, value);
      return models.getVersion(name, version);
    });
  }

  /**
   * Its number is not given again, and its files stay with the run that logged them.
   * @returns the version as it was. @throws AsgardError CONFLICT while an alias names it
   */
  deleteVersion(name: string, version: string): Promise<ModelVersion> {
    const { database, mlflow, models } = this.#options;
    return this.#change(name, async () => {
      const found = await models.getVersion(name, version);
      const { aliases } = await models.get(name);
      mustBeUnnamed(
        `version ${version} of model ${name}`,
        aliases.filter((each) => each.version === version),
      );
      await gone(mlflow.registry.deleteVersion(name, version));
      await forget(database, { name, version });
      return found;
    });
  }

  /**
   * With all its versions; their files stay with the runs that logged them.
   * @returns the model as it was. @throws AsgardError CONFLICT while it has an alias
   */
  deleteModel(name: string): Promise<RegisteredModel> {
    const { database, mlflow, models } = this.#options;
    return this.#change(name, async () => {
      const found = await models.get(name);
      mustBeUnnamed(`model ${name}`, found.aliases);
      await gone(mlflow.registry.deleteModel(name));
      await forget(database, { name });
      return found;
    });
  }

  async #change<T>(name: string, work: () => Promise<T>): Promise<T> {
    // The lock's name must be text that the database takes; the look-up says what is wrong with any other.
    return isStorableText(name) ? this.#lock.hold(name, work) : work();
  }

  async #mustNotBeRefused(version: ModelVersion, alias: string): Promise<void> {
    const record = await servableVersion(this.#options.database, version);
    if (record === null || record.status === 'SERVABLE') return;
    const why =
      record.status === 'CHECKING' ? 'it is being checked; try again' : `it is not servable: ${record.refusal ?? ''}`;
    throw new AsgardError(
      'CONFLICT',
      `alias ${alias} was not moved to version ${version.version} of model ${version.name}: ${why}`,
    );
  }
}

function mustBeUnnamed(what: string, aliases: readonly NamedVersion[]): void {
  if (aliases.length === 0) return;
  const named = aliases.map(({ alias, version }) => `${alias} (version ${version})`).join(', ');
  throw new AsgardError('CONFLICT', `${what} was not deleted: aliases name it: ${named}. Move or delete those first`);
}

/** What another deleted meanwhile is gone all the same. */
async function gone(deletion: Promise<void>): Promise<void> {
  await deletion.catch((error: unknown) => {
    if (!hasCode(error, 'NOT_FOUND')) throw error;
  });
}

/** What the platform keeps about versions: another one may come to have the name and number. */
async function forget(
  database: PrismaClient,
  where: { readonly name: string; readonly version?: string },
): Promise<void> {
  await database.$transaction([
    database.servableVersion.deleteMany({ where }),
    database.jobModelVersion.deleteMany({ where }),
  ]);
}

import type { MlflowClient, NewModelVersion } from '../mlflow/client.ts';
import { allOf, filterString, filterStrings } from '../mlflow/filter.ts';
import { firstOfEach } from '../mlflow/first-of-each.ts';
import type { MlflowList } from '../mlflow/list.ts';
import { orNull, searchOrEach } from '../mlflow/upstream-error.ts';
import type { ModelVersion, RegisteredModel } from '../mlflow/wire.ts';
import { AsgardError } from '../platform/errors.ts';
import type { Page } from '../platform/page.ts';
import { isStorableText } from '../platform/text.ts';
import { noSuchAlias } from './alias.ts';
import {
  allVersionsList,
  conditionsOf,
  type ModelListOptions,
  modelList,
  type VersionFilter,
  versionList,
} from './lists.ts';
import { checkModelName } from './naming.ts';
import { nearestNames } from './nearest-names.ts';
import { registerVersion } from './registration.ts';
import { type RegistryRequest, registerRun } from './registry-request.ts';
import { type ModelVersionKey, modelVersionKey } from './version-key.ts';

/** MLflow's own limit for a page of registered models. */
const MAX_MODELS_PER_PAGE = 1_000;
const MAX_COUNT_PAGES = 100;
const MAX_NAMES_PER_SEARCH = 200;
const VERSIONS_PER_PAGE = 1_000;
/** Whoever looks for versions among many stops here rather than go on for ever. */
const MAX_VERSION_PAGES = 50;
/** How much of what exists an error names. */
const MAX_VERSIONS_NAMED = 10;
const MAX_NAMES_SUGGESTED = 3;

export interface PageOptions {
  /** At most this many items, from 1 (to 1,000 for models). */
  readonly first: number;
  /** The `nextPageToken` of the page before; INVALID_INPUT when it is none. */
  readonly after?: string | undefined;
}

/** Registered models and their versions, as MLflow has them. Errors are those of `MlflowClient`. */
export class ModelService {
  readonly #mlflow: MlflowClient;
  readonly #hasNoArtifactStore: () => Promise<boolean>;

  /** @param hasNoArtifactStore whether artifacts cannot be kept now; absent: they can */
  constructor(mlflow: MlflowClient, hasNoArtifactStore = async () => false) {
    this.#mlflow = mlflow;
    this.#hasNoArtifactStore = hasNoArtifactStore;
  }

  /** Registered models by name. */
  list({ first, after }: PageOptions): Promise<Page<RegisteredModel>> {
    return this.#mlflow.searchRegisteredModels({ maxResults: first, pageToken: after });
  }

  /** Registered models in an order, in parts. */
  modelList(options: ModelListOptions): MlflowList<RegisteredModel> {
    return modelList(this.#mlflow, options);
  }

  /** @throws AsgardError NOT_FOUND, naming models of a similar name */
  async get(name: string): Promise<RegisteredModel> {
    checkModelName(name);
    try {
      return await this.#mlflow.getRegisteredModel(name);
    } catch (error) {
      if (isRefusedName(error)) throw await this.#modelNotFound(name, error);
      throw error;
    }
  }

  /** Each name's model, in the order of `names`; null where there is none. One search for a hundred ordinary names. */
  async byNames(names: readonly string[]): Promise<(RegisteredModel | null)[]> {
    const wanted = [...new Set(names)];
    const models = await searchOrEach(
      () => this.#searchNames(wanted),
      () => Promise.all(wanted.map((name) => orNull(this.#mlflow.getRegisteredModel(name)))),
    );
    const found = new Map(models.map((model) => [model?.name, model]));
    return names.map((name) => found.get(name) ?? null);
  }

  /** A model's versions, the newest first; none of one that does not exist. @throws AsgardError NOT_FOUND of a name that none can have */
  async versions(name: string, { first, after }: PageOptions): Promise<Page<ModelVersion>> {
    checkModelName(name);
    const filter = filterString('name', [name]);
    return this.#mlflow.searchModelVersions({ filter, maxResults: first, pageToken: after });
  }

  /** `versions` in parts, those that a filter chooses. */
  versionList(name: string, filter?: VersionFilter): MlflowList<ModelVersion> {
    return versionList(this.#mlflow, name, filter);
  }

  /** Versions of all models, those that were registered last first, in parts. */
  allVersionsList(filter: Parameters<typeof allVersionsList>[1]): MlflowList<ModelVersion> {
    return allVersionsList(this.#mlflow, filter);
  }

  /**
   * Up to `limit` versions of each model that a filter chooses, the newest first, in the order of `names`; none of a model that does not exist.
   * One search for a hundred ordinary names; see `firstOfEach`.
   */
  newestVersionsOfEach(names: readonly string[], limit: number, filter: VersionFilter = {}): Promise<ModelVersion[][]> {
    return searchOrEach(
      () =>
        firstOfEach<ModelVersion>(
          names,
          limit,
          (version) => version.name,
          (wanted, maxResults) => this.#newestVersions(wanted, maxResults, filter),
        ),
      () =>
        Promise.all(
          names.map(async (name) => (await this.versionList(name, filter).search({ maxResults: limit })).items),
        ),
    );
  }

  /**
   * Each key's version, in the order of `keys`; null where there is none. One search for a hundred ordinary names, as long
   * as fewer than 1,000 versions lie between the lowest and the highest number asked for.
   */
  async versionsByKeys(keys: readonly ModelVersionKey[]): Promise<(ModelVersion | null)[]> {
    const possible = keys.filter(({ version }) => isVersionNumber(version));
    const versions = await searchOrEach(
      () => this.#searchVersions(possible),
      () => Promise.all(possible.map(({ name, version }) => orNull(this.#mlflow.getModelVersion(name, version)))),
    );
    const found = new Map(versions.map((version) => [version && keyText(version), version]));
    return keys.map((key) => found.get(keyText(key)) ?? null);
  }

  /** @throws AsgardError NOT_FOUND, naming the versions that exist, or models of a similar name */
  async getVersion(name: string, version: string): Promise<ModelVersion> {
    checkModelName(name);
    if (!isVersionNumber(version)) throw await this.#versionNotFound(name, version);
    try {
      return await this.#mlflow.getModelVersion(name, version);
    } catch (error) {
      if (isRefusedName(error)) throw await this.#versionNotFound(name, version, error);
      throw error;
    }
  }

  /** The version that an alias names. @throws AsgardError NOT_FOUND, naming the nearest aliases, or models of a similar name */
  async getVersionByAlias(name: string, alias: string): Promise<ModelVersion> {
    checkModelName(name);
    // No alias is such a text, and MLflow would fail on some.
    if (!isStorableText(alias) || alias === '') throw noSuchAlias(name, alias, (await this.get(name)).aliases);
    try {
      return await this.#mlflow.getModelVersionByAlias(name, alias);
    } catch (error) {
      if (isRefusedName(error)) throw noSuchAlias(name, alias, (await this.get(name)).aliases, error);
      throw error;
    }
  }

  /** The version of the highest number. @throws AsgardError NOT_FOUND when the model does not exist or has none */
  async latestVersion(name: string): Promise<ModelVersion> {
    const { items } = await this.versions(name, { first: 1 });
    const [newest] = items;
    if (newest !== undefined) return newest;
    await this.get(name);
    throw new AsgardError('NOT_FOUND', `model ${name} has no version yet: register one, or train it by a job`);
  }

  /**
   * Registers a model's new version, and its name when that is new. Safe under concurrency: each call gets a version of
   * its own. `source` is `models:/m-…`, `runs:/<run>/<path>` or an artifact location. Resolves when it is READY.
   * @throws AsgardError as `registerVersion` does
   */
  register(version: NewModelVersion): Promise<ModelVersion> {
    return registerVersion(this.#mlflow, version);
  }

  /** Registers the model that a run saved. @throws AsgardError as `registerRun` does; UNAVAILABLE while nothing is saved */
  async registerRun(request: RegistryRequest): Promise<ModelVersion> {
    if (await this.#hasNoArtifactStore()) {
      const why = 'AWS S3 credentials are not configured, so no model is saved';
      throw new AsgardError('UNAVAILABLE', `nothing can be registered: ${why}`);
    }
    return registerRun(this.#mlflow, request);
  }

  /** How many registered models there are; 100,000 at most. */
  async count(): Promise<number> {
    let count = 0;
    let pageToken: string | undefined;
    for (let page = 0; page < MAX_COUNT_PAGES; page += 1) {
      const { items, nextPageToken } = await this.#mlflow.searchRegisteredModels({
        maxResults: MAX_MODELS_PER_PAGE,
        pageToken,
      });
      count += items.length;
      if (nextPageToken === null) break;
      pageToken = nextPageToken;
    }
    return count;
  }

  async #searchNames(names: readonly string[]): Promise<(RegisteredModel | null)[]> {
    const pages = await Promise.all(
      filterStrings('name', names, MAX_NAMES_PER_SEARCH).map((filter) =>
        this.#mlflow.searchRegisteredModels({ filter, maxResults: MAX_NAMES_PER_SEARCH }),
      ),
    );
    return pages.flatMap((page) => page.items);
  }

  /** `nextPageToken` only says whether there are more. */
  async #newestVersions(
    names: readonly string[],
    maxResults: number,
    filter: VersionFilter,
  ): Promise<Page<ModelVersion>> {
    const conditions = conditionsOf(filter);
    const pages = await Promise.all(
      filterStrings('name', names, MAX_NAMES_PER_SEARCH).map((named) =>
        this.#mlflow.searchModelVersions({ filter: allOf([named, ...conditions]), maxResults }),
      ),
    );
    return {
      items: pages.flatMap(({ items }) => items),
      nextPageToken: pages.find((page) => page.nextPageToken !== null)?.nextPageToken ?? null,
    };
  }

  async #searchVersions(keys: readonly ModelVersionKey[]): Promise<(ModelVersion | null)[]> {
    const numbers = keys.map(({ version }) => Number(version));
    const range = `version_number >= ${Math.min(...numbers)} AND version_number <= ${Math.max(...numbers)}`;
    const names = filterStrings('name', [...new Set(keys.map(({ name }) => name))], MAX_NAMES_PER_SEARCH);
    const missing = new Set(keys.map(keyText));
    const found: ModelVersion[] = [];
    await Promise.all(
      names.map(async (filter) => {
        for await (const versions of this.#versionPages(`${filter} AND ${range}`)) {
          found.push(...versions);
          for (const version of versions) missing.delete(keyText(version));
          if (missing.size === 0) return;
        }
      }),
    );
    return found;
  }

  async *#versionPages(filter: string): AsyncGenerator<ModelVersion[]> {
    let pageToken: string | undefined;
    for (let page = 0; page < MAX_VERSION_PAGES; page += 1) {
      const { items, nextPageToken } = await this.#mlflow.searchModelVersions({
        filter,
        maxResults: VERSIONS_PER_PAGE,
        pageToken,
      });
      yield items;
      if (nextPageToken === null) return;
      pageToken = nextPageToken;
    }
  }

  async #modelNotFound(name: string, cause: unknown): Promise<AsgardError> {
    const { items } = await this.list({ first: MAX_MODELS_PER_PAGE });
    const nearest = nearestNames(
      name,
      items.map((model) => model.name),
      MAX_NAMES_SUGGESTED,
    );
    const hint = nearest.length === 0 ? '' : `; similar names: ${nearest.join(', ')}`;
    return new AsgardError('NOT_FOUND', `there is no model ${name}${hint}`, { cause });
  }

  async #versionNotFound(name: string, version: string, cause?: unknown): Promise<AsgardError> {
    const { items, nextPageToken } = await this.versions(name, { first: MAX_VERSIONS_NAMED });
    if (items.length === 0) await this.get(name);
    const existing = items.map((item) => item.version).join(', ');
    const hint = items.length === 0 ? 'it has none yet' : `it has ${existing}${nextPageToken === null ? '' : ', …'}`;
    return new AsgardError('NOT_FOUND', `model ${name} has no version ${version}: ${hint}`, { cause });
  }
}

/** MLflow keeps the number in 32 bits, and fails on a larger one. */
function isVersionNumber(version: string): boolean {
  return /^[1-9]\d{0,8}$/.test(version);
}

function keyText({ name, version }: ModelVersionKey): string {
  return modelVersionKey(name, version);
}

/** MLflow answers a name that could never be registered (`a/b`) as an invalid parameter; to a reader it is not there. */
function isRefusedName(error: unknown): boolean {
  return error instanceof AsgardError && (error.code === 'NOT_FOUND' || error.code === 'INVALID_INPUT');
}

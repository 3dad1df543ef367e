import type { MlflowClient } from '../mlflow/client.ts';
import { allOf, containsFilter, filterString, tagFilters } from '../mlflow/filter.ts';
import type { MlflowList } from '../mlflow/list.ts';
import type { ModelVersion, RegisteredModel } from '../mlflow/wire.ts';
import { modelVersionKey } from './version-key.ts';

/** Which models a list holds, and in which order. */
export interface ModelListOptions {
  /** Part of the name, in any case; absent or empty means all. */
  readonly search?: string | undefined;
  /** Each with this value, as `tagFilters` says. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  readonly by: 'name' | 'updatedAt';
  readonly isAscending: boolean;
}

/** Which versions a list holds. */
export interface VersionFilter {
  /** Each with this value, as `tagFilters` says. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** Only those that this run logged. */
  readonly runId?: string | undefined;
  /** Only those that were tried and work, or only those that were refused, as their tag in MLflow says. */
  readonly isServable?: boolean | undefined;
}

/** Registered models in an order; of those that changed in one millisecond the name decides. */
export function modelList(
  mlflow: MlflowClient,
  { search, tags, by, isAscending }: ModelListOptions,
): MlflowList<RegisteredModel> {
  const direction = isAscending ? 'ASC' : 'DESC';
  const orderBy = by === 'name' ? [`name ${direction}`] : [`last_updated_timestamp ${direction}`, 'name ASC'];
  const filter = allOf([search ? containsFilter('name', search) : undefined, ...tagFilters(tags)]);
  return {
    identity: ['models', search ?? '', by, direction, ...Object.entries(tags ?? {})],
    // A model that changes is elsewhere in the list.
    idOf: ({ name, updatedAt }) => (by === 'name' ? name : `${updatedAt.getTime()} ${name}`),
    search: (page) => mlflow.searchRegisteredModels({ ...page, orderBy, filter }),
  };
}

/** A model's versions, the newest first. */
export function versionList(mlflow: MlflowClient, name: string, filter: VersionFilter = {}): MlflowList<ModelVersion> {
  const conditions = [filterString('name', [name]), ...conditionsOf(filter)];
  return {
    identity: ['versions', name, ...identityOf(filter)],
    idOf: ({ version }) => version,
    search: ({ from, ...page }) => mlflow.searchModelVersions({ ...page, filter: allOf([...conditions, from]) }),
    keyset: {
      keyOf: ({ version }) => Number(version),
      filterFrom: (version) => `version_number <= ${version}`,
      isAfter: ({ version }, key) => Number(version) < key,
    },
  };
}

/** Versions of all models whose name contains `search`, those that were registered last first. */
export function allVersionsList(
  mlflow: MlflowClient,
  { search, ...filter }: VersionFilter & { readonly search?: string | undefined },
): MlflowList<ModelVersion> {
  const conditions = allOf([search ? containsFilter('name', search) : undefined, ...conditionsOf(filter)]);
  const orderBy = ['creation_timestamp DESC', 'name ASC', 'version_number DESC'];
  return {
    identity: ['all versions', search ?? '', ...identityOf(filter)],
    idOf: ({ name, version }) => modelVersionKey(name, version),
    search: (page) => mlflow.searchModelVersions({ ...page, orderBy, filter: conditions }),
  };
}

/** A filter in MLflow's words: conditions that must all hold. */
export function conditionsOf({ tags, runId, isServable }: VersionFilter): string[] {
  return [
    ...(runId === undefined ? [] : [filterString('run_id', [runId])]),
    ...(isServable === undefined ? [] : tagFilters({ 'asgard.servable': String(isServable) })),
    ...tagFilters(tags),
  ];
}

function identityOf({ tags, runId, isServable }: VersionFilter): unknown[] {
  return [runId ?? '', isServable ?? '', ...Object.entries(tags ?? {})];
}

import type { z } from 'zod';
import type { AppliedFeatureService, FeatureService } from '../features/feature-services.ts';
import {
  type AppliedFeatureView,
  type FeatureView,
  type FeatureViewPlan,
  sourceTable,
} from '../features/feature-view.ts';
import type { RegistrySummary } from '../features/registry.ts';
import { assertNever } from '../platform/errors.ts';
import { naiveTime } from './present.ts';
import type {
  appliedFeatureService,
  appliedFeatureView,
  deletedFeature,
  featureServiceDetails,
  featureStoreStatus,
  featureViewDetails,
  featureViewPlan,
} from './wire-feature-answers.ts';

const MAX_NAMES = 1000;

/** The guide's answer to a feature view that was created. */
export function presentAppliedView({ action, view }: AppliedFeatureView): z.infer<typeof appliedFeatureView> {
  return {
    ...summaryOf(view),
    status: action,
    message: `the feature view "${view.name}" ${outcome(action)}`,
  };
}

export function presentFeatureView(view: FeatureView): z.infer<typeof featureViewDetails> {
  const { features, source, ttlSeconds, description, owner, tags, version } = view;
  return {
    ...summaryOf(view),
    fields: features,
    timestamp_field: source.timestampField,
    created_timestamp_column: source.createdTimestampColumn,
    ttl_seconds: ttlSeconds,
    description,
    owner,
    tags,
    version,
    updated_at: naiveTime(view.updatedAt),
  };
}

export function presentPlan({
  action,
  changes,
  view,
  table,
  sample,
}: FeatureViewPlan): z.infer<typeof featureViewPlan> {
  return {
    name: view.name,
    action,
    message: `nothing was written; the feature view "${view.name}" ${prospect(action)}`,
    changes,
    source_table: table.name,
    snapshot_id: table.snapshotId,
    columns: table.columns,
    sampled_rows: sample.rows,
    null_rates: Object.fromEntries(sample.nullRates.map(({ column, rate }) => [column, rate])),
    repeated_keys: sample.repeatedKeys,
    rows: sample.firstRows.map((row) => Object.fromEntries(sample.columns.map((name, index) => [name, row[index]]))),
  };
}

export function presentAppliedService(applied: AppliedFeatureService): z.infer<typeof appliedFeatureService> {
  const { action, service } = applied;
  return {
    ...serviceSummaryOf(service),
    status: action,
    message: `the feature service "${service.name}" ${outcome(action)}`,
  };
}

export function presentFeatureService(service: FeatureService): z.infer<typeof featureServiceDetails> {
  const { description, owner, tags, updatedAt } = service;
  return { ...serviceSummaryOf(service), description, owner, tags, updated_at: naiveTime(updatedAt) };
}

/** @param what `feature view` or `feature service` */
export function presentDeleted(what: string, name: string): z.infer<typeof deletedFeature> {
  return { name, status: 'deleted', message: `the ${what} "${name}" was deleted` };
}

export function presentStoreStatus({ views, entities, services }: RegistrySummary): z.infer<typeof featureStoreStatus> {
  return {
    registry_type: 'sql',
    online_store_type: 'postgres',
    offline_store_type: 'iceberg',
    num_feature_views: views.length,
    num_entities: entities.length,
    num_feature_services: services.length,
    feature_views: views.slice(0, MAX_NAMES),
    entities: entities.slice(0, MAX_NAMES),
  };
}

function summaryOf(view: FeatureView) {
  return {
    name: view.name,
    entities: view.entities,
    features: view.features.map(({ name }) => name),
    source_table: sourceTable(view.source),
    online_enabled: view.online,
    created_at: naiveTime(view.createdAt),
  };
}

function serviceSummaryOf({ name, views, createdAt }: FeatureService) {
  return {
    name,
    features: views.flatMap((view) => view.features.map((feature) => `${view.name}:${feature}`)),
    feature_views: views.map((view) => view.name),
    created_at: naiveTime(createdAt),
  };
}

type Action = AppliedFeatureView['action'];

function outcome(action: Action): string {
  switch (action) {
    case 'created':
      return 'was created';
    case 'changed':
      return 'was changed';
    case 'unchanged':
      return 'is so already';
    default:
      return assertNever(action);
  }
}

function prospect(action: Action): string {
  return action === 'unchanged' ? 'is so already' : `would be ${action}`;
}

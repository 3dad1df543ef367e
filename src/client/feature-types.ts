import type { Success } from './errors.ts';
import type {
  ApplyFeatureServiceMutation,
  ApplyFeatureViewMutation,
  DeleteTableMutation,
  EntitiesQuery,
  FeatureServiceFieldsFragment,
  FeatureViewFieldsFragment,
  FeatureViewPlanQuery,
  FeatureViewQuery,
  MaterializationFieldsFragment,
  OnlineFeaturesQuery,
  TableFieldsFragment,
  TableQuery,
} from './generated/graphql.ts';
import type { PageOptions } from './types.ts';

/* What `FeatureClient` takes and gives. */

export type Table = TableFieldsFragment;
/** With its newest snapshots. */
export type FoundTable = NonNullable<TableQuery['icebergTable']>;
export type DeletedTable = Success<DeleteTableMutation['deleteIcebergTable']>;
export type FeatureView = FeatureViewFieldsFragment;
/** With how far its online values have come. */
export type FoundFeatureView = NonNullable<FeatureViewQuery['featureView']>;
export type FeatureViewPlan = Success<FeatureViewPlanQuery['featureViewPlan']>;
export type AppliedFeatureView = Success<ApplyFeatureViewMutation['applyFeatureView']>;
export type FeatureService = FeatureServiceFieldsFragment;
export type AppliedFeatureService = Success<ApplyFeatureServiceMutation['applyFeatureService']>;
export type Entity = EntitiesQuery['entities']['edges'][number]['node'];
export type Materialization = MaterializationFieldsFragment;
export type OnlineFeatures = OnlineFeaturesQuery['onlineFeatures'];

/** A row of a table: JSON values by column, as `IcebergTable.preview` of the API has them. */
export type TableRow = Readonly<Record<string, unknown>>;

export interface NamedListOptions extends PageOptions {
  /** Part of the name, in any case. */
  readonly search?: string;
}

export interface TableRowsOptions {
  /** How many at most, 0 to 1,000; 10 when absent. */
  readonly rows?: number;
  /** Of which snapshot; of the current one when absent. */
  readonly snapshotId?: string;
}

export interface MaterializationListOptions {
  /** Only those of this view. */
  readonly featureViewName?: string;
  /** How many, 1 to 100; 20 when absent. */
  readonly first?: number;
}

import type { Success } from './errors.ts';
import type {
  ComparisonFieldsFragment,
  DeleteModelAliasMutation,
  DeploymentFieldsFragment,
  ModelLineageQuery,
  ModelVersionFilter,
  SetModelAliasMutation,
} from './generated/graphql.ts';
import type { PageOptions } from './types.ts';

/* What `RegistryClient` takes and gives. */

export type MovedAlias = Success<SetModelAliasMutation['setModelAlias']>;
export type DeletedAlias = Success<DeleteModelAliasMutation['deleteModelAlias']>;
export type ModelLineage = NonNullable<ModelLineageQuery['modelVersion']>;
export type Comparison = ComparisonFieldsFragment;
/** Its id is that of its job. */
export type Deployment = DeploymentFieldsFragment;

export interface VersionListOptions extends PageOptions {
  /** Part of the model's name, in any case. */
  readonly search?: string;
  readonly filter?: ModelVersionFilter;
}

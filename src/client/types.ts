import type { Success } from './errors.ts';
import type {
  CancelTrainingJobMutation,
  ExperimentFieldsFragment,
  ExperimentOrder,
  JobEventFilter,
  JobFieldsFragment,
  JobScriptQuery,
  JobStatusChangesSubscription,
  ModelFieldsFragment,
  ModelOrder,
  ModelVersionFieldsFragment,
  ModelVersionQuery,
  PlatformStatusQuery,
  PredictMutation,
  RunFieldsFragment,
  RunFilter,
  RunOrder,
  RunQuery,
  ServedModelFieldsFragment,
  SubmitTrainingJobMutation,
  TagInput,
  TrainingJobFilter,
  TrainingJobOrder,
  TrainingJobQuery,
} from './generated/graphql.ts';
import type { JobEvent } from './job-event-stream.ts';

/* What `AsgardClient` takes and gives. */

export type LogLine = Extract<JobEvent, { readonly __typename: 'LogLine' }>;
export type JobStatusChange = JobStatusChangesSubscription['jobStatusChanges'][number];
export type SubmittedJob = Success<SubmitTrainingJobMutation['submitTrainingJob']>;
export type CancelledJob = Success<CancelTrainingJobMutation['cancelTrainingJob']>;
export type Prediction = Success<PredictMutation['predict']>;
export type Job = NonNullable<TrainingJobQuery['trainingJob']>;
export type JobScript = NonNullable<JobScriptQuery['trainingJob']>;
export type ListedJob = JobFieldsFragment;
export type Experiment = ExperimentFieldsFragment;
export type Run = RunFieldsFragment;
export type FoundRun = NonNullable<RunQuery['run']>;
export type Model = ModelFieldsFragment;
export type ModelVersion = ModelVersionFieldsFragment;
export type FoundModelVersion = NonNullable<ModelVersionQuery['modelVersion']>;
export type ServedModel = ServedModelFieldsFragment;
export type PlatformStatus = PlatformStatusQuery['platformStatus'];

export interface PredictOptions {
  /** Gives up: the call throws its reason. */
  readonly signal?: AbortSignal;
  /** How many times to ask again while it is UNAVAILABLE; 3 when absent. */
  readonly retries?: number;
}

export interface PageOptions {
  /** How many items, 1 to 100; 20 for one page when absent, 100 at a time when all are iterated. */
  readonly first?: number;
  readonly after?: string;
}

export interface JobListOptions extends PageOptions {
  readonly filter?: TrainingJobFilter;
  readonly orderBy?: TrainingJobOrder;
  /** Instead of `first`: so many from the end, or before `before`. */
  readonly last?: number;
  readonly before?: string;
}

export interface JobEventSearchOptions {
  /** How many events, 1 to 1,000; 20 for one page when absent, 100 at a time when all are iterated. */
  readonly first?: number;
  /** The number of an event, as text: only what follows it. */
  readonly after?: string;
  readonly filter?: JobEventFilter;
  /** Instead of `first`: so many from the end, or before `before`. */
  readonly last?: number;
  readonly before?: string;
}

export interface ExperimentListOptions extends PageOptions {
  /** Part of the name, in any case. */
  readonly search?: string;
  readonly orderBy?: ExperimentOrder;
}

export interface RunListOptions extends PageOptions {
  readonly filter?: RunFilter;
  readonly orderBy?: RunOrder;
}

export interface ModelListOptions extends PageOptions {
  /** Part of the name, in any case. */
  readonly search?: string;
  /** Only models with all of these tags, at most 10. */
  readonly tags?: readonly TagInput[];
  readonly orderBy?: ModelOrder;
}

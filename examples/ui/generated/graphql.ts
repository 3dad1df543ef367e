/* eslint-disable */
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { TypedDocumentNode as DocumentNode } from '@graphql-typed-document-node/core';
/** A variable that a script shall see. */
export type EnvironmentVariableInput = {
  /** Its name: letters, digits and `_`, not beginning with a digit. */
  readonly name: string;
  /** The text that the script shall see; it may hold quotes and line feeds. */
  readonly value: string;
};

/** What the reads of the feature store of a job shall be held to, so that they give the same rows again. */
export type FeaturePinsInput = {
  /** The time as of which tables are read that `snapshots` does not name; absent: as they are. */
  readonly asOf?: string | null | undefined;
  /** Tables that are read at one snapshot, each once, at most 100; `featureSnapshots` of a job gives its own. */
  readonly snapshots?: ReadonlyArray<FeatureSnapshotInput> | null | undefined;
};

/** A table that is to be read at one of its snapshots. */
export type FeatureSnapshotInput = {
  /** The id of the snapshot, a whole number as text. */
  readonly snapshotId: string;
  /** The table, with catalog and schema: `iceberg.gold.customer_metrics`. */
  readonly table: string;
};

/** Where a job stands. The last five are written once and stay. */
export type JobStatus =
  /** It was ended on request, or because the platform was shut down. */
  | 'CANCELLED'
  /** Its script ended with exit code 0, and its model, if it saved one, is registered. */
  | 'COMPLETED'
  /** Its environment could not be made, or its script ended badly. */
  | 'FAILED'
  /** Its worker or its process went away without a word: what became of it cannot be known. */
  | 'LOST'
  /** A worker has it and makes its environment. */
  | 'PREPARING'
  /** It waits for a worker, or for its next attempt; it can be cancelled at once. */
  | 'QUEUED'
  /** Its environment is ready and its script has been started. */
  | 'RUNNING'
  /** It did not end within `timeoutSeconds` and was ended. */
  | 'TIMED_OUT';

/** Where a log line comes from. */
export type LogStream =
  /** The platform, about the job. */
  | 'PLATFORM'
  /** What the script printed to its standard error. */
  | 'STDERR'
  /** What the script printed to its standard output. */
  | 'STDOUT';

/** Which failures of a job are tried again. A cancelled one never is. */
export type RetryOn =
  /** Those of the script too: it exited with another code than 0, was killed, or ran out of time. */
  | 'ANY'
  /** Those of what a script stands on: its machine or runner was lost, the script could not be started, MLflow, the database or a package index did not answer, the disk was full. */
  | 'INFRASTRUCTURE';

/** A Python training script and how to run it. */
export type SubmitTrainingJobInput = {
  /** Variables that the script sees, each name once, at most 200; the platform’s own cannot be replaced. */
  readonly environmentVariables?: ReadonlyArray<EnvironmentVariableInput> | null | undefined;
  /** The MLflow experiment that its runs go to. */
  readonly experimentName: string;
  /** What its reads of the feature store are held to; absent: it reads what is current. */
  readonly features?: FeaturePinsInput | null | undefined;
  /** How many seconds the script may take to end when it is asked to, before it is killed: 0 to 60; 10 when absent. */
  readonly graceSeconds?: number | null | undefined;
  /** A text of your own choice, 1 to 255 letters, digits and signs of ASCII. Handing in with a key that a job has gives that job as it is now, whatever else is handed in: so a hand-in whose answer was lost can be repeated. */
  readonly idempotencyKey?: string | null | undefined;
  /** The registered model that its model becomes a version of. */
  readonly modelName: string;
  /** Jobs of a higher one start first, of equal ones the oldest: -100 to 100; 0 when absent. */
  readonly priority?: number | null | undefined;
  /** Python packages beside the ones that are always there, as PEP 508 names them. */
  readonly requirements?: ReadonlyArray<string> | null | undefined;
  /** How many attempts may follow the first, each with the whole time again: 0 to 10; 0 when absent. The pauses between them double from 2 s on. */
  readonly retries?: number | null | undefined;
  /** Which failures are tried again; INFRASTRUCTURE when absent. A cancelled job never is. */
  readonly retryOn?: RetryOn | null | undefined;
  /** The source text of the script, at most 1 MiB in UTF-8. */
  readonly script: string;
  /** The file name of the script, without a folder. */
  readonly scriptName: string;
  /** Tags of the job, which its runs and model version get too; each key once, at most 100. */
  readonly tags?: ReadonlyArray<TagInput> | null | undefined;
  /** How long the job may take, 60 to 3600; 300 when absent. */
  readonly timeoutSeconds?: number | null | undefined;
};

/** A tag to give a thing, or to find things by. */
export type TagInput = {
  /** What kind of tag: letters, digits and `_-.:/` and blanks; at most 250 characters. */
  readonly key: string;
  /** Any text of at most 5000 characters. */
  readonly value: string;
};

export type RecentJobsQueryVariables = Exact<{ [key: string]: never; }>;


export type RecentJobsQuery = { readonly trainingJobs: { readonly edges: ReadonlyArray<{ readonly node: { readonly id: string, readonly scriptName: string, readonly status: JobStatus, readonly createdAt: string } }> } };

export type SubmitJobMutationVariables = Exact<{
  input: SubmitTrainingJobInput;
}>;


export type SubmitJobMutation = { readonly submitTrainingJob:
    | { readonly __typename: 'InvalidInputError', readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'QueueFullError', readonly message: string }
    | { readonly __typename: 'TrainingJob', readonly id: string, readonly scriptName: string, readonly status: JobStatus, readonly createdAt: string }
    | { readonly __typename: 'UnavailableError', readonly message: string }
   };

export type CancelJobMutationVariables = Exact<{
  id: string;
}>;


export type CancelJobMutation = { readonly cancelTrainingJob:
    | { readonly __typename: 'ConflictError', readonly message: string }
    | { readonly __typename: 'InvalidInputError', readonly message: string }
    | { readonly __typename: 'NotFoundError', readonly message: string }
    | { readonly __typename: 'TrainingJob', readonly id: string, readonly status: JobStatus }
    | { readonly __typename: 'UnavailableError', readonly message: string }
   };

export type JobEventsSubscriptionVariables = Exact<{
  id: string;
  after: number;
}>;


export type JobEventsSubscription = { readonly jobEvents: ReadonlyArray<
    | { readonly __typename: 'AttemptEnded', readonly sequence: number }
    | { readonly __typename: 'EnvironmentLine', readonly text: string, readonly sequence: number }
    | { readonly __typename: 'JobEnded', readonly status: JobStatus, readonly exitCode: number | null, readonly lines: number, readonly sequence: number }
    | { readonly __typename: 'LogLine', readonly stream: LogStream, readonly text: string, readonly sequence: number }
    | { readonly __typename: 'LogLines', readonly sequence: number }
    | { readonly __typename: 'MetricLogged', readonly sequence: number }
    | { readonly __typename: 'ModelChecked', readonly sequence: number }
    | { readonly __typename: 'ModelRegistered', readonly sequence: number }
    | { readonly __typename: 'OutputOmitted', readonly lines: number, readonly sequence: number }
    | { readonly __typename: 'StatusChanged', readonly status: JobStatus, readonly reason: string | null, readonly sequence: number }
  > };


export const RecentJobsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"RecentJobs"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"trainingJobs"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"IntValue","value":"8"}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"edges"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"node"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"scriptName"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}}]}}]}}]}}]}}]} as unknown as DocumentNode<RecentJobsQuery, RecentJobsQueryVariables>;
export const SubmitJobDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"SubmitJob"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"SubmitTrainingJobInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"submitTrainingJob"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"__typename"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"TrainingJob"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"scriptName"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}}]}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"InvalidInputError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"issues"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"path"}},{"kind":"Field","name":{"kind":"Name","value":"message"}}]}}]}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"QueueFullError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"message"}}]}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"UnavailableError"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"message"}}]}}]}}]}}]} as unknown as DocumentNode<SubmitJobMutation, SubmitJobMutationVariables>;
export const CancelJobDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"CancelJob"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"cancelTrainingJob"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"__typename"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"TrainingJob"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}}]}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Error"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"message"}}]}}]}}]}}]} as unknown as DocumentNode<CancelJobMutation, CancelJobMutationVariables>;
export const JobEventsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"subscription","name":{"kind":"Name","value":"JobEvents"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"jobEvents"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"__typename"}},{"kind":"Field","name":{"kind":"Name","value":"sequence"}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"StatusChanged"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"reason"}}]}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"EnvironmentLine"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"text"}}]}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"LogLine"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"stream"}},{"kind":"Field","name":{"kind":"Name","value":"text"}}]}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"OutputOmitted"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"lines"}}]}},{"kind":"InlineFragment","typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"JobEnded"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"exitCode"}},{"kind":"Field","name":{"kind":"Name","value":"lines"}}]}}]}}]}}]} as unknown as DocumentNode<JobEventsSubscription, JobEventsSubscriptionVariables>;
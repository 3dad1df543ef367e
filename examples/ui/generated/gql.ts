/* eslint-disable */
import * as types from './graphql.ts';
import type { TypedDocumentNode as DocumentNode } from '@graphql-typed-document-node/core';

/**
 * Map of all GraphQL operations in the project.
 *
 * This map has several performance disadvantages:
 * 1. It is not tree-shakeable, so it will include all operations in the project.
 * 2. It is not minifiable, so the string of a GraphQL query will be multiple times inside the bundle.
 * 3. It does not support dead code elimination, so it will add unused operations.
 *
 * Therefore it is highly recommended to use the babel or swc plugin for production.
 * Learn more about it here: https://the-guild.dev/graphql/codegen/plugins/presets/preset-client#reducing-bundle-size
 */
type Documents = {
    "query RecentJobs {\n  trainingJobs(first: 8) {\n    edges {\n      node {\n        id\n        scriptName\n        status\n        createdAt\n      }\n    }\n  }\n}\n\nmutation SubmitJob($input: SubmitTrainingJobInput!) {\n  submitTrainingJob(input: $input) {\n    __typename\n    ... on TrainingJob {\n      id\n      scriptName\n      status\n      createdAt\n    }\n    ... on InvalidInputError {\n      message\n      issues {\n        path\n        message\n      }\n    }\n    ... on QueueFullError {\n      message\n    }\n    ... on UnavailableError {\n      message\n    }\n  }\n}\n\nmutation CancelJob($id: ID!) {\n  cancelTrainingJob(id: $id) {\n    __typename\n    ... on TrainingJob {\n      id\n      status\n    }\n    ... on Error {\n      message\n    }\n  }\n}\n\nsubscription JobEvents($id: ID!, $after: Int!) {\n  jobEvents(id: $id, after: $after) {\n    __typename\n    sequence\n    ... on StatusChanged {\n      status\n      reason\n    }\n    ... on EnvironmentLine {\n      text\n    }\n    ... on LogLine {\n      stream\n      text\n    }\n    ... on OutputOmitted {\n      lines\n    }\n    ... on JobEnded {\n      status\n      exitCode\n      lines\n    }\n  }\n}": typeof types.RecentJobsDocument,
};
const documents: Documents = {
    "query RecentJobs {\n  trainingJobs(first: 8) {\n    edges {\n      node {\n        id\n        scriptName\n        status\n        createdAt\n      }\n    }\n  }\n}\n\nmutation SubmitJob($input: SubmitTrainingJobInput!) {\n  submitTrainingJob(input: $input) {\n    __typename\n    ... on TrainingJob {\n      id\n      scriptName\n      status\n      createdAt\n    }\n    ... on InvalidInputError {\n      message\n      issues {\n        path\n        message\n      }\n    }\n    ... on QueueFullError {\n      message\n    }\n    ... on UnavailableError {\n      message\n    }\n  }\n}\n\nmutation CancelJob($id: ID!) {\n  cancelTrainingJob(id: $id) {\n    __typename\n    ... on TrainingJob {\n      id\n      status\n    }\n    ... on Error {\n      message\n    }\n  }\n}\n\nsubscription JobEvents($id: ID!, $after: Int!) {\n  jobEvents(id: $id, after: $after) {\n    __typename\n    sequence\n    ... on StatusChanged {\n      status\n      reason\n    }\n    ... on EnvironmentLine {\n      text\n    }\n    ... on LogLine {\n      stream\n      text\n    }\n    ... on OutputOmitted {\n      lines\n    }\n    ... on JobEnded {\n      status\n      exitCode\n      lines\n    }\n  }\n}": types.RecentJobsDocument,
};

/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 *
 *
 * @example
 * ```ts
 * const query = graphql(`query GetUser($id: ID!) { user(id: $id) { name } }`);
 * ```
 *
 * The query argument is unknown!
 * Please regenerate the types.
 */
export function graphql(source: string): unknown;

/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "query RecentJobs {\n  trainingJobs(first: 8) {\n    edges {\n      node {\n        id\n        scriptName\n        status\n        createdAt\n      }\n    }\n  }\n}\n\nmutation SubmitJob($input: SubmitTrainingJobInput!) {\n  submitTrainingJob(input: $input) {\n    __typename\n    ... on TrainingJob {\n      id\n      scriptName\n      status\n      createdAt\n    }\n    ... on InvalidInputError {\n      message\n      issues {\n        path\n        message\n      }\n    }\n    ... on QueueFullError {\n      message\n    }\n    ... on UnavailableError {\n      message\n    }\n  }\n}\n\nmutation CancelJob($id: ID!) {\n  cancelTrainingJob(id: $id) {\n    __typename\n    ... on TrainingJob {\n      id\n      status\n    }\n    ... on Error {\n      message\n    }\n  }\n}\n\nsubscription JobEvents($id: ID!, $after: Int!) {\n  jobEvents(id: $id, after: $after) {\n    __typename\n    sequence\n    ... on StatusChanged {\n      status\n      reason\n    }\n    ... on EnvironmentLine {\n      text\n    }\n    ... on LogLine {\n      stream\n      text\n    }\n    ... on OutputOmitted {\n      lines\n    }\n    ... on JobEnded {\n      status\n      exitCode\n      lines\n    }\n  }\n}"): (typeof documents)["query RecentJobs {\n  trainingJobs(first: 8) {\n    edges {\n      node {\n        id\n        scriptName\n        status\n        createdAt\n      }\n    }\n  }\n}\n\nmutation SubmitJob($input: SubmitTrainingJobInput!) {\n  submitTrainingJob(input: $input) {\n    __typename\n    ... on TrainingJob {\n      id\n      scriptName\n      status\n      createdAt\n    }\n    ... on InvalidInputError {\n      message\n      issues {\n        path\n        message\n      }\n    }\n    ... on QueueFullError {\n      message\n    }\n    ... on UnavailableError {\n      message\n    }\n  }\n}\n\nmutation CancelJob($id: ID!) {\n  cancelTrainingJob(id: $id) {\n    __typename\n    ... on TrainingJob {\n      id\n      status\n    }\n    ... on Error {\n      message\n    }\n  }\n}\n\nsubscription JobEvents($id: ID!, $after: Int!) {\n  jobEvents(id: $id, after: $after) {\n    __typename\n    sequence\n    ... on StatusChanged {\n      status\n      reason\n    }\n    ... on EnvironmentLine {\n      text\n    }\n    ... on LogLine {\n      stream\n      text\n    }\n    ... on OutputOmitted {\n      lines\n    }\n    ... on JobEnded {\n      status\n      exitCode\n      lines\n    }\n  }\n}"];

export function graphql(source: string) {
  return (documents as any)[source] ?? {};
}

export type DocumentType<TDocumentNode extends DocumentNode<any, any>> = TDocumentNode extends DocumentNode<  infer TType,  any>  ? TType  : never;
import type { GraphQLSchema } from 'graphql';
import { builder } from './builder.ts';
import './types/scalars.ts';
import './types/platform-status.ts';
import './types/job-event.ts';
import './types/run.ts';
import './types/experiment.ts';
import './types/model-version.ts';
import './types/model-check.ts';
import './types/compilation.ts';
import './types/served-model.ts';
import './types/model.ts';
import './types/model-aliases.ts';
import './types/model-changes.ts';
import './types/register-model.ts';
import './types/job.ts';
import './types/job-event-connection.ts';
import './types/job-list.ts';
import './types/job-links.ts';
import './types/feature-pins.ts';
import './types/feature-read.ts';
import './types/feature-view-use.ts';
import './types/environment.ts';
import './types/feature-view.ts';
import './types/feature-view-plan.ts';
import './types/apply-feature-view.ts';
import './types/feature-service.ts';
import './types/apply-feature-service.ts';
import './types/entity.ts';
import './types/submit-training-job.ts';
import './types/deployment.ts';
import './types/compare.ts';
import './types/cancel-training-job.ts';
import './types/delete-iceberg-table.ts';
import './types/job-subscriptions.ts';
import './types/prediction.ts';
import './types/iceberg-table.ts';
import './types/online-features.ts';
import './types/materialization.ts';
import './types/feature-view-materialization.ts';

let schema: GraphQLSchema | undefined;

/** The executable schema. It is built once, from code alone: neither a database nor a server is needed. */
export function graphqlSchema(): GraphQLSchema {
  schema ??= builder.toSchema();
  return schema;
}

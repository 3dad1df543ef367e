import { z } from 'zod';
import { type PredictionRequest, predictionRequest, VERSION_REFERENCE } from '../inference/prediction-request.ts';
import { type RegistryRequest, registryRequest } from '../models/registry-request.ts';
import { knownFields } from './known-fields.ts';
import { components } from './wire-answers.ts';

/*
 * What the API takes, by the wire's names, made of the domain's own schemas: these parse, and the OpenAPI document is made
 * from them. Unknown fields that are no misspelt ones are ignored, and `null` counts as absent.
 */

/** The wire's names of the domain's fields, by their paths, for errors that the domain finds. */
export const WIRE_NAMES: ReadonlyMap<string, string> = new Map([
  ['scriptName', 'script_name'],
  ['script', 'script_content'],
  ['experimentName', 'experiment_name'],
  ['modelName', 'model_name'],
  ['environmentVars', 'environment_vars'],
  ['timeoutSeconds', 'timeout'],
  ['graceSeconds', 'grace_seconds'],
  ['retryOn', 'retry_on'],
  ['idempotencyKey', 'idempotency_key'],
  ['modelVersion', 'model_version'],
  ['returnProbabilities', 'return_probabilities'],
  ['maxFeatureAgeSeconds', 'max_feature_age_seconds'],
  ['runId', 'run_id'],
  ['featureService', 'feature_service'],
  ['ttlDays', 'ttl_days'],
  ['ttlSeconds', 'ttl_seconds'],
  ['source.tableName', 'table_name'],
  ['source.timestampField', 'timestamp_field'],
  ['source.createdTimestampColumn', 'created_timestamp_column'],
]);

/** What FastAPI takes for a truth value beside the two. */
const WORDS: ReadonlyMap<unknown, boolean> = new Map<unknown, boolean>([
  ...[1, '1', 'true', 'yes', 'on'].map((word) => [word, true] as const),
  ...[0, '0', 'false', 'no', 'off'].map((word) => [word, false] as const),
]);

const asked = predictionRequest.shape;

/** An inference request's body. Whether the columns fit the model is the model's to say. */
export const inferenceRequest = knownFields(
  z.object({
    model_name: asked.modelName.describe(
      'A registered model, or `<name>@<alias>` for the version that an alias of it names.',
    ),
    model_version: z
      .preprocess((value) => (typeof value === 'number' ? String(value) : value), asked.modelVersion)
      .describe('The number of a version, an alias, or `latest`: the newest version that works.')
      .meta({
        wire: {
          anyOf: [
            { type: 'string', pattern: VERSION_REFERENCE.source },
            { type: 'integer', minimum: 1, maximum: 9_999_999_999 },
            { type: 'null' },
          ],
        },
        default: 'latest',
      }),
    inputs: asked.inputs.describe(
      'For each column of the model its values, one a row: up to 100,000, equally many. With `entities` only those that are no features of theirs, or are to go before them.',
    ),
    entities: asked.entities.describe(
      'Whom to predict, in place of columns: the values of each join key, one a row, at most 1,000 (`{"customer_id": [1, 2]}`). The features that the version was trained on are read from the online store.',
    ),
    max_feature_age_seconds: asked.maxFeatureAgeSeconds.describe(
      'How old features of `entities` may be. With an older one the request is refused. Absent: what their views’ ttl allows.',
    ),
    return_probabilities: looseTruth(asked.returnProbabilities).describe(
      'Whether to give the probability of each class too.',
    ),
    include_metadata: looseTruth(z.boolean().default(false)).describe(
      'Whether to say what answered (version, run, job, environment, engine), as headers always do.',
    ),
  }),
  { alias: 'model_version' },
)
  .transform((wire): PredictionRequest & { readonly includeMetadata: boolean } => ({
    modelName: wire.model_name,
    modelVersion: wire.model_version,
    inputs: wire.inputs,
    entities: wire.entities,
    maxFeatureAgeSeconds: wire.max_feature_age_seconds,
    returnProbabilities: wire.return_probabilities,
    includeMetadata: wire.include_metadata,
  }))
  .meta({
    description: 'Rows to predict.',
    examples: [
      {
        model_name: 'churn_predictor',
        inputs: {
          total_purchases: [2],
          avg_purchase_value: [25.5],
          days_since_last_purchase: [90],
          customer_lifetime_value: [51],
          account_age_days: [200],
          support_tickets_count: [9],
        },
        return_probabilities: true,
      },
      { model_name: 'churn_predictor', entities: { customer_id: [1, 2] }, max_feature_age_seconds: 86_400 },
    ],
  })
  .register(components, { id: 'InferenceRequest' });

const wanted = registryRequest.shape;

/** The body that asks for a run's model to be registered. */
export const registrationRequest = knownFields(
  z.object({
    model_name: wanted.modelName.describe('The registered model, which may be new.'),
    run_id: wanted.runId.describe('The MLflow run that saved the model.'),
    description: wanted.description.unwrap().nullish().describe('Of the version.'),
    tags: orDefault(wanted.tags).describe('Of the version.'),
  }),
)
  .transform(
    (wire): RegistryRequest => ({
      modelName: wire.model_name,
      runId: wire.run_id,
      description: wire.description ?? undefined,
      tags: wire.tags,
    }),
  )
  .meta({
    description: 'The model of a run, to be registered.',
    examples: [
      {
        model_name: 'churn_predictor',
        run_id: '1234567890abcdef',
        description: 'Trained on the data of October',
        tags: { team: 'data-science' },
      },
    ],
  })
  .register(components, { id: 'RegistrationRequest' });

/** A field of the domain that has a default, for which `null` is one more way to say it; `read` is applied first. */
export function orDefault<Inner extends z.ZodType>(
  schema: z.ZodDefault<Inner>,
  read: (value: unknown) => unknown = (value) => value,
) {
  const fallback = schema.def.defaultValue;
  return z
    .preprocess(read, schema.unwrap().nullish())
    .transform((value): z.output<Inner> => value ?? fallback)
    .meta({ default: fallback });
}

/** A whole number as a query has it, or a client that quotes it. */
export function looseInteger(value: unknown): unknown {
  return typeof value === 'string' && /^\s*[+-]?\d{1,15}(\.0*)?\s*$/.test(value) ? Number(value) : value;
}

/** A truth value in any of the words that FastAPI takes. */
export function looseTruth(schema: z.ZodDefault<z.ZodBoolean>) {
  const read = (value: unknown) => WORDS.get(typeof value === 'string' ? value.trim().toLowerCase() : value) ?? value;
  return orDefault(schema, read).meta({
    wire: { anyOf: [{ type: 'boolean' }, { type: 'null' }, { enum: [...WORDS.keys()] }] },
  });
}

import { z } from 'zod';
import { type PredictionRequest, predictionRequest } from '../inference/service.ts';
import { featurePins } from '../jobs/feature-pins.ts';
import { type JobSubmission, jobSubmission } from '../jobs/submission.ts';
import { type RegistryRequest, registryRequest } from '../models/registry-request.ts';
import { components } from './wire-answers.ts';

/*
 * What the API takes, by the wire's names, made of the domain's own schemas: these parse, and the OpenAPI document is made
 * from them. Unknown fields are ignored, and `null` counts as absent.
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

/** From this many characters on, text that is canonical base64 is meant as base64. */
const SURELY_BASE64 = 24;

/**
 * Base64 when it is canonical base64 (line breaks aside, as `base64` prints them) of UTF-8 text; any other text stands
 * for itself. Real scripts hold a space or a bracket, which base64 does not: null for 24 characters or more of base64
 * which hold something else than UTF-8 text.
 */
export function decodeScript(content: string): string | null {
  const packed = content.replace(/[\r\n]+/g, '');
  const bytes = Buffer.from(packed, 'base64');
  if (packed === '' || bytes.toString('base64') !== packed) return content;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return packed.length < SURELY_BASE64 ? content : null;
  }
}

const submission = jobSubmission.shape;

const scriptContent = z
  .string()
  .transform((content, context) => {
    const script = decodeScript(content);
    if (script !== null) return script;
    context.addIssue({ code: 'custom', message: 'is base64, but what it holds is not UTF-8 text' });
    return z.NEVER;
  })
  .pipe(submission.script);

const pins = featurePins.shape;

/** `features` of an upload. */
const featurePinsOnWire = z
  .preprocess(
    withoutNulls,
    z.object({
      as_of: pins.asOf
        .unwrap()
        .nullish()
        .describe('Tables are read as they were at this time; without it as they are.'),
      snapshots: pins.snapshots
        .unwrap()
        .nullish()
        .describe('Snapshot ids, as text, of tables that are read at those.')
        .meta({
          examples: [{ 'iceberg.gold.customer_metrics': '8744736658442914487' }],
        }),
    }),
  )
  .transform(({ as_of: asOf, snapshots }) => ({ ...(asOf && { asOf }), ...(snapshots && { snapshots }) }));

/** The body of an upload → a submission. `timeout` may be a numeric string; for `script_content` see `decodeScript`. */
export const uploadRequest = z
  .preprocess(
    withoutNulls,
    z.object({
      script_name: submission.scriptName.describe(
        'The file name of the script, without a folder: letters, digits, `_`, `.`, `-` and spaces.',
      ),
      script_content: scriptContent.describe('The script, up to 1 MiB: base64 of UTF-8, or plain text.').meta({
        minLength: 1,
        pattern: '^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$',
      }),
      experiment_name: submission.experimentName.describe('The MLflow experiment that its runs go to.'),
      model_name: submission.modelName.describe('The registered model that its model becomes a version of.'),
      requirements: orDefault(submission.requirements).describe(
        'Python packages beside the ones that are always there, as PEP 508 names them; no options, paths or URLs.',
      ),
      environment_vars: orDefault(submission.environmentVars).describe(
        'Variables that the script sees. Those of the platform cannot be replaced.',
      ),
      timeout: orDefault(submission.timeoutSeconds, looseInteger).describe(
        'Seconds that the job may take, its environment included.',
      ),
      tags: orDefault(submission.tags).describe('Tags of its MLflow runs and its model version.'),
      features: featurePinsOnWire
        .nullish()
        .describe('What its reads of the feature store are held to, so that they give the same rows again.'),
      grace_seconds: orDefault(submission.graceSeconds, looseInteger).describe(
        'Seconds that the script gets to end by itself when it is asked to, before it is killed.',
      ),
      retries: orDefault(submission.retries, looseInteger).describe(
        'How many attempts may follow the first, each with the whole time again, after pauses that double from 2 s on.',
      ),
      retry_on: z
        .enum(['infrastructure', 'any'])
        .nullish()
        .describe(
          'Which failures are tried again: those of what the script stands on (its machine, the database, MLflow, a package index), or its own and its time too. Never a cancelled job.',
        )
        .meta({ default: 'infrastructure' }),
      priority: orDefault(submission.priority, looseInteger).describe(
        'Jobs of a higher one start first; of equal ones the oldest.',
      ),
      idempotency_key: submission.idempotencyKey
        .unwrap()
        .nullish()
        .describe(
          'A text of your own choice. An upload with a key that a job has is answered with that job as it is now, whatever else is uploaded. The header `Idempotency-Key` says the same.',
        ),
    }),
  )
  .transform(
    (wire): JobSubmission => ({
      scriptName: wire.script_name,
      script: wire.script_content,
      experimentName: wire.experiment_name,
      modelName: wire.model_name,
      requirements: wire.requirements,
      environmentVars: wire.environment_vars,
      timeoutSeconds: wire.timeout,
      tags: wire.tags,
      features: wire.features ?? undefined,
      graceSeconds: wire.grace_seconds,
      retries: wire.retries,
      retryOn: wire.retry_on === 'any' ? 'ANY' : 'INFRASTRUCTURE',
      priority: wire.priority,
      idempotencyKey: wire.idempotency_key ?? undefined,
    }),
  )
  .meta({
    description: 'A training script and how to run it.',
    examples: [
      {
        script_name: 'churn_model_training.py',
        script_content: 'aW1wb3J0IG1sZmxvdwpwcmludCgiaGVsbG8iKQo=',
        experiment_name: 'customer_churn',
        model_name: 'churn_predictor',
        requirements: ['scikit-learn', 'pandas', 'numpy'],
        environment_vars: { DATA_PATH: '/data/customers.csv', USE_FEAST: 'true' },
        timeout: 300,
        tags: { version: '1.0', team: 'data-science' },
      },
    ],
  })
  .register(components, { id: 'TrainingScriptUpload' });

const asked = predictionRequest.shape;

/** An inference request's body. Whether the columns fit the model is the model's to say. */
export const inferenceRequest = z
  .preprocess(
    withoutNulls,
    z.object({
      model_name: asked.modelName.describe('A registered model.'),
      model_version: z
        .preprocess((value) => (typeof value === 'number' ? String(value) : value), asked.modelVersion)
        .describe('The number of a version, or `latest`.')
        .meta({
          wire: {
            anyOf: [
              { type: 'string', pattern: '^(latest|[1-9][0-9]{0,9})$' },
              { type: 'integer', minimum: 1, maximum: 9_999_999_999 },
              { type: 'null' },
            ],
          },
          default: 'latest',
        }),
      inputs: asked.inputs.describe('For each column of the model its values, one a row: up to 100,000, equally many.'),
      return_probabilities: looseTruth(asked.returnProbabilities).describe(
        'Whether to give the probability of each class too.',
      ),
    }),
  )
  .transform(
    (wire): PredictionRequest => ({
      modelName: wire.model_name,
      modelVersion: wire.model_version,
      inputs: wire.inputs,
      returnProbabilities: wire.return_probabilities,
    }),
  )
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
    ],
  })
  .register(components, { id: 'InferenceRequest' });

const wanted = registryRequest.shape;

/** The body that asks for a run's model to be registered. */
export const registrationRequest = z
  .preprocess(
    withoutNulls,
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

/** An object of the wire without what is null, for which absent is one more word. */
export function withoutNulls(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body;
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
}

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

import { z } from 'zod';

/*
 * What the API answers, as it is on the wire. Routes declare these, the OpenAPI document is made from them, and what
 * `present.ts` makes has their types. The examples are the guide's own where it has one.
 */

/** Schemas that the OpenAPI document keeps under a name, `#/components/schemas/<id>`. */
export const components = z.registry<{ id: string }>();

export const time = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/)
  .describe('UTC, in whole seconds, without a zone.');
export const names = z.record(z.string(), z.string());

/** The guide's four words. Its client's `wait_for_job` waits for ever on any other. */
export const WIRE_STATUSES = ['queued', 'running', 'completed', 'failed'] as const;

export const trainingJob = z
  .object({
    job_id: z.string(),
    script_name: z.string(),
    experiment_name: z.string(),
    model_name: z.string(),
    status: z
      .enum(WIRE_STATUSES)
      .describe('`failed` also when it was cancelled, ran out of time or was lost: then `error` begins with the word.'),
    run_id: z.string().nullable().describe('The MLflow run that logged its model, else its last run.'),
    model_version: z.string().nullable().describe('The version of `model_name` that it made.'),
    error: z.string().nullable().describe('Why it failed.'),
    created_at: time,
    started_at: time.nullable(),
    completed_at: time.nullable(),
    features: z
      .object({ as_of: z.iso.datetime().optional(), snapshots: names.optional() })
      .optional()
      .describe('What its reads of the feature store are held to, as it was handed in; absent when to nothing.'),
  })
  .describe('A training job.')
  .meta({
    examples: [
      {
        job_id: 'abc123',
        script_name: 'churn_model_training.py',
        experiment_name: 'customer_churn',
        model_name: 'churn_predictor',
        status: 'queued',
        run_id: null,
        model_version: null,
        error: null,
        created_at: '2025-11-03T10:00:00',
        started_at: null,
        completed_at: null,
      },
    ],
  })
  .register(components, { id: 'TrainingJob' });

export const featureRead = z
  .object({
    feature_view: z.string(),
    features: z.array(z.string()).describe('The names of the features that were read, sorted.'),
    table: z.string().describe('With catalog and schema.'),
    snapshot_id: z.string().nullable().describe('A whole number as text; null of an empty table.'),
    entity_rows: z.int().min(0).describe('For how many rows they were looked up, at most in one read.'),
    run_id: z.string().nullable().describe('The MLflow run that was active; null when none was.'),
    read_at: time.describe('When they were first read.'),
  })
  .describe('What a script read of a feature view. The same read is there once.')
  .register(components, { id: 'FeatureRead' });

export const trainingJobWithLog = trainingJob
  .extend({
    feature_reads: z
      .array(featureRead)
      .optional()
      .describe(
        'What its script read of the feature store, in that order; absent when nothing. Of more than 1,000 the first.',
      ),
    feature_snapshots: names
      .optional()
      .describe(
        'The tables of `feature_reads`, each at the snapshot that was read last: given as `features.snapshots` of an upload, ' +
          'the same script reads the same rows again.',
      ),
    elapsed_seconds: z.int().min(0).describe('Whole seconds from its upload to its end, or to now while it lasts.'),
    duration_seconds: z.number().nullable().describe('From its start to its end; null while it has not had both.'),
    logs: z.string().describe('What was printed so far. Of more than 8 Mi characters the end.'),
  })
  .describe('A training job with its log.')
  .meta({
    examples: [
      {
        job_id: 'abc123',
        script_name: 'churn_model_training.py',
        experiment_name: 'customer_churn',
        model_name: 'churn_predictor',
        status: 'completed',
        run_id: '1234567890abcdef',
        model_version: '1',
        error: null,
        created_at: '2025-11-03T10:00:00',
        started_at: '2025-11-03T10:00:01',
        completed_at: '2025-11-03T10:00:45',
        elapsed_seconds: 45,
        duration_seconds: 43.75,
        logs: 'Training completed successfully...',
      },
    ],
  })
  .register(components, { id: 'TrainingJobWithLog' });

export const trainingJobPage = z
  .object({
    jobs: z.array(trainingJob).describe('The newest first.'),
    next_cursor: z.string().nullable().describe('Give it as `cursor` for the jobs behind these; null at the end.'),
  })
  .describe('A page of training jobs.')
  .register(components, { id: 'TrainingJobPage' });

const predictionFeatures = z
  .object({
    views: z
      .array(
        z.object({
          feature_view: z.string().describe('As the training set called it.'),
          oldest_event_timestamp: z.iso.datetime().nullable(),
          oldest_age_seconds: z.number().nullable(),
        }),
      )
      .describe('The feature views that were read, with their oldest value among all rows; null when they had none.'),
    missing: z
      .array(
        z.object({
          row: z.int().min(0),
          column: z.string().describe('Of the model.'),
          feature: z.string().describe('`view:feature`.'),
          status: z.enum(['NOT_FOUND', 'OUTSIDE_MAX_AGE']).describe('`OUTSIDE_MAX_AGE`: older than its view’s ttl.'),
        }),
      )
      .describe('The features that there were no values of: the model was given null.'),
  })
  .describe('What was read from the online store.')
  .register(components, { id: 'PredictionFeatures' });

const predictionMetadata = z
  .object({
    model_version: z.string(),
    run_id: z.string().nullable(),
    job_id: z.string().nullable(),
    environment_hash: z.string().nullable().describe('Of the environment that its job ran in.'),
    engine: z.enum(['python', 'onnx']),
    features: predictionFeatures.optional().describe('When `entities` were given.'),
  })
  .describe('What answered.')
  .register(components, { id: 'PredictionMetadata' });

export const prediction = z
  .object({
    model_name: z.string(),
    model_version: z.string(),
    predictions: z.array(z.unknown()).describe('One for each row: a number, a label, or several of them.'),
    probabilities: z
      .array(z.array(z.number().nullable()))
      .nullable()
      .describe('For each row the probability of each class; null when they were not asked for.'),
    inference_time_ms: z.number(),
    timestamp: time,
    metadata: predictionMetadata.optional().describe('When `include_metadata` was given.'),
  })
  .describe('What a model predicts.')
  .meta({
    examples: [
      {
        model_name: 'churn_predictor',
        model_version: '1',
        predictions: [1],
        probabilities: [[0.14, 0.86]],
        inference_time_ms: 12.5,
        timestamp: '2025-11-03T10:00:00',
      },
    ],
  })
  .register(components, { id: 'Prediction' });

export const servedModel = z
  .object({
    model_name: z.string(),
    model_version: z.string(),
    engine: z.enum(['python', 'onnx']),
    memory_bytes: z.int().describe('As measured some seconds ago.'),
    processes: z.int().describe('The Python processes that have it.'),
    waiting_requests: z.int().describe('Requests that it has not answered yet.'),
    loaded_at: time,
    last_used_at: time,
  })
  .describe('A version in the memory of the platform that answers.')
  .register(components, { id: 'ServedModel' });

export const platformStatus = z
  .object({
    mlflow_tracking_uri: z.string(),
    mlflow_available: z.boolean(),
    feast_store_available: z.boolean(),
    registered_models: z.int().min(0),
    active_experiments: z.int().min(0),
    feature_views: z.int().min(0),
    served_models: z
      .array(servedModel)
      .optional()
      .describe('What is in memory, the version that was used last first; absent when nothing is.'),
    timestamp: time,
  })
  .describe('How the platform is. Counts are 0 while the part that has them does not answer.')
  .meta({
    examples: [
      {
        mlflow_tracking_uri: 'http://mlflow-service:5000',
        mlflow_available: true,
        feast_store_available: true,
        registered_models: 0,
        active_experiments: 10,
        feature_views: 0,
        timestamp: '2025-11-03T10:00:00',
      },
    ],
  })
  .register(components, { id: 'PlatformStatus' });

export const health = z
  .object({ status: z.literal('ok') })
  .describe('The process answers.')
  .register(components, { id: 'Health' });

export const readiness = z
  .object({
    ready: z.boolean(),
    not_ready: z.array(z.string()).describe('One line for each part that does not answer yet.'),
  })
  .describe('Whether every part of the platform answers.')
  .meta({ examples: [{ ready: true, not_ready: [] }] })
  .register(components, { id: 'Readiness' });

const requestId = z.string().describe('The id of the request, as in the header `x-request-id` and in the log.');

export const httpError = z
  .object({ detail: z.string().describe('What is wrong, and what to do.'), request_id: requestId })
  .describe('A refusal or a failure.')
  .register(components, { id: 'HTTPError' });

const validationError = z
  .object({
    loc: z
      .array(z.union([z.string(), z.int()]))
      .describe('Where: `body`, `query` or `path`, then the field and the place in it.'),
    msg: z.string(),
    type: z.string().describe('A stable word for the kind of mistake.'),
  })
  .describe('One thing that is wrong with a request.')
  .meta({
    examples: [
      {
        loc: ['body', 'timeout'],
        msg: 'Input should be greater than or equal to 60',
        type: 'greater_than_equal',
      },
    ],
  })
  .register(components, { id: 'ValidationError' });

export const httpValidationError = z
  .object({ detail: z.array(validationError), request_id: requestId })
  .describe('Everything that is wrong with a request.')
  .register(components, { id: 'HTTPValidationError' });

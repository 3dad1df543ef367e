import { describe, expect, test } from 'vitest';
import { JobStatus, type TrainingJob } from '../../src/database/generated/client.ts';
import {
  naiveTime,
  presentJob,
  presentJobWithLog,
  presentPrediction,
  presentReadiness,
  presentStatus,
  wireStatus,
} from '../../src/rest/present.ts';
import { presentModel, presentRegistration } from '../../src/rest/present-models.ts';

const createdAt = new Date('2025-11-03T10:00:00.000Z');
const startedAt = new Date('2025-11-03T10:00:01.500Z');
const completedAt = new Date('2025-11-03T10:00:45.750Z');

const completed: TrainingJob = {
  id: 'abc123',
  scriptName: 'churn_model_training.py',
  script: 'print(1)',
  experimentName: 'customer_churn',
  modelName: 'churn_predictor',
  requirements: [],
  environmentVars: {},
  featurePins: null,
  timeoutSeconds: 300,
  tags: {},
  graceSeconds: 10,
  priority: 0,
  retries: 0,
  retryOn: 'INFRASTRUCTURE',
  notBefore: null,
  idempotencyKey: null,
  status: 'COMPLETED',
  error: null,
  runId: '1234567890abcdef',
  modelVersion: '1',
  environmentHash: null,
  cancelRequestedAt: null,
  cancelReason: null,
  lastSequence: 9,
  createdAt,
  startedAt,
  completedAt,
};
const queued: TrainingJob = {
  ...completed,
  status: 'QUEUED',
  runId: null,
  modelVersion: null,
  startedAt: null,
  completedAt: null,
};

describe('a job', () => {
  test('just uploaded shows what the guide shows, and null for what is still to come', () => {
    expect(presentJob(queued)).toEqual({
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
    });
  });

  test("completed shows the guide's example, with its log", () => {
    expect(presentJobWithLog(completed, 'Training completed successfully...', [], new Date())).toMatchObject({
      job_id: 'abc123',
      status: 'completed',
      run_id: '1234567890abcdef',
      model_version: '1',
      elapsed_seconds: 45,
      duration_seconds: 44.25,
      logs: 'Training completed successfully...',
      created_at: '2025-11-03T10:00:00',
      started_at: '2025-11-03T10:00:01',
      completed_at: '2025-11-03T10:00:45',
    });
  });

  test('that still runs counts its seconds up to now and has no duration', () => {
    const running: TrainingJob = { ...completed, status: 'RUNNING', completedAt: null };
    const now = new Date('2025-11-03T10:00:30.999Z');
    expect(presentJobWithLog(running, '', [], now)).toMatchObject({ elapsed_seconds: 30, duration_seconds: null });
  });

  test("every status shows as one of the guide's four words", () => {
    expect(Object.fromEntries(Object.values(JobStatus).map((status) => [status, wireStatus(status)]))).toEqual({
      QUEUED: 'queued',
      PREPARING: 'running',
      RUNNING: 'running',
      COMPLETED: 'completed',
      FAILED: 'failed',
      CANCELLED: 'failed',
      TIMED_OUT: 'failed',
      LOST: 'failed',
    });
  });

  test.each([
    ['FAILED', 'the script ended with exit code 1', 'the script ended with exit code 1'],
    ['CANCELLED', 'cancelled on request', 'CANCELLED: cancelled on request'],
    ['TIMED_OUT', 'after 300 s', 'TIMED_OUT: after 300 s'],
    ['LOST', null, 'LOST'],
    ['COMPLETED', null, null],
  ] as const)('%s with the error %j says in `error`: %j', (status, error, shown) => {
    expect(presentJob({ ...completed, status, error }).error).toBe(shown);
  });
});

test('a time is UTC without a zone, in whole seconds', () => {
  expect(naiveTime(new Date('2025-11-03T12:00:00.999+02:00'))).toBe('2025-11-03T10:00:00');
});

test('a model shows its newest versions', async () => {
  const version = {
    name: 'm',
    version: '2',
    stage: 'None',
    runId: 'r',
    source: 'runs:/r/model',
    status: 'READY',
    statusMessage: null,
    description: null,
    tags: {},
    aliases: [],
    createdAt,
    updatedAt: completedAt,
  } as const;
  const tags = { a: 'b' };
  const latestVersions = [version];
  const model = { name: 'm', description: 'd', tags, aliases: [], latestVersions, createdAt, updatedAt: completedAt };
  const untried = { modelChecks: async () => [null], servedModels: { list: () => [], find: () => null } };
  expect(await presentModel(model, untried)).toEqual({
    name: 'm',
    description: 'd',
    tags: { a: 'b' },
    latest_versions: [
      {
        name: 'm',
        version: '2',
        stage: 'None',
        run_id: 'r',
        description: null,
        tags: {},
        created_at: '2025-11-03T10:00:00',
        updated_at: '2025-11-03T10:00:45',
      },
    ],
    created_at: '2025-11-03T10:00:00',
    updated_at: '2025-11-03T10:00:45',
  });
  expect(await presentModel({ ...model, aliases: [{ alias: 'champion', version: '2' }] }, untried)).toMatchObject({
    aliases: { champion: '2' },
  });
});

test('a prediction shows null for probabilities that nobody asked for', () => {
  const prediction = {
    modelName: 'm',
    modelVersion: '1',
    predictions: [0, 1],
    probabilities: null,
    inferenceTimeMs: 2.5,
    timings: { parse: 0, queue: 1.5, predict: 1 },
    engine: 'python',
    origin: { runId: null, jobId: null, environmentHash: null },
    features: null,
  } as const;
  expect(presentPrediction(prediction, createdAt)).toEqual({
    model_name: 'm',
    model_version: '1',
    predictions: [0, 1],
    probabilities: null,
    inference_time_ms: 2.5,
    timestamp: '2025-11-03T10:00:00',
  });
});

test('a registration shows the version and the run', () => {
  const version = {
    name: 'm',
    version: '3',
    stage: 'None',
    runId: 'r',
    source: 'runs:/r/model',
    status: 'READY',
    statusMessage: null,
    description: null,
    tags: {},
    aliases: [],
    createdAt,
    updatedAt: completedAt,
  } as const;
  expect(presentRegistration(version, 'r')).toEqual({
    model_name: 'm',
    version: '3',
    run_id: 'r',
    status: 'READY',
    created_at: '2025-11-03T10:00:00',
  });
});

test('the platform status has the fields of the guide, and readiness names what is missing', () => {
  const status = {
    mlflowTrackingUri: 'http://localhost:5000',
    mlflowAvailable: false,
    feastStoreAvailable: false,
    registeredModels: 0,
    activeExperiments: 0,
    featureViews: 0,
    isolation: 'namespaces' as const,
    jobs: { queued: 1, running: 2 },
    ready: false,
    notReady: ['mlflow: is starting'],
    troubles: ['s3: is away'],
  };
  expect(presentStatus(status, [], createdAt)).toEqual({
    mlflow_tracking_uri: 'http://localhost:5000',
    mlflow_available: false,
    feast_store_available: false,
    registered_models: 0,
    active_experiments: 0,
    feature_views: 0,
    timestamp: '2025-11-03T10:00:00',
  });
  expect(presentReadiness(status)).toEqual({
    ready: false,
    not_ready: ['mlflow: is starting'],
    troubles: ['s3: is away'],
  });
  expect(presentReadiness({ ...status, troubles: [] })).not.toHaveProperty('troubles');
});

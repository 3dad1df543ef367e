import type { z } from 'zod';
import type { JobFeatureRead, JobStatus } from '../database/generated/client.ts';
import type { ServedVersion } from '../inference/served-models.ts';
import type { Prediction } from '../inference/service.ts';
import { storedPins, wirePins } from '../jobs/feature-pins.ts';
import { snapshotsOf } from '../jobs/feature-read-log.ts';
import type { JobSummary } from '../jobs/job-summary.ts';
import { assertNever } from '../platform/errors.ts';
import type { PlatformReadiness, PlatformStatus } from '../status/platform-status.ts';
import type { platformStatus, servedModel, trainingJob, trainingJobWithLog, WIRE_STATUSES } from './wire-answers.ts';

type WireStatus = (typeof WIRE_STATUSES)[number];

/**
 * A time as the guide writes it: UTC without a zone, whole seconds (`2025-11-03T10:00:00`). No fraction, since
 * `strptime` with the guide's pattern refuses one, and so does `datetime.fromisoformat` before Python 3.11 unless it has
 * 3 or 6 digits. Exact times are in the GraphQL API.
 */
export function naiveTime(time: Date): string {
  return time.toISOString().slice(0, 19);
}

/** A job's status in the guide's words: preparing is a part of running, and every end but the good one is `failed`. */
export function wireStatus(status: JobStatus): WireStatus {
  switch (status) {
    case 'QUEUED':
      return 'queued';
    case 'PREPARING':
    case 'RUNNING':
      return 'running';
    case 'COMPLETED':
      return 'completed';
    case 'FAILED':
    case 'CANCELLED':
    case 'TIMED_OUT':
    case 'LOST':
      return 'failed';
    default:
      return assertNever(status);
  }
}

/** A job without its log: the answer to an upload and to a cancel. */
export function presentJob(job: JobSummary): z.infer<typeof trainingJob> {
  const pins = storedPins(job.featurePins);
  return {
    job_id: job.id,
    script_name: job.scriptName,
    experiment_name: job.experimentName,
    model_name: job.modelName,
    status: wireStatus(job.status),
    run_id: job.runId,
    model_version: job.modelVersion,
    error: presentError(job),
    created_at: naiveTime(job.createdAt),
    started_at: optionalTime(job.startedAt),
    completed_at: optionalTime(job.completedAt),
    // Absent otherwise, as in the guide's answers.
    ...(pins !== null && { features: wirePins(pins) }),
  };
}

/**
 * A job with its log and what it read of the feature store. `elapsed_seconds` is whole seconds from its upload to its end, or to `now` while it lasts;
 * `duration_seconds` is exact to the millisecond from its start to its end, `null` while it has not had both.
 */
export function presentJobWithLog(
  job: JobSummary,
  logs: string,
  reads: readonly JobFeatureRead[],
  now: Date,
): z.infer<typeof trainingJobWithLog> {
  const { createdAt, startedAt, completedAt } = job;
  return {
    ...presentJob(job),
    ...(reads.length > 0 && { feature_reads: reads.map(presentRead), feature_snapshots: snapshotsOf(reads) }),
    elapsed_seconds: Math.max(0, Math.floor(secondsBetween(createdAt, completedAt ?? now))),
    duration_seconds: startedAt === null || completedAt === null ? null : secondsBetween(startedAt, completedAt),
    logs,
  };
}

/** What a script read of a feature view. */
export function presentRead(read: JobFeatureRead) {
  return {
    feature_view: read.featureView,
    features: read.features,
    table: read.table,
    snapshot_id: read.snapshotId,
    entity_rows: Number(read.entityRows),
    run_id: read.runId,
    read_at: naiveTime(read.createdAt),
  };
}

/** The answer to an inference request. `probabilities` is `null` when they were not asked for. */
export function presentPrediction(prediction: Prediction, now: Date) {
  return {
    model_name: prediction.modelName,
    model_version: prediction.modelVersion,
    predictions: prediction.predictions,
    probabilities: prediction.probabilities,
    inference_time_ms: prediction.inferenceTimeMs,
    timestamp: naiveTime(now),
  };
}

/** A version in memory. */
export function presentServed(served: ServedVersion): z.infer<typeof servedModel> {
  return {
    model_name: served.version.name,
    model_version: served.version.version,
    engine: served.engine,
    memory_bytes: Math.round(served.memoryBytes),
    processes: served.processes,
    waiting_requests: served.waiting,
    loaded_at: naiveTime(served.loadedAt),
    last_used_at: naiveTime(served.usedAt),
  };
}

/** `GET /mlops/status`. The counts are 0 while MLflow does not answer. */
export function presentStatus(
  status: PlatformStatus,
  served: readonly ServedVersion[],
  now: Date,
): z.infer<typeof platformStatus> {
  return {
    mlflow_tracking_uri: status.mlflowTrackingUri,
    mlflow_available: status.mlflowAvailable,
    feast_store_available: status.feastStoreAvailable,
    registered_models: status.registeredModels,
    active_experiments: status.activeExperiments,
    feature_views: status.featureViews,
    // Absent otherwise, as in the guide's answer.
    ...(served.length > 0 && { served_models: served.map(presentServed) }),
    timestamp: naiveTime(now),
  };
}

/** `GET /readyz`: which parts do not answer yet, and what is wrong with those that jobs run without. */
export function presentReadiness({ ready, notReady, troubles }: PlatformReadiness) {
  return { ready, not_ready: notReady, ...(troubles.length === 0 ? {} : { troubles }) };
}

/** `failed` alone would hide that a job was cancelled, timed out or lost: then `error` begins with that word. */
function presentError({ status, error }: JobSummary): string | null {
  if (status !== 'CANCELLED' && status !== 'TIMED_OUT' && status !== 'LOST') return error;
  return error === null ? status : `${status}: ${error}`;
}

function optionalTime(time: Date | null): string | null {
  return time === null ? null : naiveTime(time);
}

function secondsBetween(from: Date, to: Date): number {
  return (to.getTime() - from.getTime()) / 1000;
}

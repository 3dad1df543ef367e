import { z } from 'zod';
import { int64, type MetricValue, metricValue } from './json.ts';

/*
 * MLflow's REST JSON as it is sent, turned into our types. It comes from protobuf: a field that is empty may be absent,
 * empty text may stand for null, and whole numbers may be quoted. Unknown fields are ignored.
 */

/** A named group of runs. */
export interface Experiment {
  readonly id: string;
  readonly name: string;
  readonly artifactLocation: string;
  readonly isDeleted: boolean;
  readonly tags: Readonly<Record<string, string>>;
  readonly createdAt: Date | null;
  readonly updatedAt: Date | null;
}

/** The newest value of one metric of a run. */
export interface Metric {
  readonly key: string;
  readonly value: MetricValue;
  readonly step: number;
  readonly at: Date;
}

export const RUN_STATUSES = ['RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED'] as const;

/** One tracked execution inside an experiment. */
export interface Run {
  readonly id: string;
  readonly experimentId: string;
  readonly name: string;
  readonly status: (typeof RUN_STATUSES)[number];
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
  /** Where its artifacts lie, e.g. `mlflow-artifacts:/1/<run id>/artifacts`. */
  readonly artifactUri: string;
  readonly isDeleted: boolean;
  readonly params: Readonly<Record<string, string>>;
  readonly metrics: readonly Metric[];
  readonly tags: Readonly<Record<string, string>>;
  /** Ids of the logged models that it made; none on a server before MLflow 3. */
  readonly modelIds: readonly string[];
  /** Paths of local files that its data sets came from, as the script said. */
  readonly dataFiles: readonly string[];
}

/** A model as MLflow 3 logs one: beside the artifacts of the run that made it. */
export interface LoggedModel {
  /** `m-…` */
  readonly id: string;
  /** Whether it is whole, and lies where MLflow keeps artifacts. */
  readonly isReady: boolean;
  readonly createdAt: Date;
}

type ModelVersionStatus = 'PENDING_REGISTRATION' | 'FAILED_REGISTRATION' | 'READY';

/** One version of a registered model. */
export interface ModelVersion {
  readonly name: string;
  /** A positive whole number, as text. */
  readonly version: string;
  /** `None`, `Staging`, `Production` or `Archived`. */
  readonly stage: string;
  readonly runId: string | null;
  readonly source: string;
  readonly status: ModelVersionStatus;
  readonly statusMessage: string | null;
  readonly description: string | null;
  readonly tags: Readonly<Record<string, string>>;
  readonly aliases: readonly string[];
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A name under which model versions are kept. */
export interface RegisteredModel {
  readonly name: string;
  readonly description: string | null;
  readonly tags: Readonly<Record<string, string>>;
  readonly aliases: readonly { readonly alias: string; readonly version: string }[];
  /** The newest version of each stage that has one, newest first. */
  readonly latestVersions: readonly ModelVersion[];
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A file or folder among a run's artifacts. */
export interface Artifact {
  /** From the root of the run's artifacts. */
  readonly path: string;
  readonly isFolder: boolean;
  /** Null for a folder. */
  readonly sizeBytes: number | null;
}

/** The largest time that a Date holds; scripts may log metrics in nanoseconds. */
const MAX_TIME_MS = 8.64e15;
const time = int64.transform((milliseconds) => new Date(Math.min(MAX_TIME_MS, milliseconds)));
const optionalTime = int64
  .nullish()
  .transform((milliseconds) =>
    milliseconds == null || milliseconds <= 0 ? null : new Date(Math.min(MAX_TIME_MS, milliseconds)),
  );
const optionalText = z
  .string()
  .nullish()
  .transform((text) => (text == null || text === '' ? null : text));
const pairs = z
  .array(z.object({ key: z.string(), value: z.string().default('') }))
  .default([])
  .transform((entries): Record<string, string> => Object.fromEntries(entries.map(({ key, value }) => [key, value])));

export const experimentWire = z
  .object({
    experiment_id: z.string(),
    name: z.string(),
    artifact_location: z.string().default(''),
    lifecycle_stage: z.string().default('active'),
    tags: pairs,
    creation_time: optionalTime,
    last_update_time: optionalTime,
  })
  .transform(
    (wire): Experiment => ({
      id: wire.experiment_id,
      name: wire.name,
      artifactLocation: wire.artifact_location,
      isDeleted: wire.lifecycle_stage === 'deleted',
      tags: wire.tags,
      createdAt: wire.creation_time,
      updatedAt: wire.last_update_time,
    }),
  );

const metricWire = z
  .object({ key: z.string(), value: metricValue, step: int64.default(0), timestamp: time.default(() => new Date(0)) })
  .transform(({ key, value, step, timestamp }): Metric => ({ key, value, step, at: timestamp }));

export const runWire = z
  .object({
    info: z.object({
      run_id: z.string(),
      experiment_id: z.string(),
      run_name: z.string().default(''),
      status: z.enum(RUN_STATUSES).default('RUNNING'),
      start_time: optionalTime,
      end_time: optionalTime,
      artifact_uri: z.string().default(''),
      lifecycle_stage: z.string().default('active'),
    }),
    data: z
      .object({ params: pairs, metrics: z.array(metricWire).default([]), tags: pairs })
      .default({ params: {}, metrics: [], tags: {} }),
    inputs: z
      .object({
        dataset_inputs: z
          .array(
            z.object({ dataset: z.object({ source_type: z.string().default(''), source: z.string().default('') }) }),
          )
          .default([]),
      })
      .optional(),
    outputs: z.object({ model_outputs: z.array(z.object({ model_id: z.string() })).default([]) }).optional(),
  })
  .transform(
    ({ info, data, inputs, outputs }): Run => ({
      id: info.run_id,
      experimentId: info.experiment_id,
      name: info.run_name,
      status: info.status,
      startedAt: info.start_time,
      endedAt: info.end_time,
      artifactUri: info.artifact_uri,
      isDeleted: info.lifecycle_stage === 'deleted',
      params: data.params,
      metrics: data.metrics,
      tags: data.tags,
      modelIds: outputs?.model_outputs.map(({ model_id }) => model_id) ?? [],
      dataFiles: inputs?.dataset_inputs.flatMap(({ dataset }) => localPath(dataset) ?? []) ?? [],
    }),
  );

const localSource = z.object({ uri: z.string() });

/** @param dataset `source` is JSON that depends on the type; of a file on the machine `{"uri": "/path"}` */
function localPath({ source_type: type, source }: { source_type: string; source: string }): string | null {
  if (type !== 'local') return null;
  try {
    const path = localSource.parse(JSON.parse(source)).uri.replace(/^file:\/\/(?=\/)/, '');
    return path.startsWith('/') ? path : null;
  } catch {
    return null;
  }
}

export const loggedModelWire = z
  .object({
    info: z.object({
      model_id: z.string(),
      status: z.string().default(''),
      creation_timestamp_ms: time.default(() => new Date(0)),
      tags: pairs,
    }),
  })
  .transform(
    ({ info }): LoggedModel => ({
      id: info.model_id,
      isReady: info.status === 'LOGGED_MODEL_READY' && info.tags['mlflow.model.isExternal']?.toLowerCase() !== 'true',
      createdAt: info.creation_timestamp_ms,
    }),
  );

export const modelVersionWire = z
  .object({
    name: z.string(),
    version: z.union([z.string(), z.number()]).transform(String),
    current_stage: z.string().default('None'),
    run_id: optionalText,
    source: z.string().default(''),
    status: z.enum(['PENDING_REGISTRATION', 'FAILED_REGISTRATION', 'READY']).default('READY'),
    status_message: optionalText,
    description: optionalText,
    tags: pairs,
    aliases: z.array(z.string()).default([]),
    creation_timestamp: time,
    last_updated_timestamp: time.optional(),
  })
  .transform(
    (wire): ModelVersion => ({
      name: wire.name,
      version: wire.version,
      stage: wire.current_stage,
      runId: wire.run_id,
      source: wire.source,
      status: wire.status,
      statusMessage: wire.status_message,
      description: wire.description,
      tags: wire.tags,
      aliases: wire.aliases,
      createdAt: wire.creation_timestamp,
      updatedAt: wire.last_updated_timestamp ?? wire.creation_timestamp,
    }),
  );

export const registeredModelWire = z
  .object({
    name: z.string(),
    description: optionalText,
    tags: pairs,
    aliases: z
      .array(z.object({ alias: z.string(), version: z.union([z.string(), z.number()]).transform(String) }))
      .default([]),
    latest_versions: z.array(modelVersionWire).default([]),
    creation_timestamp: time,
    last_updated_timestamp: time.optional(),
  })
  .transform(
    (wire): RegisteredModel => ({
      name: wire.name,
      description: wire.description,
      tags: wire.tags,
      aliases: wire.aliases,
      latestVersions: wire.latest_versions.toSorted((a, b) => Number(b.version) - Number(a.version)),
      createdAt: wire.creation_timestamp,
      updatedAt: wire.last_updated_timestamp ?? wire.creation_timestamp,
    }),
  );

export const artifactWire = z
  .object({ path: z.string(), is_dir: z.boolean().default(false), file_size: int64.optional() })
  .transform(
    (wire): Artifact => ({
      path: wire.path,
      isFolder: wire.is_dir,
      sizeBytes: wire.is_dir ? null : (wire.file_size ?? 0),
    }),
  );

/** The text of the token that asks for the next page; null on the last. */
export const nextPageToken = optionalText;

import { z } from 'zod';
import { int64, type MetricValue, metricValue, parseMlflowJson } from './json.ts';

/** A metric value as the script logged it. */
export interface LoggedMetric {
  readonly runId: string;
  readonly key: string;
  readonly value: MetricValue;
  readonly step: number;
  /** As the script gave it, within the years 1970 to 9999. */
  readonly timestampMs: number;
}

/**
 * What a job's script just did in MLflow.
 * - `run`: it created a run.
 * - `metrics`: it logged values; never an empty list.
 * - `model-saved`: a model is whole. `source` is what the registry takes (`models:/m-…` or `runs:/<run>/<path>`), `path`
 *   names it to a reader. A model of MLflow 2 that holds a `model/model.pkl` is seen twice, with one `source`: when that
 *   file comes (it could be the whole model) and when the model is recorded.
 * - `version`: it registered a model version.
 * - `artifact-refused`: an artifact that it sent could not be saved; `reason` is MLflow's.
 * - `discarded`: artifacts cannot be kept, and it sent one (`registration` is null) or registered a model of that name.
 */
export type Observation =
  | { readonly type: 'run'; readonly runId: string; readonly experimentId: string }
  | { readonly type: 'metrics'; readonly metrics: readonly LoggedMetric[] }
  | { readonly type: 'model-saved'; readonly source: string; readonly path: string; readonly runId: string | null }
  | {
      readonly type: 'version';
      readonly name: string;
      readonly version: string;
      readonly runId: string | null;
      readonly source: string;
    }
  | { readonly type: 'artifact-refused'; readonly reason: string }
  | { readonly type: 'discarded'; readonly registration: string | null };

/** A call that tells something about a job, and how to read it from the bodies (texts) of its request and its answer. */
export interface ObservedCall {
  /** False: the path says it all, and the bodies (of any size) may stream by; `read` is then given empty texts. */
  readonly areBodiesNeeded: boolean;
  /** The observation, or null when there is nothing to tell. Throws when a body is not what MLflow's clients send. */
  read(request: string, answer: string): Observation | null;
}

/**
 * Whether a request is one that tells something about the job that makes it, by MLflow 2.16's and 3.17's REST API.
 * @param url path and query as they were sent
 */
export function observedCall(method: string, url: string): ObservedCall | null {
  const path = decodedPath(url);
  const call = path === null ? null : /^\/(?:ajax-)?api\/[\d.]+\/(mlflow(?:-artifacts)?)\/(.*)$/s.exec(path);
  if (!call?.[1] || !call[2]) return null;
  if (call[1] === 'mlflow-artifacts') return pickleUpload(method, call[2]);
  const read = READERS.get(`${method} ${call[2].replace(/^logged-models\/[^/]+$/, 'logged-models/:id')}`);
  return read === undefined ? null : { areBodiesNeeded: true, read };
}

const READERS: ReadonlyMap<string, ObservedCall['read']> = new Map<string, ObservedCall['read']>([
  ['POST runs/create', (_request, answer) => createdRun(answer)],
  ['POST runs/log-metric', (request) => loggedMetric(request)],
  ['POST runs/log-batch', (request) => loggedBatch(request)],
  ['POST runs/log-model', (request) => recordedModel(request)],
  ['POST logged-models', (_request, answer) => loggedModel(answer)],
  ['PATCH logged-models/:id', (_request, answer) => loggedModel(answer)],
  ['POST model-versions/create', (_request, answer) => createdVersion(answer)],
]);

const runId = z.string().min(1);
const optionalId = z
  .string()
  .nullish()
  .transform((id) => (id == null || id === '' ? null : id));
const tags = z.array(z.object({ key: z.string(), value: z.string().default('') })).default([]);
/** The last millisecond that has a date of four digits. A script may give a time in nanoseconds, which MLflow takes. */
const LATEST_TIME_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
const time = int64.transform((milliseconds) => Math.min(LATEST_TIME_MS, Math.max(0, milliseconds)));
const metric = z.object({ key: z.string(), value: metricValue, step: int64.default(0), timestamp: time.default(0) });

function createdRun(answer: string): Observation {
  const parsed = z
    .object({ run: z.object({ info: z.object({ run_id: runId, experiment_id: z.string() }) }) })
    .parse(parseMlflowJson(answer));
  return { type: 'run', runId: parsed.run.info.run_id, experimentId: parsed.run.info.experiment_id };
}

function loggedMetric(request: string): Observation {
  const parsed = metric.extend({ run_id: optionalId, run_uuid: optionalId }).parse(parseMlflowJson(request));
  return { type: 'metrics', metrics: [metricOf(runId.parse(parsed.run_id ?? parsed.run_uuid), parsed)] };
}

function loggedBatch(request: string): Observation | null {
  const parsed = z.object({ run_id: runId, metrics: z.array(metric).default([]) }).parse(parseMlflowJson(request));
  if (parsed.metrics.length === 0) return null;
  return { type: 'metrics', metrics: parsed.metrics.map((each) => metricOf(parsed.run_id, each)) };
}

function metricOf(run: string, { key, value, step, timestamp }: z.output<typeof metric>): LoggedMetric {
  return { runId: run, key, value, step, timestampMs: timestamp };
}

/** MLflow 2's last act of saving a model. When MLflow 3 sends it too, the model has an id, and its own calls told of it. */
function recordedModel(request: string): Observation | null {
  const { run_id, model_json } = z.object({ run_id: runId, model_json: z.string() }).parse(parseMlflowJson(request));
  const model = z.object({ artifact_path: z.string().min(1), model_id: optionalId }).parse(parseMlflowJson(model_json));
  if (model.model_id !== null) return null;
  return {
    type: 'model-saved',
    source: `runs:/${run_id}/${model.artifact_path}`,
    path: model.artifact_path,
    runId: run_id,
  };
}

/** MLflow 3: a model is whole when it is READY, which its client says last. One kept elsewhere has nothing to serve. */
function loggedModel(answer: string): Observation | null {
  const info = z.object({
    model_id: z.string().min(1),
    name: z.string().default('model'),
    status: z.string().default(''),
    source_run_id: optionalId,
    tags,
  });
  const { model } = z.object({ model: z.object({ info }) }).parse(parseMlflowJson(answer));
  const { model_id, name, status, source_run_id } = model.info;
  const isExternal = hasTag(model.info.tags, 'mlflow.model.isExternal');
  if (status !== 'LOGGED_MODEL_READY' || isExternal) return null;
  return { type: 'model-saved', source: `models:/${model_id}`, path: name, runId: source_run_id };
}

/** A prompt's version is kept in the same registry, and is no model. */
function createdVersion(answer: string): Observation | null {
  const version = z.object({
    name: z.string(),
    version: z.union([z.string(), z.number()]).transform(String),
    run_id: optionalId,
    source: z.string().default(''),
    tags,
  });
  const { model_version } = z.object({ model_version: version }).parse(parseMlflowJson(answer));
  if (hasTag(model_version.tags, 'mlflow.prompt.is_prompt')) return null;
  return {
    type: 'version',
    name: model_version.name,
    version: model_version.version,
    runId: model_version.run_id,
    source: model_version.source,
  };
}

function hasTag(list: z.output<typeof tags>, key: string): boolean {
  return list.some((tag) => tag.key === key && tag.value.toLowerCase() === 'true');
}

/**
 * A pickle saved by hand, at `model/model.pkl` among a run's artifacts: sent whole, or the end of a send in parts.
 * The run's folder is the 32 hexadecimal digits before `artifacts`, wherever the experiment keeps its own.
 */
function pickleUpload(method: string, path: string): ObservedCall | null {
  if (
    !(method === 'PUT' && path.startsWith('artifacts/')) &&
    !(method === 'POST' && path.startsWith('mpu/complete/'))
  ) {
    return null;
  }
  const run = /\/([0-9a-f]{32})\/artifacts\/model\/model\.pkl$/.exec(path)?.[1];
  if (run === undefined) return null;
  const observation = {
    type: 'model-saved',
    source: `runs:/${run}/model`,
    path: 'model/model.pkl',
    runId: run,
  } as const;
  return { areBodiesNeeded: false, read: () => observation };
}

function decodedPath(url: string): string | null {
  try {
    return decodeURIComponent(url.split('?', 1)[0] ?? url);
  } catch {
    return null;
  }
}

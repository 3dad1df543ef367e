import { z } from 'zod';
import { filterString } from './filter.ts';
import { parseMlflowJson } from './json.ts';
import { withMetadata, withTag } from './marked-body.ts';

/** What a thing made by a marked call bears in MLflow: a tag, or an entry of an assessment's metadata. */
const MARK = 'asgard.request_id';

/** Asks MLflow; resolves with the JSON that it answers, or null when it says 404. Rejects when it fails otherwise. */
export type Ask = (method: 'GET' | 'POST', path: string, body?: object) => Promise<unknown>;

/** A call that does more, or is refused, when MLflow gets it a second time. */
export interface UnrepeatableCall {
  /** The body to send, so that what the call makes can be found. */
  marked(mark: string): string;
  /** What MLflow answers to the call, when it has done it already; null when it has not. */
  done(ask: Ask, mark: string): Promise<object | null>;
  /** It takes something away or moves it: that a repeat finds it no more (404) means that it is done. */
  readonly isRemoval: boolean;
}

/**
 * Whether a call must reach MLflow once, by MLflow 2.16's and 3.17's REST API. Most others are harmless: MLflow keeps one
 * of equal metrics, parameters, tags and inputs, and a trace's id is its client's. What scripts hardly ever make through
 * it (webhooks, scorers, data sets for evaluation, issues, review queues) is not looked after.
 * @param url path and query as they were sent
 * @returns how to read the call from its body: null when MLflow is going to refuse that. Null when the call is none
 */
export function unrepeatableCall(method: string, url: string): ((body: string) => UnrepeatableCall | null) | null {
  const [, path] = /^\/(?:ajax-)?api\/[\d.]+\/mlflow\/([^?]*)/.exec(url) ?? [];
  if (path === undefined) return null;
  if (method === 'DELETE' || (method === 'POST' && REMOVALS.has(path))) return removal;
  const [pattern, read] = (method === 'POST' && READERS.find(([each]) => each.test(path))) || [];
  if (pattern === undefined || read === undefined) return null;
  const [, id = ''] = pattern.exec(path) ?? [];
  return (body) => {
    try {
      return { isRemoval: false, ...read(body, id) };
    } catch {
      return null;
    }
  };
}

function removal(body: string): UnrepeatableCall {
  return { marked: () => body, done: async () => null, isRemoval: true };
}

const REMOVALS = new Set([
  'experiments/delete',
  'experiments/restore',
  'experiments/delete-experiment-tag',
  'runs/delete-tag',
]);

type Reader = (body: string, id: string) => Pick<UnrepeatableCall, 'marked' | 'done'>;

const READERS: readonly (readonly [RegExp, Reader])[] = [
  [/^runs\/create$/, createdRun],
  [/^runs\/log-model$/, recordedModel],
  [/^runs\/outputs$/, runOutputs],
  [/^logged-models$/, createdLoggedModel],
  [/^logged-models\/([^/]+)\/params$/, modelParams],
  [/^experiments\/create$/, createdExperiment],
  [/^registered-models\/create$/, createdModel],
  [/^registered-models\/rename$/, renamedModel],
  [/^model-versions\/create$/, createdVersion],
  [/^traces\/([^/]+)\/assessments$/, createdAssessment],
];

const API = '/api/2.0/mlflow';
const TRACES = '/api/3.0/mlflow/traces';
/** By MLflow's default. */
const DEFAULT_EXPERIMENT = '0';

const tags = z.array(z.object({ key: z.string(), value: z.string().default('') })).default([]);
const object = z.record(z.string(), z.unknown());

function createdRun(body: string): ReturnType<Reader> {
  const { experiment_id } = z.object({ experiment_id: z.string().nullish() }).parse(parseMlflowJson(body));
  return {
    marked: (mark) => withTag(body, MARK, mark),
    done: async (ask, mark) => {
      const search = { ...searchFor(mark, experiment_id), run_view_type: 'ALL' };
      const answer = z.object({ runs: z.array(object).default([]) });
      const [run] = answer.parse(await ask('POST', `${API}/runs/search`, search)).runs;
      return run === undefined ? null : { run };
    },
  };
}

function createdLoggedModel(body: string): ReturnType<Reader> {
  const { experiment_id } = z.object({ experiment_id: z.string().nullish() }).parse(parseMlflowJson(body));
  return {
    marked: (mark) => withTag(body, MARK, mark),
    done: async (ask, mark) => {
      const search = searchFor(mark, experiment_id);
      const answer = z.object({ models: z.array(object).default([]) });
      const [model] = answer.parse(await ask('POST', `${API}/logged-models/search`, search)).models;
      return model === undefined ? null : { model };
    },
  };
}

function createdVersion(body: string): ReturnType<Reader> {
  const given = z.object({ name: z.string(), tags }).parse(parseMlflowJson(body));
  // A search finds prompts, which are kept in the same registry, only when it asks for them.
  const prompt = given.tags.find(({ key }) => key === 'mlflow.prompt.is_prompt');
  const kind = prompt === undefined ? [] : [filterString(`tags.\`${prompt.key}\``, [prompt.value])];
  return {
    marked: (mark) => withTag(body, MARK, mark),
    done: async (ask, mark) => {
      const filter = [markFilter(mark), ...kind].join(' AND ');
      const query = new URLSearchParams({ filter, max_results: '1' });
      const answer = z.object({ model_versions: z.array(object).default([]) });
      const [version] = answer.parse(await ask('GET', `${API}/model-versions/search?${query}`)).model_versions;
      return version === undefined ? null : { model_version: version };
    },
  };
}

function createdExperiment(body: string): ReturnType<Reader> {
  const { name } = z.object({ name: z.string() }).parse(parseMlflowJson(body));
  const answer = z.object({ experiment: z.object({ experiment_id: z.string(), tags }) }).nullable();
  return {
    marked: (mark) => withTag(body, MARK, mark),
    done: async (ask, mark) => {
      const query = new URLSearchParams({ experiment_name: name });
      const found = answer.parse(await ask('GET', `${API}/experiments/get-by-name?${query}`))?.experiment;
      return isMarked(found?.tags, mark) ? { experiment_id: found?.experiment_id } : null;
    },
  };
}

function createdModel(body: string): ReturnType<Reader> {
  const { name } = z.object({ name: z.string() }).parse(parseMlflowJson(body));
  const answer = z.object({ registered_model: z.looseObject({ tags }) }).nullable();
  return {
    marked: (mark) => withTag(body, MARK, mark),
    done: async (ask, mark) => {
      const found = answer.parse(await ask('GET', registeredModel(name)));
      return isMarked(found?.registered_model.tags, mark) ? found : null;
    },
  };
}

function renamedModel(body: string): ReturnType<Reader> {
  const { name, new_name } = z.object({ name: z.string(), new_name: z.string() }).parse(parseMlflowJson(body));
  const answer = z.object({ registered_model: object }).nullable();
  return {
    marked: () => body,
    done: async (ask) => {
      if ((await ask('GET', registeredModel(name))) !== null) return null;
      return answer.parse(await ask('GET', registeredModel(new_name)));
    },
  };
}

function createdAssessment(body: string, traceId: string): ReturnType<Reader> {
  const metadata = z.record(z.string(), z.unknown()).nullish();
  const assessments = z.array(z.looseObject({ metadata })).default([]);
  const answer = z.object({ trace: z.object({ trace_info: z.object({ assessments }) }) }).nullable();
  return {
    marked: (mark) => withMetadata(body, MARK, mark),
    done: async (ask, mark) => {
      const found = answer.parse(await ask('GET', `${TRACES}/${traceId}`))?.trace.trace_info.assessments;
      const assessment = found?.find((each) => each.metadata?.[MARK] === mark);
      return assessment === undefined ? null : { assessment };
    },
  };
}

/** MLflow 2's record of a saved model is added to a list, in a tag of the run. */
function recordedModel(body: string): ReturnType<Reader> {
  const { run_id, model_json } = z.object({ run_id: z.string(), model_json: z.string() }).parse(parseMlflowJson(body));
  const record = z.object({ model_uuid: z.string(), utc_time_created: z.string() });
  const model = record.parse(parseMlflowJson(model_json));
  return {
    marked: () => body,
    done: async (ask) => {
      const history = (await runOf(ask, run_id))?.data.tags.find(({ key }) => key === 'mlflow.log-model.history');
      const records = z.array(record.partial()).parse(parseMlflowJson(history?.value ?? '[]'));
      const isThere = records.some((each) => JSON.stringify(each) === JSON.stringify(model));
      return isThere ? {} : null;
    },
  };
}

function runOutputs(body: string): ReturnType<Reader> {
  const models = z.array(z.object({ model_id: z.string() }));
  const given = z.object({ run_id: z.string(), models }).parse(parseMlflowJson(body));
  return {
    marked: () => body,
    done: async (ask) => {
      const outputs = (await runOf(ask, given.run_id))?.outputs.model_outputs.map(({ model_id }) => model_id) ?? [];
      return given.models.every(({ model_id }) => outputs.includes(model_id)) ? {} : null;
    },
  };
}

function modelParams(body: string, modelId: string): ReturnType<Reader> {
  const params = z.array(z.object({ key: z.string() })).default([]);
  const given = z.object({ params }).parse(parseMlflowJson(body));
  const answer = z.object({ model: z.object({ data: z.object({ params }).default({ params: [] }) }) }).nullable();
  return {
    marked: () => body,
    done: async (ask) => {
      const found = answer.parse(await ask('GET', `${API}/logged-models/${modelId}`))?.model.data.params ?? [];
      const keys = new Set(found.map(({ key }) => key));
      return given.params.every(({ key }) => keys.has(key)) ? {} : null;
    },
  };
}

async function runOf(ask: Ask, runId: string) {
  const outputs = z.object({ model_outputs: z.array(z.object({ model_id: z.string() })).default([]) });
  const run = z.object({
    data: z.object({ tags }).default({ tags: [] }),
    outputs: outputs.default({ model_outputs: [] }),
  });
  const query = new URLSearchParams({ run_id: runId });
  return z
    .object({ run })
    .nullable()
    .parse(await ask('GET', `${API}/runs/get?${query}`))?.run;
}

function registeredModel(name: string): string {
  return `${API}/registered-models/get?${new URLSearchParams({ name })}`;
}

function searchFor(mark: string, experimentId: string | null | undefined) {
  return { experiment_ids: [experimentId || DEFAULT_EXPERIMENT], filter: markFilter(mark), max_results: 1 };
}

function markFilter(mark: string): string {
  return filterString(`tags.\`${MARK}\``, [mark]);
}

function isMarked(given: z.output<typeof tags> | undefined, mark: string): boolean {
  return given?.some(({ key, value }) => key === MARK && value === mark) === true;
}

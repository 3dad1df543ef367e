import type { Readable } from 'node:stream';
import { z } from 'zod';
import type { Page } from '../platform/page.ts';
import { type ConnectionOptions, MlflowConnection } from './connection.ts';
import { RegistryWrites } from './registry-writes.ts';
import { fileOf, listingOf, type StoredFolder } from './stored-folder.ts';
import {
  type Artifact,
  artifactWire,
  type Experiment,
  experimentWire,
  type LoggedModel,
  loggedModelWire,
  type ModelVersion,
  modelVersionWire,
  nextPageToken,
  type RegisteredModel,
  type Run,
  registeredModelWire,
  runWire,
} from './wire.ts';

interface PageRequest {
  /** From 1 to MLflow's limit for the list: 1,000 registered models, 50,000 of the others. */
  readonly maxResults: number;
  readonly pageToken?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface SearchRequest extends PageRequest {
  /** In MLflow's search grammar; user text only through `filter.ts`. */
  readonly filter?: string | undefined;
  /** E.g. `['attributes.start_time DESC']`. */
  readonly orderBy?: readonly string[] | undefined;
}

export interface NewModelVersion {
  readonly name: string;
  readonly source: string;
  readonly runId?: string | undefined;
  /** Of a `models:/m-…` source: the server refuses that source without it. */
  readonly modelId?: string | undefined;
  readonly description?: string | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
}

/** A data set that a run read. MLflow knows one by its name and digest. */
export interface DatasetInput {
  /** Up to 500 characters. */
  readonly name: string;
  /** Up to 36 characters. */
  readonly digest: string;
  readonly sourceType: string;
  readonly source: string;
  /** JSON, as MLflow's pages show it. */
  readonly profile: string;
  /** Of the input, not of the data set. */
  readonly tags: Readonly<Record<string, string>>;
}

/**
 * MLflow's REST API, typed. Every method rejects with AsgardError: NOT_FOUND, CONFLICT or INVALID_INPUT as MLflow
 * answered, UNAVAILABLE when it cannot be reached, TIMEOUT after 30 s, UPSTREAM for any other failure of its own; and
 * with the signal's reason when the caller aborts. Holds connections: whoever makes it disposes of it.
 */
export class MlflowClient implements AsyncDisposable {
  readonly #connection: MlflowConnection;
  /** What changes registered models and versions that are there. */
  readonly registry: RegistryWrites;

  constructor(options: ConnectionOptions) {
    this.#connection = new MlflowConnection(options);
    this.registry = new RegistryWrites(this.#connection);
  }

  /** Whether the server answers its health check within 3 s. Never rejects. */
  isHealthy(signal?: AbortSignal): Promise<boolean> {
    return this.#connection.isHealthy(signal);
  }

  /** Active experiments, the newest first. */
  async searchExperiments(
    request: SearchRequest & { readonly isDeletedIncluded?: boolean },
  ): Promise<Page<Experiment>> {
    const body = {
      view_type: request.isDeletedIncluded === true ? 'ALL' : 'ACTIVE_ONLY',
      order_by: request.orderBy ?? ['creation_time DESC', 'experiment_id DESC'],
      ...searchFields(request),
    };
    const answer = z.object({ experiments: z.array(experimentWire).default([]), next_page_token: nextPageToken });
    const { experiments, next_page_token } = await this.#post('experiments/search', body, answer, request.signal);
    return { items: experiments, nextPageToken: next_page_token };
  }

  async getExperiment(id: string, signal?: AbortSignal): Promise<Experiment> {
    const answer = z.object({ experiment: experimentWire });
    return (await this.#get('experiments/get', { experiment_id: id }, answer, signal)).experiment;
  }

  async getExperimentByName(name: string, signal?: AbortSignal): Promise<Experiment> {
    const answer = z.object({ experiment: experimentWire });
    return (await this.#get('experiments/get-by-name', { experiment_name: name }, answer, signal)).experiment;
  }

  /** @throws AsgardError CONFLICT when there is one of this name, also a deleted one */
  async createExperiment(name: string, signal?: AbortSignal): Promise<void> {
    await this.#post('experiments/create', { name }, z.object({ experiment_id: z.string() }), signal, false);
  }

  /** Runs of any of the experiments (none: no runs, no request), in the order asked for, else the newest first. */
  async searchRuns(
    request: SearchRequest & { readonly experimentIds: readonly string[]; readonly isDeletedIncluded?: boolean },
  ): Promise<Page<Run>> {
    if (request.experimentIds.length === 0) return { items: [], nextPageToken: null };
    const body = {
      experiment_ids: request.experimentIds,
      run_view_type: request.isDeletedIncluded === true ? 'ALL' : 'ACTIVE_ONLY',
      order_by: request.orderBy ?? [],
      ...searchFields(request),
    };
    const answer = z.object({ runs: z.array(runWire).default([]), next_page_token: nextPageToken });
    const { runs, next_page_token } = await this.#post('runs/search', body, answer, request.signal);
    return { items: runs, nextPageToken: next_page_token };
  }

  async getRun(id: string, signal?: AbortSignal): Promise<Run> {
    return (await this.#get('runs/get', { run_id: id }, z.object({ run: runWire }), signal)).run;
  }

  /** Sets tags of a run; tags of other names stay. */
  async setRunTags(runId: string, tags: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<void> {
    await this.#post('runs/log-batch', { run_id: runId, tags: tagList(tags) }, z.object({}), signal);
  }

  /** Adds data sets to what a run read; one that is there already stays as it is. */
  async logInputs(runId: string, inputs: readonly DatasetInput[], signal?: AbortSignal): Promise<void> {
    const datasets = inputs.map(({ name, digest, sourceType, source, profile, tags }) => ({
      tags: tagList(tags),
      dataset: { name, digest, source_type: sourceType, source, profile },
    }));
    await this.#post('runs/log-inputs', { run_id: runId, datasets }, z.object({}), signal);
  }

  /** Files and folders directly in `path` (default: the root) of a run's artifacts. */
  async listArtifacts(runId: string, path?: string, signal?: AbortSignal): Promise<Artifact[]> {
    const answer = z.object({ files: z.array(artifactWire).default([]) });
    return (await this.#get('artifacts/list', { run_id: runId, path }, answer, signal)).files;
  }

  /** Keeps a text as a file at `path` among a run's artifacts, in place of what is there. At most 10 MiB. */
  async logText(runId: string, path: string, text: string, signal?: AbortSignal): Promise<void> {
    // The endpoint of MLflow's own pages: the one way that leaves it to the server where a run's artifacts lie.
    const endpoint = `/ajax-api/2.0/mlflow/upload-artifact${queryString({ run_uuid: runId, path })}`;
    const request = { method: 'POST', path: endpoint, body: text, signal, isRepeatable: true } as const;
    await this.#connection.request(request, z.object({}));
  }

  /** @throws AsgardError NOT_FOUND, and UPSTREAM on a server before MLflow 3, which has none */
  async getLoggedModel(id: string, signal?: AbortSignal): Promise<LoggedModel> {
    const answer = z.object({ model: loggedModelWire });
    return (await this.#get(`logged-models/${encodeURIComponent(id)}`, {}, answer, signal)).model;
  }

  async searchRegisteredModels(request: SearchRequest): Promise<Page<RegisteredModel>> {
    const query = { ...searchFields(request), order_by: request.orderBy ?? ['name ASC'] };
    const answer = z.object({
      registered_models: z.array(registeredModelWire).default([]),
      next_page_token: nextPageToken,
    });
    const found = await this.#get('registered-models/search', query, answer, request.signal);
    return { items: found.registered_models, nextPageToken: found.next_page_token };
  }

  async getRegisteredModel(name: string, signal?: AbortSignal): Promise<RegisteredModel> {
    const answer = z.object({ registered_model: registeredModelWire });
    return (await this.#get('registered-models/get', { name }, answer, signal)).registered_model;
  }

  async createRegisteredModel(
    name: string,
    options: { readonly description?: string; readonly tags?: Readonly<Record<string, string>> } = {},
    signal?: AbortSignal,
  ): Promise<RegisteredModel> {
    const answer = z.object({ registered_model: registeredModelWire });
    const body = { name, description: options.description, tags: tagList(options.tags) };
    return (await this.#post('registered-models/create', body, answer, signal, false)).registered_model;
  }

  async searchModelVersions(request: SearchRequest): Promise<Page<ModelVersion>> {
    const query = { ...searchFields(request), order_by: request.orderBy ?? ['version_number DESC'] };
    const answer = z.object({ model_versions: z.array(modelVersionWire).default([]), next_page_token: nextPageToken });
    const found = await this.#get('model-versions/search', query, answer, request.signal);
    return { items: found.model_versions, nextPageToken: found.next_page_token };
  }

  async getModelVersion(name: string, version: string, signal?: AbortSignal): Promise<ModelVersion> {
    const answer = z.object({ model_version: modelVersionWire });
    return (await this.#get('model-versions/get', { name, version }, answer, signal)).model_version;
  }

  /** Where a version's files lie, e.g. `mlflow-artifacts:/1/<run id>/artifacts/model`. */
  async getModelVersionLocation(name: string, version: string, signal?: AbortSignal): Promise<string> {
    const answer = z.object({ artifact_uri: z.string() });
    return (await this.#get('model-versions/get-download-uri', { name, version }, answer, signal)).artifact_uri;
  }

  /** Files and folders directly in a folder, by their names alone; none when it is a file or does not exist. */
  async listStored(folder: StoredFolder, path: string, signal?: AbortSignal): Promise<Artifact[]> {
    const answer = z.object({ files: z.array(artifactWire).default([]) });
    const request = { method: 'GET', path: listingOf(folder, path), signal, isRepeatable: true } as const;
    const { files } = await this.#connection.request(request, answer);
    return files.map((file) => ({ ...file, path: file.path.slice(file.path.lastIndexOf('/') + 1) }));
  }

  /** The bytes of a file in a folder, as they come. An empty path is the folder itself, which may be a file. */
  readStored(folder: StoredFolder, path: string, signal: AbortSignal): Promise<Readable> {
    return this.#connection.download(fileOf(folder, path), signal);
  }

  /** NOT_FOUND when the registered model does not exist, INVALID_INPUT when it has no such alias. */
  async getModelVersionByAlias(name: string, alias: string, signal?: AbortSignal): Promise<ModelVersion> {
    const answer = z.object({ model_version: modelVersionWire });
    return (await this.#get('registered-models/alias', { name, alias }, answer, signal)).model_version;
  }

  /** NOT_FOUND when the registered model, the run or the logged model does not exist. */
  async createModelVersion(version: NewModelVersion, signal?: AbortSignal): Promise<ModelVersion> {
    const body = {
      name: version.name,
      source: version.source,
      run_id: version.runId,
      model_id: version.modelId,
      description: version.description,
      tags: tagList(version.tags),
    };
    const answer = z.object({ model_version: modelVersionWire });
    return (await this.#post('model-versions/create', body, answer, signal, false)).model_version;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
  }

  #get<T extends z.ZodType>(endpoint: string, query: Query, answer: T, signal?: AbortSignal): Promise<z.output<T>> {
    const path = `/api/2.0/mlflow/${endpoint}${queryString(query)}`;
    return this.#connection.request({ method: 'GET', path, signal, isRepeatable: true }, answer);
  }

  #post<T extends z.ZodType>(endpoint: string, content: object, answer: T, signal?: AbortSignal, isRepeatable = true) {
    const path = `/api/2.0/mlflow/${endpoint}`;
    const body = JSON.stringify(content);
    return this.#connection.request({ method: 'POST', path, body, signal, isRepeatable }, answer);
  }
}

type Query = Readonly<Record<string, string | number | readonly string[] | undefined>>;

function searchFields({ filter, maxResults, pageToken }: SearchRequest) {
  return { filter, max_results: maxResults, page_token: pageToken };
}

function tagList(tags: Readonly<Record<string, string>> = {}): { key: string; value: string }[] {
  return Object.entries(tags).map(([key, value]) => ({ key, value }));
}

function queryString(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const each of Array.isArray(value) ? value : [value]) parameters.append(name, String(each));
  }
  return parameters.size === 0 ? '' : `?${parameters}`;
}

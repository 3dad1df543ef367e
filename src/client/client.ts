import { Connection, type ConnectionOptions } from './connection.ts';
import { found, successOf } from './errors.ts';
import { FeatureClient } from './feature-client.ts';
import {
  CancelTrainingJobDocument,
  ExperimentDocument,
  ExperimentsDocument,
  JobEventPageDocument,
  JobEventSearchDocument,
  type JobEventType,
  JobLogTextDocument,
  JobScriptDocument,
  JobStatusChangesDocument,
  ModelDocument,
  ModelsDocument,
  ModelVersionDocument,
  ModelVersionsDocument,
  PlatformStatusDocument,
  PredictDocument,
  type PredictInput,
  RunDocument,
  RunsDocument,
  ServedModelsDocument,
  SubmitTrainingJobDocument,
  type SubmitTrainingJobInput,
  TrainingJobCountDocument,
  TrainingJobDocument,
  type TrainingJobFilter,
  TrainingJobsDocument,
} from './generated/graphql.ts';
import { type JobEvent, jobEventStream, singleEvents } from './job-event-stream.ts';
import { allItems, type Page, pageOf } from './pages.ts';
import { RegistryClient } from './registry-client.ts';
import { retrying } from './retrying.ts';
import type {
  CancelledJob,
  Experiment,
  ExperimentListOptions,
  FoundModelVersion,
  FoundRun,
  Job,
  JobEventSearchOptions,
  JobListOptions,
  JobScript,
  JobStatusChange,
  ListedJob,
  LogLine,
  Model,
  ModelListOptions,
  ModelVersion,
  PageOptions,
  PlatformStatus,
  Prediction,
  PredictOptions,
  Run,
  RunListOptions,
  ServedModel,
  SubmittedJob,
} from './types.ts';

export { AsgardRequestError } from './errors.ts';
export type * from './feature-types.ts';
export type * from './registry-types.ts';
export type * from './types.ts';
export type { JobEvent, Page };

export interface FollowOptions {
  /** The number of the last event that the caller has; 0, the default, for all. */
  readonly after?: number;
  /** Ends the stream: the iteration throws its reason. */
  readonly signal?: AbortSignal;
}

/**
 * Asgard's GraphQL API as typed calls. Every method throws `AsgardRequestError` for what the platform refuses, or when
 * it cannot be reached. It holds a WebSocket while something is followed: whoever makes it disposes of it, which ends
 * every stream.
 */
export class AsgardClient implements AsyncDisposable {
  /** Tables, feature views of them, and their online values. */
  readonly features: FeatureClient;
  /** Changes of registered models, where versions come from, how they differ, and deployments. */
  readonly registry: RegistryClient;
  readonly #connection: Connection;

  constructor(options: ConnectionOptions) {
    this.#connection = new Connection(options);
    this.features = new FeatureClient(this.#connection);
    this.registry = new RegistryClient(this.#connection);
  }

  /** Hands in a script; the job is QUEUED when this returns. */
  async submit(input: SubmitTrainingJobInput): Promise<SubmittedJob> {
    return successOf((await this.#connection.request(SubmitTrainingJobDocument, { input })).submitTrainingJob);
  }

  /** A job with its run and model version. @throws AsgardRequestError NOT_FOUND */
  async job(id: string): Promise<Job> {
    return found((await this.#connection.request(TrainingJobDocument, { id })).trainingJob, `job "${id}"`);
  }

  /** What a job was handed in with: its script, and the variables that it sees. @throws AsgardRequestError NOT_FOUND */
  async jobScript(id: string): Promise<JobScript> {
    return found((await this.#connection.request(JobScriptDocument, { id })).trainingJob, `job "${id}"`);
  }

  /** A page of jobs, the newest first unless `orderBy` says otherwise. */
  async jobs(options: JobListOptions = {}): Promise<Page<ListedJob>> {
    return pageOf((await this.#connection.request(TrainingJobsDocument, { ...options })).trainingJobs);
  }

  /** Every job, page by page as the iteration comes to it. */
  allJobs(options: Omit<JobListOptions, 'last' | 'before'> = {}): AsyncGenerator<ListedJob, void> {
    return allItems((page) => this.jobs(page), options);
  }

  /** How many jobs a filter chooses; without one, how many there are. */
  async countJobs(filter?: TrainingJobFilter): Promise<number> {
    return (await this.#connection.request(TrainingJobCountDocument, { filter: filter ?? null })).trainingJobs
      .totalCount;
  }

  /** Asks for a job's end. @throws AsgardRequestError NOT_FOUND; CONFLICT when it has ended in another way */
  async cancel(id: string, reason?: string): Promise<CancelledJob> {
    return successOf(
      (await this.#connection.request(CancelTrainingJobDocument, { id, reason: reason ?? null })).cancelTrainingJob,
    );
  }

  /** A job's whole log so far. @throws AsgardRequestError NOT_FOUND */
  async logText(id: string): Promise<string> {
    return found((await this.#connection.request(JobLogTextDocument, { id })).trainingJob, `job "${id}"`).logText;
  }

  /**
   * Events of a job that have happened, above `after` (0 when absent) in the order of their numbers: up to `first` (1 to
   * 1,000; 100 when absent). The number of the last one, as `after`, begins the next page; `jobEvents` goes on live.
   * @throws AsgardRequestError NOT_FOUND
   */
  async pastJobEvents(
    id: string,
    options: { readonly after?: number; readonly first?: number; readonly types?: readonly JobEventType[] } = {},
  ): Promise<readonly JobEvent[]> {
    const { after = 0, first = 100, types = null } = options;
    const { trainingJob } = await this.#connection.request(JobEventPageDocument, { id, after, first, types });
    return [...singleEvents(found(trainingJob, `job "${id}"`).events)];
  }

  /**
   * A page of a job's events that have happened, searched by `filter`. One search looks at a bounded part of a long log, so a
   * page may hold fewer than `first` (1 to 1,000; 20 when absent), also none, before the end. @throws AsgardRequestError NOT_FOUND
   */
  async searchJobEvents(id: string, options: JobEventSearchOptions = {}): Promise<Page<JobEvent>> {
    const { trainingJob } = await this.#connection.request(JobEventSearchDocument, { id, ...options });
    const page = pageOf(found(trainingJob, `job "${id}"`).eventConnection);
    return { ...page, items: [...singleEvents(page.items)] };
  }

  /** Every event that has happened and that `filter` chooses, page by page. @throws AsgardRequestError NOT_FOUND */
  allJobEvents(
    id: string,
    options: Omit<JobEventSearchOptions, 'last' | 'before'> = {},
  ): AsyncGenerator<JobEvent, void> {
    return allItems((page) => this.searchJobEvents(id, page), options);
  }

  /** A page of experiments, the newest first unless `orderBy` says otherwise. */
  async experiments(options: ExperimentListOptions = {}): Promise<Page<Experiment>> {
    return pageOf((await this.#connection.request(ExperimentsDocument, { ...options })).experiments);
  }

  /** Every experiment, page by page. */
  allExperiments(options: ExperimentListOptions = {}): AsyncGenerator<Experiment, void> {
    return allItems((page) => this.experiments(page), options);
  }

  /** The experiment of an id or a name. @throws AsgardRequestError NOT_FOUND */
  async experiment(key: { readonly id: string } | { readonly name: string }): Promise<Experiment> {
    const { experiment } = await this.#connection.request(ExperimentDocument, key);
    return found(experiment, `experiment "${'id' in key ? key.id : key.name}"`);
  }

  /** A page of an experiment's runs, the newest first unless `orderBy` says otherwise. @throws AsgardRequestError NOT_FOUND */
  async runs(experimentId: string, options: RunListOptions = {}): Promise<Page<Run>> {
    const { experiment } = await this.#connection.request(RunsDocument, { experimentId, ...options });
    return pageOf(found(experiment, `experiment "${experimentId}"`).runs);
  }

  /** Every run of an experiment, page by page. @throws AsgardRequestError NOT_FOUND */
  allRuns(experimentId: string, options: RunListOptions = {}): AsyncGenerator<Run, void> {
    return allItems((page) => this.runs(experimentId, page), options);
  }

  /** A run, with the job that made it. @throws AsgardRequestError NOT_FOUND */
  async run(id: string): Promise<FoundRun> {
    return found((await this.#connection.request(RunDocument, { id })).run, `run "${id}"`);
  }

  /** A page of registered models, by name unless `orderBy` says otherwise. */
  async models(options: ModelListOptions = {}): Promise<Page<Model>> {
    return pageOf((await this.#connection.request(ModelsDocument, { ...options })).models);
  }

  /** Every registered model, page by page. */
  allModels(options: ModelListOptions = {}): AsyncGenerator<Model, void> {
    return allItems((page) => this.models(page), options);
  }

  /** A registered model, with its newest version. @throws AsgardRequestError NOT_FOUND */
  async model(name: string): Promise<Model> {
    return found((await this.#connection.request(ModelDocument, { name })).model, `model "${name}"`);
  }

  /** A page of a model's versions, the newest first. @throws AsgardRequestError NOT_FOUND */
  async modelVersions(name: string, options: PageOptions = {}): Promise<Page<ModelVersion>> {
    const { model } = await this.#connection.request(ModelVersionsDocument, { name, ...options });
    return pageOf(found(model, `model "${name}"`).versions);
  }

  /** Every version of a model, page by page. @throws AsgardRequestError NOT_FOUND */
  allModelVersions(name: string, options: PageOptions = {}): AsyncGenerator<ModelVersion, void> {
    return allItems((page) => this.modelVersions(name, page), options);
  }

  /** A version of a model, with the job that it came out of. @throws AsgardRequestError NOT_FOUND */
  async modelVersion(name: string, version: string): Promise<FoundModelVersion> {
    const { modelVersion } = await this.#connection.request(ModelVersionDocument, { name, version });
    return found(modelVersion, `version ${version} of model "${name}"`);
  }

  /**
   * `inputs: {column: value[n]}`, or `entities: {join key: value[n]}` whose features are looked up → `predictions: value[n]`, and
   * what answered. While the platform or the model is UNAVAILABLE,
   * it is asked again after the time that the platform says: a prediction changes nothing.
   * @throws AsgardRequestError INVALID_INPUT naming the column and row; NOT_FOUND; CONFLICT when the version cannot be served, with
   * the reason; UNAVAILABLE after the last retry; TIMEOUT. The signal's reason
   */
  predict(input: PredictInput, { signal, retries = 3 }: PredictOptions = {}): Promise<Prediction> {
    const ask = async () => successOf((await this.#connection.request(PredictDocument, { input }, signal)).predict);
    return retrying(ask, { retries, signal });
  }

  /** The versions in the memory of the platform that answers, those that were used last first. */
  async servedModels(): Promise<readonly ServedModel[]> {
    return (await this.#connection.request(ServedModelsDocument, {})).servedModels;
  }

  /** How the platform is. */
  async status(): Promise<PlatformStatus> {
    return (await this.#connection.request(PlatformStatusDocument, {})).platformStatus;
  }

  /**
   * A job's events, those that happened and then each as it happens, until it has ended: each once, in the order of
   * their numbers, over as many connections as it takes.
   * @throws AsgardRequestError NOT_FOUND; UNAVAILABLE when the platform cannot be reached again
   */
  jobEvents(
    id: string,
    options: FollowOptions & { readonly types?: readonly JobEventType[] } = {},
  ): AsyncGenerator<JobEvent, void> {
    const { after = 0, types, signal } = options;
    return jobEventStream(this.#connection, { id, after, types, signal });
  }

  /** A job's log lines, as `jobEvents` gives them. */
  async *jobLog(id: string, options: FollowOptions = {}): AsyncGenerator<LogLine, void> {
    for await (const event of this.jobEvents(id, { ...options, types: ['LOG'] })) {
      if (event.__typename === 'LogLine') yield event;
    }
  }

  /** Transitions of all jobs from now on, over one connection: a loss of it ends the iteration with an error. */
  async *statusChanges(options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<JobStatusChange, void> {
    for await (const payload of this.#connection.payloads(JobStatusChangesDocument, {}, options.signal)) {
      yield* payload.jobStatusChanges;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#connection[Symbol.asyncDispose]();
  }
}

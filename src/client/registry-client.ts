import type { Connection } from './connection.ts';
import { found, successOf } from './errors.ts';
import {
  AllModelVersionsDocument,
  CompareJobsDocument,
  CompareModelVersionsDocument,
  DeleteModelAliasDocument,
  DeleteModelDocument,
  DeleteModelVersionDocument,
  DeployModelDocument,
  DeploymentDocument,
  DeploymentEventsDocument,
  type ModelChange,
  ModelLineageDocument,
  type ModelVersionName,
  RegisterModelDocument,
  type RegisterModelInput,
  SetModelAliasDocument,
  type SubmitTrainingJobInput,
  UpdateModelDocument,
  UpdateModelVersionDocument,
} from './generated/graphql.ts';
import { allItems, type Page, pageOf } from './pages.ts';
import type {
  Comparison,
  DeletedAlias,
  Deployment,
  ModelLineage,
  MovedAlias,
  VersionListOptions,
} from './registry-types.ts';
import type { Model, ModelVersion } from './types.ts';

/** What there is around registered models, as `client.registry`. Methods throw as `AsgardClient`'s do. */
export class RegistryClient {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Makes the model that a run saved a new version. Safe to repeat: the same input again gives the version that it made.
   * @throws AsgardRequestError NOT_FOUND when there is no such run; INVALID_INPUT when it saved no model
   */
  async register(input: RegisterModelInput): Promise<ModelVersion> {
    return successOf((await this.#connection.request(RegisterModelDocument, { input })).registerModel);
  }

  /**
   * Has an alias name a version of a model, whatever it named before.
   * @param force also a version that was tried and refused
   * @throws AsgardRequestError NOT_FOUND; CONFLICT with the reason when the version cannot be served
   */
  async setAlias(name: string, alias: string, version: string, { force = false } = {}): Promise<MovedAlias> {
    const variables = { name, alias, version, force };
    return successOf((await this.#connection.request(SetModelAliasDocument, variables)).setModelAlias);
  }

  /** @throws AsgardRequestError NOT_FOUND, naming the nearest alias */
  async deleteAlias(name: string, alias: string): Promise<DeletedAlias> {
    return successOf((await this.#connection.request(DeleteModelAliasDocument, { name, alias })).deleteModelAlias);
  }

  /** Changes a model's description and tags. @throws AsgardRequestError NOT_FOUND */
  async updateModel(name: string, change: ModelChange): Promise<Model> {
    return successOf((await this.#connection.request(UpdateModelDocument, { name, change })).updateModel);
  }

  /** Changes a version's description and tags. @throws AsgardRequestError NOT_FOUND */
  async updateVersion(name: string, version: string, change: ModelChange): Promise<ModelVersion> {
    const variables = { name, version, change };
    return successOf((await this.#connection.request(UpdateModelVersionDocument, variables)).updateModelVersion);
  }

  /** Deletes a model with all its versions. @throws AsgardRequestError NOT_FOUND; CONFLICT while it has an alias */
  async deleteModel(name: string): Promise<void> {
    successOf((await this.#connection.request(DeleteModelDocument, { name })).deleteModel);
  }

  /** @throws AsgardRequestError NOT_FOUND; CONFLICT while an alias names it */
  async deleteVersion(name: string, version: string): Promise<void> {
    successOf((await this.#connection.request(DeleteModelVersionDocument, { name, version })).deleteModelVersion);
  }

  /** A page of versions of all models, those that were registered last first. */
  async versions(options: VersionListOptions = {}): Promise<Page<ModelVersion>> {
    return pageOf((await this.#connection.request(AllModelVersionsDocument, { ...options })).modelVersions);
  }

  /** Every version of all models, page by page. */
  allVersions(options: VersionListOptions = {}): AsyncGenerator<ModelVersion, void> {
    return allItems((page) => this.versions(page), options);
  }

  /** A version with its run, its job with script and environment, and its features. @throws AsgardRequestError NOT_FOUND */
  async lineage(name: string, version: string): Promise<ModelLineage> {
    const { modelVersion } = await this.#connection.request(ModelLineageDocument, { name, version });
    return found(modelVersion, `version ${version} of model "${name}"`);
  }

  /** What differs between 2 to 10 jobs, the others compared with the first. @throws AsgardRequestError NOT_FOUND */
  async compareJobs(ids: readonly string[]): Promise<Comparison> {
    return (await this.#connection.request(CompareJobsDocument, { ids })).compareJobs;
  }

  /** What differs between 2 to 10 versions, the others compared with the first. @throws AsgardRequestError NOT_FOUND */
  async compareVersions(versions: readonly ModelVersionName[]): Promise<Comparison> {
    return (await this.#connection.request(CompareModelVersionsDocument, { versions })).compareModelVersions;
  }

  /**
   * Hands in a script whose model an alias (`champion` when absent) names once the job has completed and the model works. Returns
   * at once. @throws AsgardRequestError CONFLICT for the `idempotencyKey` of a job without a deployment
   */
  async deploy(input: SubmitTrainingJobInput, alias?: string): Promise<Deployment> {
    const variables = { input, alias: alias ?? null };
    return successOf((await this.#connection.request(DeployModelDocument, variables)).deployModel);
  }

  /** A deployment as it is now. @throws AsgardRequestError NOT_FOUND */
  async deployment(id: string): Promise<Deployment> {
    return found((await this.#connection.request(DeploymentDocument, { id })).deployment, `deployment "${id}"`);
  }

  /**
   * A deployment as it is now and then each time that it stands elsewhere, until it is DEPLOYED or FAILED, over as many
   * connections as it takes.
   * @throws AsgardRequestError NOT_FOUND; UNAVAILABLE when the platform cannot be reached again
   */
  async *deploymentEvents(
    id: string,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<Deployment, void> {
    const purpose = () => `go on with the events of deployment "${id}"`;
    const options = { signal, purpose };
    const payloads = this.#connection.resumedPayloads(DeploymentEventsDocument, () => ({ id }), options);
    for await (const { deploymentEvents } of payloads) yield deploymentEvents;
  }
}

import type { Connection } from './connection.ts';
import { found, successOf } from './errors.ts';
import type {
  AppliedFeatureService,
  AppliedFeatureView,
  DeletedTable,
  Entity,
  FeatureService,
  FeatureView,
  FeatureViewPlan,
  FoundFeatureView,
  FoundTable,
  Materialization,
  MaterializationListOptions,
  NamedListOptions,
  OnlineFeatures,
  Table,
  TableRow,
  TableRowsOptions,
} from './feature-types.ts';
import {
  ApplyFeatureServiceDocument,
  ApplyFeatureViewDocument,
  DeleteFeatureServiceDocument,
  DeleteFeatureViewDocument,
  DeleteTableDocument,
  EntitiesDocument,
  FeatureServiceDocument,
  type FeatureServiceInput,
  FeatureServicesDocument,
  FeatureViewDocument,
  type FeatureViewInput,
  FeatureViewPlanDocument,
  FeatureViewsDocument,
  MaterializationDocument,
  MaterializationEventsDocument,
  MaterializationsDocument,
  MaterializeFeatureViewsDocument,
  OnlineFeaturesDocument,
  type OnlineFeaturesInput,
  TableDocument,
  TableRowsDocument,
  TablesDocument,
} from './generated/graphql.ts';
import { allItems, type Page, pageOf } from './pages.ts';
import type { PageOptions } from './types.ts';

/**
 * The feature store, as `client.features`. Tables are not written here: `PUT /iceberg/tables/{schema}/{table}` does that. Methods
 * throw as `AsgardClient`'s do.
 */
export class FeatureClient {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** A page of Iceberg tables, by schema and name. */
  async tables(options: PageOptions = {}): Promise<Page<Table>> {
    return pageOf((await this.#connection.request(TablesDocument, { ...options })).icebergTables);
  }

  /** Every table, page by page as the iteration comes to it. */
  allTables(options: PageOptions = {}): AsyncGenerator<Table, void> {
    return allItems((page) => this.tables(page), options);
  }

  /** A table with its newest 100 snapshots. @throws AsgardRequestError NOT_FOUND */
  async table(schema: string, name: string): Promise<FoundTable> {
    const { icebergTable } = await this.#connection.request(TableDocument, { schema, name });
    return found(icebergTable, `table "${schema}.${name}"`);
  }

  /** Some rows of a table, in no order. @throws AsgardRequestError NOT_FOUND, also of the snapshot */
  async tableRows(schema: string, name: string, options: TableRowsOptions = {}): Promise<readonly TableRow[]> {
    const { icebergTable } = await this.#connection.request(TableRowsDocument, { schema, name, ...options });
    return (found(icebergTable, `table "${schema}.${name}"`).preview ?? []) as TableRow[]; // as the API describes them
  }

  /** Deletes a table with the files of all its snapshots. @throws AsgardRequestError NOT_FOUND; CONFLICT while views read it */
  async deleteTable(schema: string, name: string): Promise<DeletedTable> {
    return successOf((await this.#connection.request(DeleteTableDocument, { schema, name })).deleteIcebergTable);
  }

  /** A page of feature views, by name. */
  async views(options: NamedListOptions = {}): Promise<Page<FeatureView>> {
    return pageOf((await this.#connection.request(FeatureViewsDocument, { ...options })).featureViews);
  }

  /** Every feature view, page by page. */
  allViews(options: NamedListOptions = {}): AsyncGenerator<FeatureView, void> {
    return allItems((page) => this.views(page), options);
  }

  /** A feature view. @throws AsgardRequestError NOT_FOUND */
  async view(name: string): Promise<FoundFeatureView> {
    return found((await this.#connection.request(FeatureViewDocument, { name })).featureView, `feature view "${name}"`);
  }

  /** A dry run: what applying the view would change, and what its table is like. @throws AsgardRequestError as `applyView` */
  async planView(input: FeatureViewInput): Promise<FeatureViewPlan> {
    return successOf((await this.#connection.request(FeatureViewPlanDocument, { input })).featureViewPlan);
  }

  /**
   * Creates a feature view, or makes the one of its name what the input says.
   * @throws AsgardRequestError INVALID_INPUT when it does not fit its table; CONFLICT when a service has what would go
   */
  async applyView(input: FeatureViewInput): Promise<AppliedFeatureView> {
    return successOf((await this.#connection.request(ApplyFeatureViewDocument, { input })).applyFeatureView);
  }

  /** Deletes a feature view with its online values. @throws AsgardRequestError NOT_FOUND; CONFLICT when a service has it */
  async deleteView(name: string): Promise<void> {
    successOf((await this.#connection.request(DeleteFeatureViewDocument, { name })).deleteFeatureView);
  }

  /** A page of feature services, by name. */
  async services(options: NamedListOptions = {}): Promise<Page<FeatureService>> {
    return pageOf((await this.#connection.request(FeatureServicesDocument, { ...options })).featureServices);
  }

  /** Every feature service, page by page. */
  allServices(options: NamedListOptions = {}): AsyncGenerator<FeatureService, void> {
    return allItems((page) => this.services(page), options);
  }

  /** A feature service. @throws AsgardRequestError NOT_FOUND */
  async service(name: string): Promise<FeatureService> {
    const { featureService } = await this.#connection.request(FeatureServiceDocument, { name });
    return found(featureService, `feature service "${name}"`);
  }

  /** Creates a feature service, or makes the one of its name what the input says. @throws AsgardRequestError INVALID_INPUT */
  async applyService(input: FeatureServiceInput): Promise<AppliedFeatureService> {
    return successOf((await this.#connection.request(ApplyFeatureServiceDocument, { input })).applyFeatureService);
  }

  /** Deletes a feature service; its views stay. @throws AsgardRequestError NOT_FOUND */
  async deleteService(name: string): Promise<void> {
    successOf((await this.#connection.request(DeleteFeatureServiceDocument, { name })).deleteFeatureService);
  }

  /** A page of entities, by name. */
  async entities(options: NamedListOptions = {}): Promise<Page<Entity>> {
    return pageOf((await this.#connection.request(EntitiesDocument, { ...options })).entities);
  }

  /** Every entity, page by page. */
  allEntities(options: NamedListOptions = {}): AsyncGenerator<Entity, void> {
    return allItems((page) => this.entities(page), options);
  }

  /**
   * Begins to bring the online values of these views, or of all that are online, up to their tables.
   * @returns a run for each, in their order; one that ran already is joined
   * @throws AsgardRequestError NOT_FOUND; CONFLICT for a view that is not online
   */
  async materialize(featureViews?: readonly string[]): Promise<readonly Materialization[]> {
    const input = { featureViews: featureViews ?? null };
    const { materializeFeatureViews } = await this.#connection.request(MaterializeFeatureViewsDocument, { input });
    return successOf(materializeFeatureViews).materializations;
  }

  /** A materialization as it is now. @throws AsgardRequestError NOT_FOUND */
  async materialization(id: string): Promise<Materialization> {
    const { materialization } = await this.#connection.request(MaterializationDocument, { id });
    return found(materialization, `materialization "${id}"`);
  }

  /** The newest materializations, the newest first. */
  async materializations(options: MaterializationListOptions = {}): Promise<readonly Materialization[]> {
    return (await this.#connection.request(MaterializationsDocument, { ...options })).materializations;
  }

  /**
   * A materialization as it is now and then as it goes on, until it has ended, over as many connections as it takes.
   * @throws AsgardRequestError NOT_FOUND; UNAVAILABLE when the platform cannot be reached again
   */
  async *materializationEvents(
    id: string,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<Materialization, void> {
    const purpose = () => `go on with the events of materialization "${id}"`;
    const payloads = this.#connection.resumedPayloads(MaterializationEventsDocument, () => ({ id }), {
      signal,
      purpose,
    });
    for await (const { materializationEvents } of payloads) yield materializationEvents;
  }

  /** The newest features of entities, from the online store. @throws AsgardRequestError INVALID_INPUT for what is not known */
  async online(input: OnlineFeaturesInput): Promise<OnlineFeatures> {
    return (await this.#connection.request(OnlineFeaturesDocument, { input })).onlineFeatures;
  }
}

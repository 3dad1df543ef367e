import type { MlflowClient } from '../mlflow/client.ts';
import { allOf, containsFilter, filterStrings } from '../mlflow/filter.ts';
import { firstOfEach } from '../mlflow/first-of-each.ts';
import type { Keyset, MlflowList } from '../mlflow/list.ts';
import { orNull, searchOrEach } from '../mlflow/upstream-error.ts';
import type { Experiment, Run } from '../mlflow/wire.ts';
import { NEWEST_RUNS, type RunListOptions, runList } from './run-list.ts';

/** Of one search by ids: well inside what a database takes as parameters. */
const MAX_IDS_PER_SEARCH = 500;
const PAGE_SIZE = 5_000;
/** Whoever goes through all experiments stops here rather than go on for ever. */
const MAX_PAGES = 20;

/** What a run is called by. MLflow searches runs only within named experiments: not to name it costs a request. */
export interface RunKey {
  readonly runId: string;
  readonly experimentId?: string | undefined;
}

/** Which experiments a list holds, and in which order. */
export interface ExperimentListOptions {
  /** Part of the name, in any case; absent or empty means all. */
  readonly search?: string | undefined;
  readonly by: 'createdAt' | 'name';
  readonly isAscending: boolean;
}

/** Experiments and their runs, as MLflow has them. Errors are those of `MlflowClient`. */
export class ExperimentService {
  readonly #mlflow: MlflowClient;

  constructor(mlflow: MlflowClient) {
    this.#mlflow = mlflow;
  }

  /** Active experiments; of those made in one millisecond the id decides. */
  experimentList({ search, by, isAscending }: ExperimentListOptions): MlflowList<Experiment> {
    const direction = isAscending ? 'ASC' : 'DESC';
    const orderBy = [`${by === 'name' ? 'name' : 'creation_time'} ${direction}`, `experiment_id ${direction}`];
    const filter = search === undefined || search === '' ? undefined : containsFilter('name', search);
    return {
      identity: ['experiments', search ?? '', by, direction],
      idOf: ({ id }) => id,
      search: ({ from, ...page }) =>
        this.#mlflow.searchExperiments({ ...page, orderBy, filter: allOf([filter, from]) }),
      // In the other direction experiments of old servers, which have no time, come last: no filter on it shows them.
      keyset: by === 'createdAt' && !isAscending ? newestFirst : undefined,
    };
  }

  /** Each id's experiment, deleted ones too, in the order of `ids`; null where there is none. One search for 500 ids. */
  async byIds(ids: readonly string[]): Promise<(Experiment | null)[]> {
    const possible = [...new Set(ids.filter(isExperimentId))];
    const experiments = await searchOrEach(
      () => this.#searchIds(possible),
      () => Promise.all(possible.map((id) => orNull(this.#mlflow.getExperiment(id)))),
    );
    const found = new Map(experiments.map((experiment) => [experiment?.id, experiment]));
    return ids.map((id) => found.get(id) ?? null);
  }

  /** The experiment of that exact name, a deleted one too; null when there is none. */
  async byName(name: string): Promise<Experiment | null> {
    // MLflow takes an empty name for a missing one
    return name === '' ? null : orNull(this.#mlflow.getExperimentByName(name));
  }

  /** `byName` for many, in one request when there are fewer than 5,000 experiments. */
  async byNames(names: readonly string[]): Promise<(Experiment | null)[]> {
    const [only] = names;
    if (only === undefined) return [];
    if (names.length === 1) return [await this.byName(only)];
    // MLflow's search takes a list of ids but not of names
    const found = new Map<string, Experiment>();
    const wanted = new Set(names);
    for await (const experiments of this.#pages(true)) {
      for (const experiment of experiments) if (wanted.has(experiment.name)) found.set(experiment.name, experiment);
      if (found.size === wanted.size) break;
    }
    return names.map((name) => found.get(name) ?? null);
  }

  /** Active runs of an experiment. */
  runList(experimentId: string, options: RunListOptions = NEWEST_RUNS): MlflowList<Run> {
    return runList(this.#mlflow, [experimentId], options);
  }

  /** Up to `limit` active runs of each experiment, in the order of `experimentIds`; see `firstOfEach`. */
  firstRunsOfEach(
    experimentIds: readonly string[],
    limit: number,
    options: RunListOptions = NEWEST_RUNS,
  ): Promise<Run[][]> {
    return firstOfEach<Run>(
      experimentIds,
      limit,
      (run) => run.experimentId,
      (ids, maxResults) => runList(this.#mlflow, ids, options).search({ maxResults }),
    );
  }

  /**
   * Each key's run, deleted ones too, in the order of `keys`; null where there is none. One search for 100 runs or more,
   * and one listing of experiments when any key does not name its own.
   */
  async runsByIds(keys: readonly RunKey[]): Promise<(Run | null)[]> {
    const experimentIds = await this.#experimentIdsOf(keys);
    const filters = filterStrings('attributes.run_id', [...new Set(keys.map((key) => key.runId))], MAX_IDS_PER_SEARCH);
    const pages = await Promise.all(
      filters.map((filter) =>
        this.#mlflow.searchRuns({ experimentIds, filter, maxResults: MAX_IDS_PER_SEARCH, isDeletedIncluded: true }),
      ),
    );
    const found = new Map(pages.flatMap((page) => page.items).map((run) => [run.id, run]));
    return keys.map((key) => found.get(key.runId) ?? null);
  }

  /** How many experiments are not deleted; 100,000 at most. */
  async countActive(): Promise<number> {
    let count = 0;
    for await (const experiments of this.#pages(false)) count += experiments.length;
    return count;
  }

  async #searchIds(ids: readonly string[]): Promise<(Experiment | null)[]> {
    const pages = await Promise.all(
      filterStrings('experiment_id', ids, MAX_IDS_PER_SEARCH).map((filter) =>
        this.#mlflow.searchExperiments({ filter, maxResults: MAX_IDS_PER_SEARCH, isDeletedIncluded: true }),
      ),
    );
    return pages.flatMap((page) => page.items);
  }

  async #experimentIdsOf(keys: readonly RunKey[]): Promise<string[]> {
    const named = new Set<string>();
    let isAnyUnnamed = false;
    for (const { experimentId } of keys) {
      if (experimentId === undefined) isAnyUnnamed = true;
      else named.add(experimentId);
    }
    if (!isAnyUnnamed) return [...named];
    for await (const experiments of this.#pages(true)) for (const { id } of experiments) named.add(id);
    return [...named];
  }

  async *#pages(isDeletedIncluded: boolean): AsyncGenerator<Experiment[]> {
    let pageToken: string | undefined;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const request = { maxResults: PAGE_SIZE, pageToken, isDeletedIncluded };
      const { items, nextPageToken } = await this.#mlflow.searchExperiments(request);
      yield items;
      if (nextPageToken === null) return;
      pageToken = nextPageToken;
    }
  }
}

/** MLflow compares ids as numbers of 32 bits, and fails on anything else. */
function isExperimentId(id: string): boolean {
  return /^\d{1,10}$/.test(id) && Number(id) < 2 ** 31;
}

/** Of experiments from the newest on. */
const newestFirst: Keyset<Experiment> = {
  keyOf: ({ createdAt }) => createdAt?.getTime() ?? null,
  filterFrom: (time) => `creation_time <= ${time}`,
  isAfter: ({ id, createdAt }, time, otherId) =>
    createdAt !== null &&
    (createdAt.getTime() < time || (createdAt.getTime() === time && Number(id) < Number(otherId))),
};

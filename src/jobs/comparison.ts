import type { JobFeatureRead, PrismaClient } from '../database/generated/client.ts';
import type { MetricValue } from '../mlflow/json.ts';
import type { ModelVersion, Run } from '../mlflow/wire.ts';
import type { ModelVersionKey } from '../models/version-key.ts';
import { invalidInput } from '../platform/errors.ts';
import { Turns } from '../platform/turns.ts';
import { lockDifferences, type PackageDifference } from '../python/lock-difference.ts';
import { type ComparedValue, comparedValues } from './compared-values.ts';
import { type FeatureDifference, featureDifferences } from './feature-difference.ts';
import { MAX_READS_SHOWN } from './feature-read-log.ts';
import { checkJobId, noSuchJob } from './job-id.ts';
import { type JobOrigin, jobOrigins, type LineageService } from './lineage.ts';
import { type ScriptDifference, scriptDifference } from './script-difference.ts';

/** At least two are compared, and each of the others with the first. */
const MAX_COMPARED = 10;

/** A job or version that is compared, with what it came to. */
export interface Compared {
  readonly version: ModelVersion | null;
  readonly job: JobOrigin | null;
  readonly run: Run | null;
  readonly reads: readonly JobFeatureRead[];
}

/** How one differs from the first. What cannot be compared, as one of the two has none of it, is null. */
export interface Difference {
  readonly compared: Compared;
  readonly script: ScriptDifference | null;
  /** Of Python; null as well when both have the same. */
  readonly python: { readonly before: string; readonly after: string } | null;
  readonly packages: readonly PackageDifference[] | null;
  readonly features: readonly FeatureDifference[];
}

export interface Comparison {
  /** In the order in which they were asked for. */
  readonly compared: readonly Compared[];
  readonly params: readonly ComparedValue<string>[];
  readonly metrics: readonly ComparedValue<MetricValue>[];
  /** Whether some params or metrics were left out, as there are too many. */
  readonly isCut: boolean;
  /** Of each but the first. */
  readonly differences: readonly Difference[];
}

export interface ComparisonOptions {
  readonly database: PrismaClient;
  readonly lineage: LineageService;
}

/** What differs between jobs, or between model versions: scripts, environments, params, metrics and features. */
export class ComparisonService {
  readonly #options: ComparisonOptions;
  /** Each may hold ten scripts of a megabyte. */
  readonly #turns = new Turns('too much is being compared', { atOnce: 2, maxWaiting: 50 });

  constructor(options: ComparisonOptions) {
    this.#options = options;
  }

  /**
   * @param ids 2 to 10 jobs
   * @throws AsgardError INVALID_INPUT; NOT_FOUND, naming the job; UNAVAILABLE when too many wait; MLflow's failures
   */
  ofJobs(ids: readonly string[]): Promise<Comparison> {
    mustBeSome('ids', ids.length);
    return this.#turns.run(async () => comparisonOf(await this.#jobs(ids)));
  }

  /** @param keys 2 to 10 versions, of one model or of several. @throws AsgardError as `ofJobs` does, of versions */
  ofVersions(keys: readonly ModelVersionKey[]): Promise<Comparison> {
    mustBeSome('versions', keys.length);
    const { lineage } = this.#options;
    return this.#turns.run(async () =>
      comparisonOf(await Promise.all(keys.map(({ name, version }) => lineage.ofVersion(name, version)))),
    );
  }

  async #jobs(ids: readonly string[]): Promise<Compared[]> {
    const { database, lineage } = this.#options;
    for (const id of ids) checkJobId(id);
    const found = new Map((await jobOrigins(database, ids)).map((job) => [job.id, job]));
    return Promise.all(
      ids.map(async (id): Promise<Compared> => {
        const job = found.get(id);
        if (job === undefined) throw noSuchJob(id);
        const [run, reads] = await Promise.all([
          lineage.run(job.runId),
          database.jobFeatureRead.findMany({ where: { jobId: id }, orderBy: { id: 'asc' }, take: MAX_READS_SHOWN }),
        ]);
        return { version: null, job, run, reads };
      }),
    );
  }
}

async function comparisonOf(compared: readonly Compared[]): Promise<Comparison> {
  const params = comparedValues(compared.map(({ run }) => new Map(Object.entries(run?.params ?? {}))));
  const metrics = comparedValues(
    compared.map(({ run }) => new Map((run?.metrics ?? []).map(({ key, value }) => [key, value]))),
  );
  const [first, ...others] = compared;
  const differences: Difference[] = [];
  // One after the other: each may take its whole time.
  for (const other of others) if (first !== undefined) differences.push(await differenceOf(first, other));
  return {
    compared,
    params: params.values,
    metrics: metrics.values,
    isCut: params.isCut || metrics.isCut,
    differences,
  };
}

async function differenceOf(first: Compared, other: Compared): Promise<Difference> {
  const [before, after] = [first.job?.environment, other.job?.environment];
  return {
    compared: other,
    script: first.job && other.job && (await scriptDifference(namedScript(first.job), namedScript(other.job))),
    python: before && after && before.python !== after.python ? { before: before.python, after: after.python } : null,
    packages: before && after ? lockDifferences(before.lock, after.lock) : null,
    features: featureDifferences(first.reads, other.reads),
  };
}

/** The name tells which is which also where both scripts are called the same. */
function namedScript({ id, scriptName, script }: JobOrigin) {
  return { name: `${id}/${scriptName}`, text: script };
}

function mustBeSome(field: string, count: number): void {
  if (count >= 2 && count <= MAX_COMPARED) return;
  const message = `"${field}" must name 2 to ${MAX_COMPARED} to compare, it names ${count}`;
  throw invalidInput([field], message, count < 2 ? 'too_small' : 'too_big');
}

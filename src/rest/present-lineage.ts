import type { z } from 'zod';
import type { ServedVersion } from '../inference/served-models.ts';
import type { Compared, Comparison, Difference } from '../jobs/comparison.ts';
import type { ReadOfView } from '../jobs/feature-difference.ts';
import type { JobOrigin, Lineage } from '../jobs/lineage.ts';
import type { Run } from '../mlflow/wire.ts';
import { packagesOf } from '../python/lock-packages.ts';
import { naiveTime, presentRead, wireStatus } from './present.ts';
import { presentVersion } from './present-models.ts';
import type { comparison, versionLineage } from './wire-lineage-answers.ts';

type WireLineage = z.infer<typeof versionLineage>;
type WireComparison = z.infer<typeof comparison>;
type WireDifference = WireComparison['differences'][number];

/** A version, and where it comes from. */
export function presentLineage(
  { version, run, job, reads, record }: Lineage,
  served: ServedVersion | null,
): WireLineage {
  return {
    ...presentVersion(version, record, served),
    status: version.status,
    aliases: [...version.aliases],
    source: version.source,
    run: run && presentRun(run),
    job: job && presentJobOrigin(job),
    environment: job?.environment == null ? null : presentEnvironment(job.environment),
    feature_reads: reads.map(presentRead),
  };
}

function presentRun(run: Run): NonNullable<WireLineage['run']> {
  return {
    run_id: run.id,
    experiment_id: run.experimentId,
    name: run.name,
    status: run.status,
    params: run.params,
    metrics: Object.fromEntries(run.metrics.map(({ key, value }) => [key, value])),
    started_at: run.startedAt && naiveTime(run.startedAt),
    ended_at: run.endedAt && naiveTime(run.endedAt),
  };
}

function presentJobOrigin(job: JobOrigin): NonNullable<WireLineage['job']> {
  return {
    job_id: job.id,
    status: wireStatus(job.status),
    script_name: job.scriptName,
    script: job.script,
    experiment_name: job.experimentName,
    requirements: job.requirements,
    created_at: naiveTime(job.createdAt),
    completed_at: job.completedAt && naiveTime(job.completedAt),
  };
}

function presentEnvironment({ hash, python, lock }: NonNullable<JobOrigin['environment']>) {
  const packages = Object.fromEntries(packagesOf(lock).map(({ name, version }) => [name, version]));
  return { hash, python_version: python, packages };
}

/** Jobs or versions side by side. */
export function presentComparison({ compared, params, metrics, isCut, differences }: Comparison): WireComparison {
  return {
    compared: compared.map(presentCompared),
    params: params.map(({ key, isSame, values }) => ({ key, is_same: isSame, values: [...values] })),
    metrics: metrics.map(({ key, isSame, values }) => ({ key, is_same: isSame, values: [...values] })),
    is_cut: isCut,
    differences: differences.map(presentDifference),
  };
}

function presentCompared({ job, run, version }: Compared) {
  return {
    job_id: job?.id ?? null,
    run_id: run?.id ?? null,
    model_name: version?.name ?? null,
    model_version: version?.version ?? null,
  };
}

function presentDifference({ compared, script, python, packages, features }: Difference): WireDifference {
  return {
    compared: presentCompared(compared),
    script: script && {
      unified: script.unified,
      added_lines: script.addedLines,
      removed_lines: script.removedLines,
      is_cut: script.isCut,
    },
    python,
    packages: packages && [...packages],
    features: features.map(({ featureView, before, after }) => ({
      feature_view: featureView,
      before: before && presentReadOfView(before),
      after: after && presentReadOfView(after),
    })),
  };
}

function presentReadOfView({ features, tables, snapshotIds }: ReadOfView) {
  return { features: [...features], tables: [...tables], snapshot_ids: [...snapshotIds] };
}

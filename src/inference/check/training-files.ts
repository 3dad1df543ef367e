import { z } from 'zod';
import type { PrismaClient, TrainingJob } from '../../database/generated/client.ts';
import { type MadeVersion, makerOf } from '../../jobs/version-maker.ts';
import type { MlflowClient } from '../../mlflow/client.ts';
import { orNull } from '../../mlflow/upstream-error.ts';
import type { ModelVersion, Run } from '../../mlflow/wire.ts';

const MAX_FILES = 8;
const MAX_PATH = 1_000;
const TABLE = /\.(csv|tsv|parquet)(\.(gz|bz2|zip|xz|zst))?$/i;
const QUOTED = /(['"])([^'"\n]{1,1000}?)\1/g;

type Job = Pick<TrainingJob, 'script' | 'environmentVars'>;

/**
 * Paths of tables that a version's training may have read: the sources of the data sets that its run logged, those that its
 * job's variables name, and those that are texts in its script. Nobody tells us which it did read; what is not there, or has other
 * columns, is of no use to whoever looks.
 * @param run of the version, if it has one
 */
export async function trainingFiles(
  database: PrismaClient,
  version: MadeVersion,
  run: Pick<Run, 'dataFiles'> | null,
): Promise<string[]> {
  const maker = await makerOf(database, version);
  const job =
    maker &&
    (await database.trainingJob.findUnique({
      where: { id: maker.jobId },
      select: { script: true, environmentVars: true },
    }));
  return tablesAmong([...(run?.dataFiles ?? []), ...(job === null ? [] : namedBy(job))]);
}

/** The run of a version; null when it has none, or that is gone. */
export async function runOf(
  mlflow: MlflowClient,
  { runId }: Pick<ModelVersion, 'runId'>,
  signal: AbortSignal,
): Promise<Run | null> {
  return runId === null ? null : orNull(mlflow.getRun(runId, signal));
}

/** What a job names that may be a path. */
export function namedBy({ script, environmentVars }: Job): string[] {
  const variables = Object.values(z.record(z.string(), z.string()).parse(environmentVars));
  return [...variables, ...[...script.matchAll(QUOTED)].map((match) => match[2] ?? '')];
}

/** Those that are paths of tables, each once. */
export function tablesAmong(texts: readonly string[]): string[] {
  const paths = texts.filter((text) => text.startsWith('/') && text.length <= MAX_PATH && TABLE.test(text));
  return [...new Set(paths)].slice(0, MAX_FILES);
}

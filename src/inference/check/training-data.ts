import { join } from 'node:path';
import type { PrismaClient } from '../../database/generated/client.ts';
import { trainingRowsOf } from '../../jobs/training-rows.ts';
import type { MadeVersion } from '../../jobs/version-maker.ts';
import type { Run } from '../../mlflow/wire.ts';
import { trainingFiles } from './training-files.ts';

/** What may have a version's training rows among it, for the process that loads the model to look at. */
export interface TrainingData {
  /** Paths of files that its training may have read. */
  readonly files: readonly string[];
  /** Parquet files of rows that its script got from the feature store, as it sent them. */
  readonly rows: readonly Uint8Array[];
}

/** @param run of the version, if it has one */
export async function trainingData(
  database: PrismaClient,
  version: MadeVersion,
  run: Pick<Run, 'dataFiles'> | null,
): Promise<TrainingData> {
  const [files, rows] = await Promise.all([trainingFiles(database, version, run), trainingRowsOf(database, version)]);
  return { files, rows };
}

/**
 * How a process finds it: the files that it is given in its working folder, and the paths of all. What the script is known to have
 * got comes first.
 */
export function placedIn(folder: string, { files: others, rows }: TrainingData) {
  const files = Object.fromEntries(rows.map((content, number) => [`training-rows-${number}.parquet`, content]));
  return { files, paths: [...Object.keys(files).map((name) => join(folder, name)), ...others] };
}

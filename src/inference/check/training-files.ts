import { z } from 'zod';
import type { TrainingJob } from '../../database/generated/client.ts';

const MAX_FILES = 8;
const MAX_PATH = 1_000;
const TABLE = /\.(csv|tsv|parquet)(\.(gz|bz2|zip|xz|zst))?$/i;
const QUOTED = /(['"])([^'"\n]{1,1000}?)\1/g;

/**
 * Paths of tables that a job's script may have read: those that its variables name, and those that are texts in it. Nobody tells
 * us which it did read; what is not there, or has other columns, is of no use to whoever looks.
 */
export function trainingFilesOf({
  script,
  environmentVars,
}: Pick<TrainingJob, 'script' | 'environmentVars'>): string[] {
  const variables = Object.values(z.record(z.string(), z.string()).parse(environmentVars));
  const texts = [...script.matchAll(QUOTED)].map((match) => match[2] ?? '');
  const paths = [...variables, ...texts].filter((text) => text.startsWith('/') && TABLE.test(text));
  return [...new Set(paths)].filter((path) => path.length <= MAX_PATH).slice(0, MAX_FILES);
}

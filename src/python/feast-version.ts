import { readFile } from 'node:fs/promises';
import { packagesOf } from './lock-packages.ts';
import { FEAST_REQUIREMENTS } from './resolver.ts';

/** What to tell of a lock that has another Feast than the platform, as the job's requirements named one; else null. */
export async function noteOfFeast(lock: string): Promise<string | null> {
  const versionIn = (text: string) => packagesOf(text).find(({ name }) => name === 'feast')?.version;
  const [theirs, ours] = [versionIn(lock), versionIn(await readFile(FEAST_REQUIREMENTS, 'utf8'))];
  if (theirs === ours) return null;
  return `feast ${theirs} of the requirements is used instead of ${ours}, with which the platform writes the feature store: it may not read all of it`;
}

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROJECT_ROOT } from '../config.ts';
import { importsOf, usesFeast } from '../python/script-imports.ts';

/** Where scripts find `asgard_feast.offline`, which their `feature_store.yaml` names. */
const PACKAGES = join(PROJECT_ROOT, 'python');
const FILE = 'feature_store.yaml';
/** Below /tmp, of which a script that is set apart has one of its own: the last part of the `FEAST_REPO_PATH` that it is given. */
const REPOSITORY = 'feast_repo';
/** Has to be imported before Feast, for a launcher to be able to fork. */
const PRELOAD = 'asgard.preload_feast';

/** What a script that uses the feature store is given beside what every script is. */
interface FeatureStoreFiles {
  readonly variables: Readonly<Record<string, string>>;
  /** Folders that it has to see. */
  readonly readable: readonly string[];
}

/**
 * Writes a run's `feature_store.yaml`, for its user alone, where the variable says, which every `FeatureStore(…)` heeds whatever
 * `repo_path` it is given; and in the run's own /tmp, for scripts that look for the file.
 * @param folder of the run
 */
export async function writeFeatureStoreFiles(folder: string, yaml: string): Promise<FeatureStoreFiles> {
  const path = join(folder, 'home', FILE);
  const repository = join(folder, 'tmp', REPOSITORY);
  await mkdir(repository, { recursive: true, mode: 0o700 });
  for (const file of [path, join(repository, FILE)]) await writeFile(file, yaml, { mode: 0o600 });
  return { variables: { FEAST_FS_YAML_FILE_PATH: path, PYTHONPATH: PACKAGES }, readable: [PACKAGES] };
}

/** The modules that a launcher shall have ready for a script. */
export function preloadsOf(script: string, scriptName: string): string[] {
  const imports = importsOf(script, scriptName);
  return usesFeast(script) ? [...new Set([PRELOAD, 'feast', ...imports])] : imports;
}

import { join } from 'node:path';
import { FileLock } from '../../src/platform/file-lock.ts';
import type { DataFolder } from './data-folder.ts';

/**
 * Keeps the platforms of a data folder from compiling any version until it is disposed of, as another platform that compiles
 * does: what is to be seen before a version is compiled can be seen however slow the machine is.
 */
export function holdCompiling({ path }: Pick<DataFolder, 'path'>): Promise<Disposable> {
  return FileLock.acquire(join(path, 'models', 'compiling'), 'exclusive');
}

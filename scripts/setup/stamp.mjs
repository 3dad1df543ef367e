import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** Names what a step is made of. Files that are missing count as empty. */
export function hashOf(files, ...texts) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(existsSync(file) ? readFileSync(file) : '').update('\0');
  for (const text of texts) hash.update(text).update('\0');
  return hash.digest('hex');
}

/** A stamp says which inputs a step was last done with. It is written last, so one that was cut short has none. */
export function hasStamp(path, hash) {
  try {
    return readFileSync(path, 'utf8').trim() === hash;
  } catch {
    return false;
  }
}

export function writeStamp(path, hash) {
  writeFileSync(path, `${hash}\n`);
}

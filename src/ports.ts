import { once } from 'node:events';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';
import type { Config } from './config.ts';
import { listenFailure } from './http/server.ts';
import type { Logger } from './platform/logger.ts';

const ports = z.object({ port: z.int().min(0).max(65_535), mlflowPort: z.int().min(0).max(65_535) });

/** Where the platform listens. */
export type Ports = z.infer<typeof ports>;

/** Of the data folder, for the next start. */
const FILE = 'ports.json';

/**
 * The ports to listen on; 0 takes a free one. Looked at before anything is started, as whoever named a port that is taken
 * wants to know at once. Where a free one is asked for, it is the one of the last start, if that is free: a script that
 * goes on while the platform is away would otherwise wait for an address that does not come back.
 * @throws AsgardError CONFLICT when a port that was named is in use, UNAVAILABLE when it may not be taken
 */
export async function choosePorts({ host, port, mlflowPort }: Config, home: string, logger: Logger): Promise<Ports> {
  const last = ports.safeParse(await readJson(join(home, FILE))).data;
  const chosen = {
    port: await choose(host, 'PORT', port, last?.port, logger),
    mlflowPort: await choose(host, 'MLFLOW_PORT', mlflowPort, last?.mlflowPort, logger),
  };
  // One that is named now was the other's at the last start.
  return chosen.port === chosen.mlflowPort ? { port, mlflowPort } : chosen;
}

/** Keeps them for the next start. */
export async function keepPorts(home: string, value: Ports): Promise<void> {
  const path = join(home, FILE);
  await writeFile(`${path}.new`, `${JSON.stringify(value)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

async function choose(
  host: string,
  variable: string,
  named: number,
  last: number | undefined,
  logger: Logger,
): Promise<number> {
  const port = named === 0 ? (last ?? 0) : named;
  if (port === 0) return 0;
  try {
    await tryListening(host, port);
    return port;
  } catch (error) {
    const failure = listenFailure(error, host, port, variable);
    if (named !== 0) throw failure;
    logger.warn({ variable, port, err: failure }, 'port.of_last_start_taken');
    return 0;
  }
}

async function tryListening(host: string, port: number): Promise<void> {
  const server = createServer();
  server.listen({ host, port });
  await once(server, 'listening');
  server.close();
  await once(server, 'close');
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch {
    return undefined; // the first start; or the file is damaged, and the ports are new ones
  }
}

import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { choosePorts, keepPorts } from '../../src/ports.ts';
import { quietPort } from '../support/quiet-port.ts';

const logger = createLogger('silent', false);
let home: string;
let taken: Server;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'asgard-ports-'));
  taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
});
afterEach(async () => {
  taken.close();
  await rm(home, { recursive: true, force: true });
});

const portOf = (server: Server) => (server.address() as AddressInfo).port; // it listens on TCP
const choose = (port: number, mlflowPort: number) =>
  choosePorts(parseConfig({ PORT: String(port), MLFLOW_PORT: String(mlflowPort) }, false), home, logger);

test('a free port is the last start’s, unless another has it by now', async () => {
  expect(await choose(0, 0)).toEqual({ port: 0, mlflowPort: 0 });
  const last = { port: await quietPort(), mlflowPort: portOf(taken) };
  await keepPorts(home, last);
  expect(await choose(0, 0)).toEqual({ port: last.port, mlflowPort: 0 });
  await writeFile(join(home, 'ports.json'), '{"port":');
  expect(await choose(0, 0)).toEqual({ port: 0, mlflowPort: 0 });
});

test('a port that is named now is not the other one’s of the last start', async () => {
  const [one, other] = [await quietPort(), await quietPort()];
  await keepPorts(home, { port: one, mlflowPort: other });
  expect(await choose(other, 0)).toEqual({ port: other, mlflowPort: 0 });
  expect(await choose(0, one)).toEqual({ port: 0, mlflowPort: one });
});

test('a port that is named and in use is told', async () => {
  const port = portOf(taken);
  await expect(choose(0, port)).rejects.toMatchObject({
    code: 'CONFLICT',
    message: expect.stringMatching(`port ${port} .* set MLFLOW_PORT`),
  });
});

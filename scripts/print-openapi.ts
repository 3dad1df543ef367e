import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fastify } from 'fastify';
import { restRoutes } from '../src/rest/rest-routes.ts';
import type { RestServices } from '../src/rest/services.ts';

/*
 * Writes the OpenAPI document to schema/openapi.json, as the server answers it at /openapi.json. With `--check` it writes
 * nothing, and fails when the file differs from what it would write.
 */
const path = resolve(import.meta.dirname, '../schema/openapi.json');

function uncalled(): never {
  throw new Error('routes that are only described call nothing');
}
const services: RestServices = {
  jobs: {
    submit: uncalled,
    summary: uncalled,
    list: uncalled,
    cancel: uncalled,
    withLog: uncalled,
  },
  events: { follow: uncalled, list: uncalled },
  models: {
    modelList: uncalled,
    versionList: uncalled,
    get: uncalled,
    getVersionByAlias: uncalled,
    registerRun: uncalled,
  },
  registry: {
    setAlias: uncalled,
    deleteAlias: uncalled,
    updateModel: uncalled,
    updateVersion: uncalled,
    deleteModel: uncalled,
    deleteVersion: uncalled,
  },
  lineage: { ofVersion: uncalled },
  comparisons: { ofJobs: uncalled, ofVersions: uncalled },
  modelChecks: uncalled,
  deployments: { deploy: uncalled, get: uncalled },
  inference: { predict: uncalled, predictLate: uncalled, describe: uncalled },
  tables: { list: uncalled, get: uncalled, write: uncalled, delete: uncalled, checkSize: uncalled },
  onlineFeatures: { read: uncalled },
  materializations: { start: uncalled, get: uncalled },
  featureViews: { apply: uncalled, plan: uncalled, list: uncalled, get: uncalled, delete: uncalled },
  featureServices: { apply: uncalled, list: uncalled, get: uncalled, delete: uncalled },
  featureRegistry: { summary: uncalled },
  servedModels: { list: uncalled, find: uncalled },
  status: uncalled,
  metrics: { metrics: uncalled, contentType: 'text/plain; version=0.0.4; charset=utf-8' },
  readiness: uncalled,
  onPredictionSerialized: uncalled,
};

const app = fastify();
await app.register(restRoutes(services));
const { body } = await app.inject('/openapi.json');
await app.close();
const printed = `${JSON.stringify(JSON.parse(body), null, 2)}\n`;

if (!process.argv.includes('--check')) {
  await writeFile(path, printed);
} else {
  const written = await readFile(path, 'utf8').catch(() => '');
  if (written !== printed) {
    const lines = written.split('\n');
    const place = printed.split('\n').findIndex((line, index) => line !== lines[index]);
    console.error(`schema/openapi.json is not what the code says, from line ${place + 1} on:`);
    console.error(`  written: ${lines[place] ?? '(end of file)'}\n  code:    ${printed.split('\n')[place] ?? '(end)'}`);
    console.error('run `node scripts/print-openapi.ts` and look at the difference');
    process.exitCode = 1;
  }
}

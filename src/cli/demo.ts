import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { z } from 'zod';
import { AsgardClient } from '../client/client.ts';
import { type Config, ConfigError, inheritedEnvironment, PROJECT_ROOT, parseConfig } from '../config.ts';
import { untilAborted } from '../platform/abort.ts';
import { messageOf } from '../platform/errors.ts';
import { makeViews, materialize, predictByEntity, type Rest, restOf, writeTable } from './demo-features.ts';
import { type StartedPlatform, startPlatform } from './start-platform.ts';

const HELP = `usage: npm run demo [-- --exit]

Starts the platform and takes a model through it: a table, feature views of it, a training script that reads them, its
live log, the registered model, predictions by features and by customer.
Keeps the platform running until Ctrl-C; with --exit it ends by itself, with exit code 0 only if every step held.
Settings are those of npm start (npm start -- --help).
`;

const MODEL_NAME = 'churn_predictor';
const EXPERIMENT_NAME = 'customer_churn';
/** The first start makes the base environment, which downloads some 200 MB. */
const READY_LIMIT_MS = 15 * 60_000;
/** A job that is cancelled ends within the grace time of its script. */
const CANCEL_LIMIT_MS = 12_000;
const CHURN = join(PROJECT_ROOT, 'examples', 'churn');

/** Two made-up customers: one who calls support and stays away, one who buys. */
const CUSTOMERS = {
  total_purchases: [2, 40],
  avg_purchase_value: [25.5, 80],
  days_since_last_purchase: [90, 3],
  customer_lifetime_value: [51, 3200],
  account_age_days: [200, 1500],
  support_tickets_count: [9, 0],
};

const prediction = z.object({
  model_version: z.string(),
  predictions: z.array(z.number()).length(2),
  probabilities: z.array(z.array(z.number())).length(2),
  inference_time_ms: z.number(),
});

/** Exit codes: 0 when every step held, 1 when one did not or was interrupted, 2 for a bad configuration. */
async function main(): Promise<number> {
  if (process.argv.includes('--help')) {
    process.stdout.write(HELP);
    return 0;
  }
  const unknown = process.argv.slice(2).find((argument) => argument !== '--exit');
  if (unknown !== undefined) {
    process.stderr.write(`demo: unknown argument ${unknown}; see --help\n`);
    return 2;
  }
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) process.on(signal, () => stop.abort());
  try {
    return await demonstrate(stop.signal);
  } catch (error) {
    process.stderr.write(`demo: ${stop.signal.aborted ? 'interrupted' : messageOf(error)}\n`);
    return error instanceof ConfigError ? 2 : 1;
  }
}

/** @throws when a step did not hold, the platform ended, or `stop` aborted before all steps held */
async function demonstrate(stop: AbortSignal): Promise<number> {
  const config = parseConfig(inheritedEnvironment(), false);
  step('Starting the platform');
  const variables = { ASGARD_LOG_LEVEL: 'warn', ...inheritedEnvironment() };
  await using platform = await startPlatform(variables, (line) => process.stderr.write(`   ${line}\n`), stop);
  const ended = new AbortController();
  void platform.exited.then(({ code, signal }) => {
    ended.abort(new Error(`the platform ended by itself (${signal ?? `exit code ${code}`})`));
  });
  const over = AbortSignal.any([stop, ended.signal]);
  const steps = takeSteps(platform, config, over);
  try {
    await untilAborted(steps, over);
  } catch (error) {
    // A job that is under way is ended before the platform: its script would outlive that.
    await untilAborted(steps, AbortSignal.timeout(CANCEL_LIMIT_MS)).catch(() => {});
    throw error;
  }
  if (process.argv.includes('--exit')) {
    print('Every step held, so the platform ends. Without --exit it keeps running.');
    return 0;
  }
  print('The platform keeps running. Ctrl-C ends it.');
  const { promise: interrupted, resolve } = Promise.withResolvers<void>();
  stop.addEventListener('abort', () => resolve());
  if (stop.aborted) resolve();
  await untilAborted(interrupted, ended.signal);
  return 0;
}

async function takeSteps(platform: StartedPlatform, config: Config, signal: AbortSignal) {
  const { toolchain, apiKey } = config;
  const rest = restOf(platform.url, { apiKey, signal });
  await using client = new AsgardClient({ url: platform.url, ...(apiKey === undefined ? {} : { apiKey }) });
  await untilReady(client, signal);

  step('Writing the Iceberg table gold.customers: 2,000 made-up customers (PUT /iceberg/tables/gold/customers)');
  const python = join(toolchain, 'python', 'bin', 'python');
  const { stdout: csv } = await promisify(execFile)(python, [join(CHURN, 'make_data.py'), '--keyed'], { signal });
  print(await writeTable(rest, csv));

  step('Making feature views of it (POST /feast/features)');
  for (const line of await makeViews(rest)) print(line);

  const jobId = await runJob(client, signal);
  await showModel(client, jobId);
  await predict(rest);

  step('Bringing features online (POST /feast/materialize), and predicting by customer_id alone');
  print(await materialize(rest, signal));
  for (const line of await predictByEntity(rest, MODEL_NAME, [1, 2, 3])) print(line);

  step('Look around');
  print(`GraphiQL    ${platform.url}/graphql`);
  print(`REST        ${platform.url}/docs`);
  print(`MLflow UI   ${platform.mlflowUrl}`);
  if (apiKey !== undefined) print('Both ask for the key of ASGARD_API_KEY.');
}

async function untilReady(client: AsgardClient, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + READY_LIMIT_MS;
  for (let shown = ''; ; ) {
    const { ready, notReady } = await client.status();
    if (ready) return;
    const waitingFor = notReady.join(', ');
    if (Date.now() > deadline) {
      throw new Error(`the platform is not ready after ${READY_LIMIT_MS / 60_000} minutes: ${waitingFor}`);
    }
    if (waitingFor !== shown) print(`waiting for ${waitingFor}`);
    shown = waitingFor;
    await delay(200, undefined, { signal });
  }
}

async function runJob(client: AsgardClient, signal: AbortSignal): Promise<string> {
  step('Uploading examples/churn/train.py');
  const job = await client.submit({
    scriptName: 'train.py',
    script: await readFile(join(CHURN, 'train.py'), 'utf8'),
    experimentName: EXPERIMENT_NAME,
    modelName: MODEL_NAME,
    requirements: ['scikit-learn', 'pandas', 'numpy'],
    tags: [{ key: 'team', value: 'data-science' }],
  });
  print(`job ${job.id}`);
  step('Its events, as they happen (a GraphQL subscription)');
  try {
    for await (const event of client.jobEvents(job.id, { signal })) {
      if (event.__typename === 'StatusChanged') print(`[${event.status}]`);
      if (event.__typename === 'LogLine' || event.__typename === 'EnvironmentLine') print(`| ${event.text}`);
      if (event.__typename === 'OutputOmitted') print(`… ${event.lines} lines left out …`);
      if (event.__typename === 'JobEnded') print(`${event.lines} lines, sha256 ${event.sha256.slice(0, 16)}…`);
    }
  } catch (error) {
    if (signal.aborted) await endJob(client, job.id);
    throw error;
  }
  return job.id;
}

async function endJob(client: AsgardClient, id: string): Promise<void> {
  await client.cancel(id, 'the demo was interrupted').catch(() => {});
  const signal = AbortSignal.timeout(CANCEL_LIMIT_MS);
  await Array.fromAsync(client.jobEvents(id, { signal })).catch(() => {});
}

async function showModel(client: AsgardClient, jobId: string): Promise<void> {
  step('The registered model and its metrics');
  const { status, error, modelVersion, run } = await client.job(jobId);
  if (status !== 'COMPLETED') throw new Error(`the job is ${status}: ${error ?? 'no reason given'}`);
  if (modelVersion == null || run == null) throw new Error('the job completed without a registered model');
  print(`${modelVersion.name} version ${modelVersion.version}, run ${run.id}`);
  if (run.metrics.length === 0) throw new Error('the run has no metrics');
  for (const { key, value } of run.metrics) print(`${key} = ${value}`);
}

async function predict(rest: Rest): Promise<void> {
  step('Predictions from POST /mlops/inference');
  const body = { model_name: MODEL_NAME, inputs: CUSTOMERS, return_probabilities: true };
  const answer = prediction.parse(await rest('POST', '/mlops/inference', body));
  for (const [index, churned] of answer.predictions.entries()) {
    const probability = answer.probabilities[index]?.[1] ?? Number.NaN;
    print(`customer ${index + 1}: churned = ${churned} (probability ${probability.toFixed(2)})`);
  }
  print(`version ${answer.model_version}, ${answer.inference_time_ms} ms with the model's start`);
}

function step(title: string): void {
  process.stdout.write(`\n== ${title}\n`);
}

function print(line: string): void {
  process.stdout.write(`   ${line}\n`);
}

// Everything has been ended by now: what a step that was interrupted still waits for must not hold the process.
process.exit(await main());

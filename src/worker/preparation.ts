import type { TrainingJob } from '../database/generated/client.ts';
import type { JobEvent } from '../jobs/events.ts';
import type { MlflowClient } from '../mlflow/client.ts';
import { hasCode } from '../platform/errors.ts';
import type { PythonEnvironment } from '../python/environments.ts';
import { noteOfFeast } from '../python/feast-version.ts';
import { usesFeast } from '../python/script-imports.ts';
import { EventWriter } from './event-writer.ts';
import type { SupervisorContext } from './supervisor-context.ts';

/** How often a script that may start is held back for the tracking server. */
const MLFLOW_POLL_MS = 250;

/** What a preparation needs of the supervision that it is a part of. */
export interface PreparationOptions {
  /** Ends it, with the signal's reason. */
  readonly signal: AbortSignal;
  readonly append: (events: readonly JobEvent[]) => Promise<unknown>;
  readonly say: (text: string) => Promise<void>;
}

/**
 * All that a job's script needs before it starts: its environment, and meanwhile a tracking server that answers and its
 * experiment. Safe to repeat. The caller disposes of the environment, once its runner keeps it.
 * @throws the signal's reason; AsgardError INVALID_INPUT when the requirements cannot be met, or what MLflow refuses
 */
export async function prepare(
  context: SupervisorContext,
  job: TrainingJob,
  options: PreparationOptions,
): Promise<PythonEnvironment> {
  const calledOff = new AbortController();
  const signal = AbortSignal.any([options.signal, calledOff.signal]);
  const tracking = prepareTracking(context.mlflow, job.experimentName, { ...options, signal });
  tracking.catch(() => {}); // looked at below, unless the environment fails before
  using stack = new DisposableStack();
  try {
    const environment = stack.use(await prepareEnvironment(context, job, options));
    await tracking;
    stack.move();
    return environment;
  } catch (error) {
    calledOff.abort(error);
    throw error;
  }
}

async function prepareTracking(
  mlflow: MlflowClient,
  experimentName: string,
  options: PreparationOptions,
): Promise<void> {
  const make = () => makeExperiment(mlflow, experimentName, options.signal);
  await make().catch(async (error: unknown) => {
    if (!hasCode(error, 'UNAVAILABLE')) throw error;
    await awaitMlflow(mlflow, options);
    await make();
  });
}

async function prepareEnvironment(
  { database, environments }: SupervisorContext,
  job: TrainingJob,
  { append, signal }: PreparationOptions,
): Promise<PythonEnvironment> {
  await using writer = new EventWriter(append);
  const onLine = (text: string) => writer.add({ type: 'environment', at: new Date().toISOString(), text });
  const options = { requirements: job.requirements, usesFeast: usesFeast(job.script), signal, onLine };
  const { hash, lock, pythonVersion: python } = await environments.resolve(options);
  const note = options.usesFeast ? await noteOfFeast(lock) : null;
  if (note !== null) onLine(note);
  // Before it is built: whoever looks at the job sees what is being built for it.
  await database.$executeRaw`
    WITH environment AS (
      INSERT INTO environments (hash, lock, python) VALUES (${hash}, ${lock}, ${python}) ON CONFLICT DO NOTHING
    )
    UPDATE training_jobs SET environment_hash = ${hash} WHERE id = ${job.id}`;
  return environments.prepareLocked(lock, python, { signal, onLine });
}

/** A script that starts before the tracking server would only fail: it is held back, within its time limit. */
async function awaitMlflow(mlflow: MlflowClient, { say, signal }: PreparationOptions): Promise<void> {
  for (let tries = 0; !(await mlflow.isHealthy(signal)); tries += 1) {
    if (tries === 0) await say('Waiting for the MLflow server');
    await new Promise((resolve) => setTimeout(resolve, MLFLOW_POLL_MS));
    signal.throwIfAborted();
  }
}

/**
 * MLflow's client looks for the experiment and then makes it, and fails when another was faster in between: scripts that
 * start together in a new experiment would fail each other.
 */
async function makeExperiment(mlflow: MlflowClient, name: string, signal: AbortSignal): Promise<void> {
  await mlflow.getExperimentByName(name, signal).catch(async (error: unknown) => {
    if (!hasCode(error, 'NOT_FOUND')) throw error;
    await mlflow.createExperiment(name, signal).catch((failure: unknown) => {
      if (!hasCode(failure, 'CONFLICT')) throw failure;
    });
  });
}

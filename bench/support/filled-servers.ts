import { ChildProcess } from '../../src/platform/process.ts';
import { plainVariables, type Script } from './asgard.ts';
import type { Bench } from './bench.ts';
import { type CopiedTable, copyRows } from './copies.ts';
import type { MlflowPeer } from './mlflow.ts';
import { baseEnvironment } from './python-jobs.ts';

const byJob = { keyColumn: 'job_id' };
const JOB_TABLES: readonly CopiedTable[] = [
  {
    name: 'training_jobs',
    keyColumn: 'id',
    changes: {
      status: `CASE n % 20 WHEN 0 THEN 'FAILED' WHEN 1 THEN 'CANCELLED' ELSE 'COMPLETED' END`,
      error: `CASE WHEN n % 20 < 2 THEN 'the script ended with exit code 1' END`,
      created_at: `original.created_at - n * interval '1 minute'`,
    },
  },
  { ...byJob, name: 'job_attempts', changes: { id: `nextval('job_attempts_id_seq')`, token_hash: 'NULL' } },
  { ...byJob, name: 'job_events' },
  { ...byJob, name: 'job_runs', changes: { id: `nextval('job_runs_id_seq')`, run_id: 'md5(n::text)' } },
  { ...byJob, name: 'job_saved_models', changes: { id: `nextval('job_saved_models_id_seq')` } },
  { ...byJob, name: 'job_model_versions', changes: { version: 'original.version::int + n' } },
];

const byRun = { keyColumn: 'run_uuid' };
const RUN_TABLES: readonly CopiedTable[] = [
  {
    ...byRun,
    name: 'runs',
    changes: {
      status: `CASE n % 20 WHEN 0 THEN 'FAILED' ELSE 'FINISHED' END`,
      start_time: 'original.start_time - n::bigint * 60000',
    },
  },
  ...['tags', 'params', 'metrics', 'latest_metrics'].map((name) => ({ ...byRun, name })),
];

/** Copies of a job that has ended, each a minute older, one in ten of which did not complete. */
export function copyJob(databaseUrl: string, key: string, copies: number): Promise<void> {
  return copyRows({ databaseUrl, key, tables: JOB_TABLES, copies });
}

/** Copies of an MLflow run that has ended, in MLflow's own tables. */
export function copyRun(databaseUrl: string, key: string, copies: number): Promise<void> {
  return copyRows({ databaseUrl, key, tables: RUN_TABLES, copies });
}

/** Runs a training script with MLflow alone. @returns the run that it made and the run's experiment */
export async function runOnMlflow(bench: Bench, { url }: MlflowPeer, script: Script) {
  const { python } = await baseEnvironment(bench);
  const variables = { ...script.variables, MLFLOW_TRACKING_URI: url, MLFLOW_EXPERIMENT_NAME: script.name };
  await using child = await ChildProcess.start({
    argv: [python, '-c', script.text],
    env: { ...plainVariables(), ...variables },
    cwd: bench.folder,
  });
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`the training ended with ${code}:\n${child.tail}`);
  const response = await fetch(`${url}/api/2.0/mlflow/experiments/get-by-name?experiment_name=${script.name}`);
  const { experiment }: { experiment: { experiment_id: string } } = JSON.parse(await response.text());
  const runs = await fetch(`${url}/api/2.0/mlflow/runs/search`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ experiment_ids: [experiment.experiment_id] }),
  });
  const found: { runs: { info: { run_id: string } }[] } = JSON.parse(await runs.text());
  const runId = found.runs[0]?.info.run_id;
  if (runId === undefined) throw new Error('MLflow shows no run');
  return { runId, experimentId: experiment.experiment_id };
}

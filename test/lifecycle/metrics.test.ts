import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SubmitTrainingJobInput } from '../../src/client/generated/graphql.ts';
import { DataFolder, type TestPlatform } from '../support/data-folder.ts';
import { type Exposition, metricsOf } from '../support/exposition.ts';
import { Gate } from '../support/jobs-for-tests.ts';
import { poll } from '../support/poll.ts';
import { pickleScript } from '../support/training-scripts.ts';

const LIMIT_MS = 240_000;

let folder: DataFolder;
let platform: TestPlatform;

/** A platform of this file's own: its numbers are of nothing but what is done here. */
beforeAll(async () => {
  folder = await DataFolder.make();
  // A compiled model has no process, and takes next to no memory.
  platform = await folder.start({ ASGARD_WORKER_SLOTS: '2', ASGARD_COMPILE: '0' });
  await platform.ready();
}, LIMIT_MS);
afterAll(async () => {
  await platform?.[Symbol.asyncDispose]();
  expect(folder.processes()).toEqual([]);
  await folder?.[Symbol.asyncDispose]();
});

const metrics = () => metricsOf(platform.url);

async function submit(script: string, changes: Partial<SubmitTrainingJobInput> = {}): Promise<string> {
  const names = { scriptName: 'train.py', experimentName: 'metrics', modelName: 'counted' };
  return (await platform.client.submit({ ...names, script, ...changes })).id;
}

async function ended(id: string): Promise<string> {
  for await (const _event of platform.client.jobEvents(id, { signal: AbortSignal.timeout(LIMIT_MS) }));
  return (await platform.client.job(id)).status;
}

/** The numbers follow the event, or the answer, by which a client learns of an end. */
const settled = (isWished: (now: Exposition) => boolean) => poll(metrics, isWished, LIMIT_MS);

async function post(path: string, body: object): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(`${platform.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
}

const JOBS = [
  'mlops_training_jobs_total',
  'mlops_training_duration_seconds_count',
  'mlops_training_queue_seconds_count',
];

describe('a real platform', { timeout: LIMIT_MS }, () => {
  test('counts each end of a job once, by how it ended, and what is under way meanwhile', async () => {
    const before = await metrics();
    await using gate = await Gate.create();
    const waits = `${gate.python}\ntell("up-" + os.environ["ASGARD_JOB_ID"])\nwait()\n`;
    const completed = await submit(waits);
    const cancelled = await submit(waits);
    await gate.told('up', 2);
    const queued = await submit('print("never")\n');
    const during = await metrics();
    expect(during.value('mlops_worker_slots')).toBe(2);
    expect(during.value('mlops_worker_slots_used')).toBe(2);
    expect(during.value('mlops_training_jobs_active', { state: 'running' })).toBe(2);
    expect(during.value('mlops_training_jobs_active', { state: 'queued' })).toBe(1);

    await platform.client.cancel(queued);
    await platform.client.cancel(queued);
    await platform.client.cancel(cancelled);
    // Its script is at the gate, and is not to be let through.
    expect(await ended(cancelled)).toBe('CANCELLED');
    await gate.open();
    const failed = await submit('raise SystemExit(3)\n');
    const refused = post('/mlops/training/upload', {
      script_name: 'a.py',
      script_content: 'no python\n',
      experiment_name: 'metrics',
      model_name: 'counted',
    });
    expect((await refused).status).toBe(422);
    expect(await Promise.all([completed, cancelled, queued, failed].map(ended))).toEqual([
      'COMPLETED',
      'CANCELLED',
      'CANCELLED',
      'FAILED',
    ]);
    const after = await settled(
      (now) =>
        now.value('mlops_worker_slots_used') === 0 &&
        now.since(before, JOBS)['mlops_training_jobs_total{status=failed}'] === 1,
    );
    expect(after.since(before, JOBS)).toEqual({
      'mlops_training_jobs_total{status=completed}': 1,
      'mlops_training_jobs_total{status=cancelled}': 2,
      'mlops_training_jobs_total{status=failed}': 1,
      'mlops_training_duration_seconds_count{status=completed}': 1,
      // The one that was cancelled in the queue never ran.
      'mlops_training_duration_seconds_count{status=cancelled}': 1,
      'mlops_training_duration_seconds_count{status=failed}': 1,
      'mlops_training_queue_seconds_count{}': 3,
    });
    expect(after.value('mlops_training_jobs_active', { state: 'running' })).toBe(0);
    expect(after.value('mlops_training_duration_seconds_sum', { status: 'completed' })).toBeGreaterThan(0);
  });

  test('counts predictions by model and outcome, and every byte of an artifact both ways', async () => {
    const before = await metrics();
    const id = await submit(`${pickleScript(3)}\nimport os\nprint("bytes", os.path.getsize("model.pkl"))\n`);
    expect(await ended(id)).toBe('COMPLETED');
    const sizeBytes = Number(/^bytes (\d+)$/m.exec(await platform.client.logText(id))?.[1]);
    expect(sizeBytes).toBeGreaterThan(100);

    const predict = async (body: object) => (await post('/mlops/inference', body)).status;
    const inputs = { a: [1], b: [2] };
    expect(await predict({ model_name: 'counted', inputs })).toBe(200);
    await platform.client.predict({ modelName: 'counted', inputs });
    expect(await predict({ model_name: 'counted', inputs: { a: [1] } })).toBe(422);
    expect(await predict({ model_name: 'nobody made it', inputs })).toBe(404);

    const { runId } = await platform.client.job(id);
    const { run } = await (await fetch(`${platform.url}/api/2.0/mlflow/runs/get?run_id=${runId}`)).json();
    const artifacts = run.info.artifact_uri.replace('mlflow-artifacts:', '/api/2.0/mlflow-artifacts/artifacts');
    const pickle = await fetch(`${platform.url}${artifacts}/model/model.pkl`);
    expect((await pickle.arrayBuffer()).byteLength).toBe(sizeBytes);

    const after = await settled((now) => {
      const transfers = now.since(before, ['mlops_artifact_transfer_seconds_count']);
      return transfers['mlops_artifact_transfer_seconds_count{direction=download,status=ok}'] === 1;
    });
    const names = ['mlops_inference_requests_total', 'mlops_inference_latency_seconds_count'];
    expect(after.since(before, names)).toEqual({
      'mlops_inference_requests_total{model=counted,status=ok}': 2,
      'mlops_inference_requests_total{model=counted,status=client_error}': 1,
      'mlops_inference_requests_total{model=:unknown,status=client_error}': 1,
      'mlops_inference_latency_seconds_count{model=counted}': 2,
    });
    // Two were answered, and each over HTTP.
    expect(after.since(before, ['mlops_inference_phase_seconds_count'])).toEqual({
      'mlops_inference_phase_seconds_count{model=counted,phase=parse}': 2,
      'mlops_inference_phase_seconds_count{model=counted,phase=queue}': 2,
      'mlops_inference_phase_seconds_count{model=counted,phase=predict}': 2,
      'mlops_inference_phase_seconds_count{model=counted,phase=serialize}': 2,
    });
    expect(after.value('mlops_models_loaded')).toBe(1);
    expect(after.value('mlops_models_memory_bytes')).toBeGreaterThan(1_000_000);
    expect(after.value('mlops_models_processes')).toBe(1);
    expect(after.value('mlops_inference_waiting_requests')).toBe(0);
    expect(after.since(before, ['mlops_artifact_bytes_total', 'mlops_artifact_transfer_seconds_count'])).toEqual({
      'mlops_artifact_bytes_total{direction=upload}': sizeBytes,
      'mlops_artifact_bytes_total{direction=download}': sizeBytes,
      'mlops_artifact_transfer_seconds_count{direction=upload,status=ok}': 1,
      'mlops_artifact_transfer_seconds_count{direction=download,status=ok}': 1,
    });
    const responses = after.since(before, ['mlops_mlflow_response_seconds_count']);
    expect(responses['mlops_mlflow_response_seconds_count{resource=runs,status=ok}']).toBeGreaterThan(2);
    expect(responses['mlops_mlflow_response_seconds_count{resource=models,status=ok}']).toBeGreaterThan(0);
  });

  test('shows models whose names are hostile, and is still read', async () => {
    const mlflow = async (endpoint: string, body: object) => {
      const answer = await post(`/api/2.0/mlflow/${endpoint}`, body);
      expect(answer.status).toBe(200);
      return answer.json();
    };
    const { run } = await mlflow('runs/create', { experiment_id: '0' });
    const names = ['a "quoted" one', 'back\\slash', '} 1\n# EOF', 'ünï ✅'];
    const askFor = async (name: string) => {
      await mlflow('registered-models/create', { name });
      await mlflow('model-versions/create', {
        name,
        source: `${run.info.artifact_uri}/model`,
        run_id: run.info.run_id,
      });
      expect((await post('/mlops/inference', { model_name: name, inputs: { a: [1] } })).status).toBe(409);
    };
    await Promise.all(names.map(askFor));
    const counts = (now: Exposition) =>
      names.map((name) => {
        const labels = { model: name.replaceAll('\n', '\ufffd'), status: 'client_error' };
        return now.value('mlops_inference_requests_total', labels);
      });
    const now = await settled((seen) => counts(seen).every((count) => (count ?? 0) > 0));
    expect(counts(now)).toEqual(names.map(() => 1));
  });

  test('tells requests by route, operations by type, and who follows events', async () => {
    const before = await metrics();
    const id = await submit('print("hello")\n');
    await ended(id);
    for (const path of [id, '0000000000000000', `${id}/nowhere`])
      await fetch(`${platform.url}/mlops/training/jobs/${path}`);
    await post('/graphql', { query: '{ nope }' });
    const LAST = [
      'mlops_http_request_duration_seconds_count{method=GET,route=unknown,status=4xx}',
      'mlops_graphql_operations_total{status=ok,type=subscription}',
      'mlops_graphql_operations_total{status=error,type=invalid}',
    ];
    const after = await settled((now) => {
      const seen = now.since(before, ['mlops_http_request_duration_seconds_count', 'mlops_graphql_operations_total']);
      return LAST.every((series) => seen[series] === 1);
    });
    const requests = after.since(before, ['mlops_http_request_duration_seconds_count']);
    const count = (method: string, route: string, status: string) =>
      requests[`mlops_http_request_duration_seconds_count{method=${method},route=${route},status=${status}}`];
    expect(count('GET', '/mlops/training/jobs/:job_id', '2xx')).toBe(1);
    expect(count('GET', '/mlops/training/jobs/:job_id', '4xx')).toBe(1);
    expect(count('GET', 'unknown', '4xx')).toBe(1);
    expect(after.labelValues('mlops_http_request_duration_seconds_count', 'route').join(' ')).not.toContain(id);
    // Submitted, read once it had ended, and followed.
    expect(after.since(before, ['mlops_graphql_operations_total'])).toEqual({
      'mlops_graphql_operations_total{status=ok,type=mutation}': 1,
      'mlops_graphql_operations_total{status=ok,type=query}': 1,
      'mlops_graphql_operations_total{status=ok,type=subscription}': 1,
      'mlops_graphql_operations_total{status=error,type=invalid}': 1,
    });

    await using gate = await Gate.create();
    const followed = await submit(`${gate.python}\nwait()\n`);
    const following = ended(followed);
    await settled((now) => now.value('mlops_event_subscribers', { feed: 'job' }) === 1);
    await gate.open();
    await following;
    await settled((now) => now.value('mlops_event_subscribers', { feed: 'job' }) === 0);
  });

  test('starts anew at 0 after a restart, and answers other methods with 405', async () => {
    expect((await fetch(`${platform.url}/metrics`, { method: 'POST' })).status).toBe(405);
    await platform.end('SIGTERM');
    await platform[Symbol.asyncDispose]();
    platform = await folder.start();
    const now = await metrics();
    expect(now.value('mlops_training_jobs_total', { status: 'completed' })).toBe(0);
  });
});

import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { ExperimentService } from '../../src/experiments/service.ts';
import { MlflowClient } from '../../src/mlflow/client.ts';
import { type MlflowForTests, runScript, startMlflow } from '../support/mlflow-for-tests.ts';

let server: MlflowForTests;
let client: MlflowClient;
let experiments: ExperimentService;
let paths: string[] = [];
const runs: { runId: string; experimentId: string }[] = [];

/** Three experiments; two active runs in each of the first two, the third is deleted and has one run. */
const SCRIPT = `
import math, mlflow
for number in range(3):
    experiment_id = mlflow.create_experiment(f"it's number {number}", tags={"team": "a"})
    for index in range(2 if number < 2 else 1):
        with mlflow.start_run(experiment_id=experiment_id, run_name=f"run {index}") as run:
            mlflow.log_param("depth", index)
            mlflow.log_metric("loss", 0.5, step=1)
            mlflow.log_metric("loss", 0.25, step=2)
            mlflow.log_metric("bad", math.nan)
        print(run.info.run_id, experiment_id)
mlflow.MlflowClient().delete_experiment(experiment_id)
`;

beforeAll(async () => {
  server = await startMlflow();
  client = new MlflowClient({ baseUrl: () => server.url, onRequest: ({ path }) => void paths.push(path) });
  experiments = new ExperimentService(client);
  for (const line of await runScript(SCRIPT, { trackingUri: server.url })) {
    const [runId = '', experimentId = ''] = line.split(' ');
    runs.push({ runId, experimentId });
  }
});

beforeEach(() => {
  paths = [];
});

afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

it('lists active experiments, the newest first', async () => {
  const list = experiments.experimentList({ by: 'createdAt', isAscending: false });
  const { items, nextPageToken } = await list.search({ maxResults: 10 });
  expect(items.map(({ name }) => name)).toEqual(["it's number 1", "it's number 0", 'Default']);
  expect(items[0]).toMatchObject({ isDeleted: false, tags: { team: 'a' }, createdAt: expect.any(Date) });
  expect(nextPageToken).toBeNull();
  expect(await experiments.countActive()).toBe(3);
});

it('finds experiments by their ids in one request, in the order asked for', async () => {
  const [a, , b, , deleted] = runs.map(({ experimentId }) => experimentId);
  const ids = [b ?? '', 'not-an-id', a ?? '', '99999', '99999999999999', deleted ?? '', a ?? ''];
  const found = await experiments.byIds(ids);
  expect(found.map((experiment) => experiment?.id ?? null)).toEqual([b, null, a, null, null, deleted, a]);
  expect(found[5]?.isDeleted).toBe(true);
  expect(paths).toHaveLength(1);
});

it('finds experiments by name', async () => {
  expect((await experiments.byName("it's number 1"))?.id).toBe(runs[2]?.experimentId);
  expect(await experiments.byName('nobody')).toBeNull();
  paths = [];
  const found = await experiments.byNames(["it's number 2", 'nobody', 'Default']);
  expect(found.map((experiment) => experiment?.id ?? null)).toEqual([runs[4]?.experimentId, null, '0']);
  expect(paths).toHaveLength(1);
});

it('finds runs of several experiments by their ids in one request', async () => {
  const keys = [...runs].reverse();
  const found = await experiments.runsByIds([...keys, { runId: "x') OR ('", experimentId: '0' }]);
  expect(found.map((run) => run?.id ?? null)).toEqual([...keys.map(({ runId }) => runId), null]);
  expect(paths).toEqual(['/api/2.0/mlflow/runs/search']);
  const run = found.at(-3);
  expect(run).toMatchObject({ name: 'run 1', status: 'FINISHED', params: { depth: '1' }, startedAt: expect.any(Date) });
  expect(run?.metrics.toSorted((a, b) => (a.key < b.key ? -1 : 1))).toEqual([
    { key: 'bad', value: 'NaN', step: 0, at: expect.any(Date) },
    { key: 'loss', value: 0.25, step: 2, at: expect.any(Date) },
  ]);
});

it('gives the newest runs of each experiment in one search, and one more for those that the others crowd out', async () => {
  const [a, b] = [runs[0]?.experimentId ?? '', runs[2]?.experimentId ?? ''];
  const idsOf = (lists: { id: string }[][]) => lists.map((list) => list.map(({ id }) => id));
  const [ofA, ofB] = [
    [runs[1]?.runId, runs[0]?.runId],
    [runs[3]?.runId, runs[2]?.runId],
  ];
  expect(idsOf(await experiments.firstRunsOfEach([a, '0', b, a], 3))).toEqual([ofA, [], ofB, ofA]);
  expect(paths).toEqual(['/api/2.0/mlflow/runs/search']);
  paths = [];
  // The two newest are both of b.
  expect(idsOf(await experiments.firstRunsOfEach([a, b], 1))).toEqual([ofA.slice(0, 1), ofB.slice(0, 1)]);
  expect(paths).toEqual(['/api/2.0/mlflow/runs/search', '/api/2.0/mlflow/runs/search']);
});

it('finds runs whose experiment is not known in two requests', async () => {
  const found = await experiments.runsByIds(runs.map(({ runId }) => ({ runId })));
  expect(found.map((run) => run?.id)).toEqual(runs.map(({ runId }) => runId));
  expect(paths).toHaveLength(2);
});

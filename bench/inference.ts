import { type Asgard, startAsgard, untilCompleted, upload } from './support/asgard.ts';
import { alternately, type Bench, type Claim, type Measured } from './support/bench.ts';
import { churnScript } from './support/churn.ts';
import { type Figure, median } from './support/figures.ts';
import { type Load, type LoadRequest, load } from './support/load.ts';
import { memoryOf, totalMib } from './support/memory.ts';
import { serveModel } from './support/mlflow.ts';

const CLIENTS = [1, 8, 32] as const;
/** One row, in the order of the training data's columns. */
const ROW = {
  support_tickets_count: 9,
  days_since_last_purchase: 90,
  total_purchases: 2,
  customer_lifetime_value: 51,
  account_age_days: 200,
  avg_purchase_value: 25.5,
};
const COLUMNS = Object.keys(ROW);

/** Logs the guide's forest once more by MLflow's own call: MLflow cannot serve the pickle that the guide saves. */
const LOG_MODEL = `
import sys
from mlflow.models import infer_signature
with mlflow.start_run():
    mlflow.sklearn.log_model(
        model, name="model", serialization_format="cloudpickle", pip_requirements=["scikit-learn"],
        signature=infer_signature(X_train, model.predict(X_train)),
    )
print("@environment", sys.prefix)
`;

/** The guide's model, one row a request, beside MLflow's own server of the same registered version. */
export const inference: Claim = {
  name: 'inference',
  title: 'Inference',
  async measure(bench): Promise<Measured> {
    const asgard = await startAsgard(bench);
    const { name, environmentFolder } = await trainForest(bench, asgard);
    const peer = await serveModel(bench, {
      environmentFolder,
      modelUri: `models:/${name}/1`,
      trackingUri: asgard.mlflowUrl,
    });
    const inputs = Object.fromEntries(Object.entries(ROW).map(([column, value]) => [column, [value]]));
    const ours = { url: asgard.url, path: '/mlops/inference', body: { model_name: name, inputs } };
    const rows = { columns: COLUMNS, data: [Object.values(ROW)] };
    const theirs = { url: peer.url, path: '/invocations', body: { dataframe_split: rows } };
    await checkSameAnswer(ours, theirs);

    const figures: Figure[] = [];
    const [rounds, seconds] = [bench.size(1, 3), bench.size(1, 2)];
    for (const clients of CLIENTS) {
      bench.say(`${clients} clients, in turn on Asgard and on mlflow models serve`);
      const subjects = [ours, theirs].map(({ url, path, body }) => {
        const request: LoadRequest = { path, body: JSON.stringify(body), expects: '"predictions"' };
        return () => load({ url, clients, seconds, signal: bench.signal, next: () => request });
      });
      const [our = [], their = []] = await alternately(rounds, subjects, bench.signal);
      const row = (what: string, unit: 'ms' | 'requests/s', pick: (load: Load) => number): Figure => ({
        what: `${what}, ${clients} ${clients === 1 ? 'client' : 'clients'}`,
        unit,
        better: unit === 'ms' ? 'lower' : 'higher',
        ours: median(our.map(pick)),
        peer: { name: 'mlflow models serve', value: median(their.map(pick)) },
      });
      if (clients === 1) {
        figures.push(row('latency p50', 'ms', ({ p50Ms }) => p50Ms));
        figures.push(row('latency p99', 'ms', ({ p99Ms }) => p99Ms));
      }
      figures.push(row('throughput', 'requests/s', ({ perSecond }) => perSecond));
      if (clients === 32) figures.push(row('latency p50', 'ms', ({ p50Ms }) => p50Ms));
    }
    const workers = (await memoryOf(asgard.pid)).filter(({ command }) => command.includes('model_process.py'));
    figures.push({
      what: 'memory of the process that holds the model',
      unit: 'MiB',
      better: 'lower',
      ours: totalMib(workers),
      peer: { name: 'mlflow models serve', value: totalMib(await memoryOf(peer.pid)) },
    });
    return {
      figures,
      notes: [
        `A random forest of 100 trees and six features, one row a request; medians of ${rounds} loads of ${seconds} s each. The load comes from a process of the same machine and takes its share of it.`,
        'Both serve the same registered version in the same Python environment, each with its defaults.',
      ],
    };
  },
};

async function trainForest(bench: Bench, asgard: Asgard): Promise<{ name: string; environmentFolder: string }> {
  bench.say('training the forest');
  const churn = await churnScript(bench, asgard);
  const id = await upload(asgard, { ...churn, text: churn.text + LOG_MODEL });
  let environmentFolder = '';
  await untilCompleted(asgard, id, (event) => {
    if (event.__typename === 'LogLine') environmentFolder ||= /^@environment (.+)$/.exec(event.text)?.[1] ?? '';
  });
  return { name: churn.name, environmentFolder };
}

interface Endpoint {
  readonly url: string;
  readonly path: string;
  readonly body: object;
}

/** A server that answers something else would be no peer. */
async function checkSameAnswer(...endpoints: readonly Endpoint[]): Promise<void> {
  const answers = await Promise.all(
    endpoints.map(async ({ url, path, body }) => {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) });
      const text = await response.text();
      if (!response.ok) throw new Error(`${url}${path} was answered ${response.status}: ${text}`);
      const { predictions }: { predictions: unknown[] } = JSON.parse(text);
      return JSON.stringify(predictions);
    }),
  );
  if (new Set(answers).size !== 1) throw new Error(`the predictions differ: ${answers.join(', ')}`);
}

import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { type Asgard, startAsgard } from './support/asgard.ts';
import { alternately, type Bench, type Claim, type Measured } from './support/bench.ts';
import { BENTOML, installBento, serveBento } from './support/bento.ts';
import { type Figure, median } from './support/figures.ts';
import { type Load, load } from './support/load.ts';
import { memoryOf, totalMib } from './support/memory.ts';
import { serveModel } from './support/mlflow.ts';
import { MODELS, type ModelToServe, trainModels } from './support/models-to-serve.ts';
import {
  asgardPredictor,
  BENTO_PREDICTOR,
  MLFLOW_PREDICTOR,
  type Predictor,
  predictionsOf,
  requestsInTurn,
} from './support/predictors.ts';

const CLIENTS = [1, 8, 32] as const;
const COMPILE_LIMIT_MS = 5 * 60_000;
const MLFLOW = 'mlflow models serve';
const BENTO = 'BentoML';

/** A server of one model, measured. */
interface Server {
  readonly url: string;
  readonly predictor: Predictor;
  /** Until it gave its first prediction. */
  readonly coldMs: number;
  /** Of what serves the model. */
  readonly mib: () => Promise<number>;
}

/** By which engine Asgard answers. */
type Engine = 'onnx' | 'python';
const ENGINES = { onnx: 'compiled', python: 'Python worker' } as const;

/** What a model is served by: Asgard in both ways, and its peers. */
type Servers = Readonly<Record<Engine | 'mlflow' | 'bento', Server>>;

/** Predictions of one row a request, by both of Asgard's engines and by two peers. */
export const inference: Claim = {
  name: 'inference',
  title: 'Inference',
  async measure(bench): Promise<Measured> {
    const platforms = { onnx: await startAsgard(bench), python: await startAsgard(bench, { ASGARD_COMPILE: '0' }) };
    bench.say('training the models');
    const environmentFolder = await trainModels(bench, platforms.onnx);
    await trainModels(bench, platforms.python);
    for (const { name } of MODELS) await untilCompiled(bench, platforms.onnx, name);
    const bento = await installBento(bench, environmentFolder);
    const figures: Figure[] = [];
    const memories: Values<number>[] = [];
    for (const model of MODELS) {
      await using stack = new AsyncDisposableStack();
      const servers = await startServers(bench, stack, { model, platforms, environmentFolder, bento });
      const measured = await measureModel(bench, model, servers);
      figures.push(...measured.figures);
      memories.push(measured.mib);
    }
    figures.push(...memoryFigures(memories));
    const [rounds, seconds] = sizes(bench);
    return {
      figures,
      notes: [
        `The guide's random forest of 100 trees and six numbers; and a pipeline of a ColumnTransformer (a text one-hot encoded, six numbers scaled) with gradient boosting of 100 trees. One row a request, of ${MODELS[0]?.rows.length} in turn; medians of ${rounds} loads of ${seconds} s each, one after the other on each server. All servers' answers were compared first and were the same, and each answer of a load is checked.`,
        'The load comes from our own generator (`bench/support/connection.ts`): kept connections with one request at a time, written and read as bytes. It takes its share of the same two processors.',
        `The same script with the same seed trained the models for both of Asgard's engines. \`mlflow models serve\` has its defaults. BentoML ${BENTOML.replace(/^.*==/, '')} has its defaults with adaptive batching, serves the scikit-learn model without MLflow's wrapper, and logs no line for a request. All have the same Python and the same libraries.`,
        `Cold: from the first request to its answer for Asgard, whose Python worker is forked from a process that is warm after the training; from the command to the first answer for the peers, where a server is a model's.`,
        `Memory: proportional set size after the first ${MODELS[0]?.rows.length} answers: the peers' servers, of which each model has its own; Asgard's model processes; and for a compiled model, what the platform's own process, which has them all, grew by when it was loaded and asked (of which much is the requests').`,
      ],
    };
  },
};

/** How many loads of how many seconds. */
function sizes(bench: Bench): [rounds: number, seconds: number] {
  return [bench.size(1, 3), bench.size(0.3, 1)];
}

interface Parts {
  readonly model: ModelToServe;
  readonly platforms: Readonly<Record<Engine, Asgard>>;
  readonly environmentFolder: string;
  /** The folder of BentoML's programs. */
  readonly bento: string;
}

async function startServers(bench: Bench, stack: AsyncDisposableStack, parts: Parts): Promise<Servers> {
  const { model, platforms, environmentFolder, bento } = parts;
  bench.say(`loading the ${model.title}`);
  const onnx = await loadOnAsgard(platforms.onnx, 'onnx', model);
  const python = await loadOnAsgard(platforms.python, 'python', model);
  const of = { modelUri: `models:/${model.name}/1`, trackingUri: platforms.onnx.mlflowUrl };
  const served = stack.use(await serveModel(bench, { ...of, environmentFolder }));
  const mlflow = await peerServer(served, MLFLOW_PREDICTOR, model);
  const batching = stack.use(await serveBento(bench, { ...of, bin: bento }));
  return { onnx, python, mlflow, bento: await peerServer(batching, BENTO_PREDICTOR, model) };
}

async function loadOnAsgard({ url, pid }: Asgard, engine: Engine, model: ModelToServe): Promise<Server> {
  const predictor = asgardPredictor(model.name);
  const mibNow = async () => {
    const processes = await memoryOf(pid);
    if (engine === 'onnx') return totalMib(processes.filter((process) => process.pid === pid));
    return totalMib(processes.filter(({ command }) => command.includes('model_process.py')));
  };
  // The platform itself, or the processes of the models before it.
  const before = await mibNow();
  const startedAt = performance.now();
  const response = await fetch(url + predictor.path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(predictor.bodyOf(model.rows[0] ?? {})),
  });
  const text = await response.text();
  const coldMs = performance.now() - startedAt;
  const by = response.headers.get('x-asgard-engine');
  if (by !== engine) throw new Error(`${model.name} was answered ${response.status} by ${by}: ${text}`);
  return { url, predictor, coldMs, mib: async () => (await mibNow()) - before };
}

async function peerServer(
  { url, pid, startMs }: { url: string; pid: number; startMs: number },
  predictor: Predictor,
  { rows }: ModelToServe,
): Promise<Server> {
  const startedAt = performance.now();
  await predictionsOf(url, predictor, rows.slice(0, 1));
  const coldMs = startMs + performance.now() - startedAt;
  return { url, predictor, coldMs, mib: async () => totalMib(await memoryOf(pid)) };
}

async function measureModel(
  bench: Bench,
  model: ModelToServe,
  servers: Servers,
): Promise<{ figures: Figure[]; mib: Values<number> }> {
  const { signal } = bench;
  const all = [servers.onnx, servers.python, servers.mlflow, servers.bento];
  const [predictions = [], ...others] = await Promise.all(
    all.map(({ url, predictor }) => predictionsOf(url, predictor, model.rows)),
  );
  if (!others.every((each) => isDeepStrictEqual(each, predictions))) {
    throw new Error(`the predictions differ: ${JSON.stringify([predictions, ...others])}`);
  }
  const values = async (pick: (server: Server) => number | Promise<number>) => ({
    onnx: await pick(servers.onnx),
    python: await pick(servers.python),
    mlflow: await pick(servers.mlflow),
    bento: await pick(servers.bento),
  });
  const mib = await values((server) => server.mib());
  const [rounds, seconds] = sizes(bench);
  const figures: Figure[] = [];
  for (const clients of CLIENTS) {
    bench.say(`${model.title}: ${clients} clients, in turn on all servers`);
    const loads = all.map(({ url, predictor }) => {
      const next = requestsInTurn(predictor, model.rows, predictions);
      return () => load({ url, clients, seconds, signal, next });
    });
    const [onnx = [], python = [], mlflow = [], bento = []] = await alternately(rounds, loads, signal);
    figures.push(...loadFigures(model, clients, { onnx, python, mlflow, bento }));
  }
  const lower = { unit: 'ms', better: 'lower' } as const;
  figures.push(...beside(`${model.title}, cold`, lower, await values(({ coldMs }) => coldMs)));
  return { figures, mib };
}

/** Of one compiled model alone it would be no more than what the garbage collector happens to do meanwhile. */
function memoryFigures(memories: readonly Values<number>[]): Figure[] {
  const mean = (of: keyof Values<number>) => memories.reduce((sum, each) => sum + each[of], 0) / memories.length;
  const means = { onnx: mean('onnx'), python: mean('python'), mlflow: mean('mlflow'), bento: mean('bento') };
  return beside(`memory of a model, mean of ${memories.length}`, { unit: 'MiB', better: 'lower' }, means);
}

type Values<T> = Readonly<Record<Engine | 'mlflow' | 'bento', T>>;

function loadFigures({ title }: ModelToServe, clients: number, loads: Values<readonly Load[]>): Figure[] {
  const values = (pick: (load: Load) => number): Values<number> => ({
    onnx: median(loads.onnx.map(pick)),
    python: median(loads.python.map(pick)),
    mlflow: median(loads.mlflow.map(pick)),
    bento: median(loads.bento.map(pick)),
  });
  const what = (part: string) => `${title}, ${clients} ${clients === 1 ? 'client' : 'clients'}, ${part}`;
  const lower = { unit: 'ms', better: 'lower' } as const;
  const higher = { unit: 'requests/s', better: 'higher' } as const;
  const rates = { onnx: '≥ 100 times', python: '≥ 10 times' };
  return [
    ...beside(
      what('p50'),
      lower,
      values(({ p50Ms }) => p50Ms),
    ),
    ...beside(
      what('p99'),
      lower,
      values(({ p99Ms }) => p99Ms),
      clients === 8 ? { onnx: '< 10 ms' } : {},
    ),
    ...beside(
      what('rate'),
      higher,
      values(({ perSecond }) => perSecond),
      clients === 32 ? rates : {},
    ),
  ];
}

/** Each engine beside each peer. @param promises of what is promised beside `mlflow models serve` */
function beside(
  what: string,
  kind: Pick<Figure, 'unit' | 'better'>,
  values: Values<number>,
  promises: Partial<Record<Engine, string>> = {},
): Figure[] {
  return (['onnx', 'python'] as const).flatMap((engine): Figure[] => {
    const ours = { what: `${what}: ${ENGINES[engine]}`, ...kind, ours: values[engine] };
    return [
      { ...ours, peer: { name: MLFLOW, value: values.mlflow }, promise: promises[engine] },
      { ...ours, peer: { name: BENTO, value: values.bento } },
    ];
  });
}

/** A version that is refused would be measured as something else than the row says. */
async function untilCompiled({ signal, say }: Bench, { url }: Asgard, name: string): Promise<void> {
  say(`waiting until the ${name} is compiled`);
  for (const deadline = Date.now() + COMPILE_LIMIT_MS; Date.now() < deadline; ) {
    const response = await fetch(`${url}/mlops/models/${name}/versions/1`, { signal });
    const { compilation }: { compilation?: { status: string; refusal: string | null } } = JSON.parse(
      await response.text(),
    );
    if (compilation?.status === 'compiled') return;
    if (compilation?.status === 'refused') throw new Error(`the ${name} is not compiled: ${compilation.refusal}`);
    await delay(200, undefined, { signal });
  }
  throw new Error(`the ${name} is not compiled after ${COMPILE_LIMIT_MS / 1000} s`);
}

import { startAsgard } from './support/asgard.ts';
import { alternately, type Bench, type Claim, type Measured } from './support/bench.ts';
import { type Figure, median } from './support/figures.ts';
import { startMlflowServer } from './support/mlflow.ts';
import { npmStart } from './support/npm-start.ts';
import { Ray } from './support/ray.ts';
import { restMemory } from './support/rest-memory.ts';

/** How long until it answers, and what it takes while nothing happens and for each job that runs. */
export const startAndRest: Claim = {
  name: 'start-and-rest',
  title: 'Start and memory',
  async measure(bench): Promise<Measured> {
    // The base environment is made here, once, so that no start that is measured makes it.
    await (await startAsgard(bench))[Symbol.asyncDispose]();
    const starts = await measureStarts(bench);
    const row = (what: string, ours: readonly number[], name: string, theirs: readonly number[]): Figure => ({
      what,
      unit: 's',
      better: 'lower',
      ours: median(ours) / 1000,
      peer: { name, value: median(theirs) / 1000 },
    });
    const peers = [
      ['mlflow server', starts.mlflow],
      ['ray start --head', starts.ray],
    ] as const;
    const memory = await restMemory(bench);
    return {
      figures: [
        ...peers.map(([name, theirs]) => row('command to first answer', starts.answer, name, theirs)),
        ...peers.map(([name, theirs]) => row('command to ready, MLflow included', starts.ready, name, theirs)),
        ...memory.figures,
      ],
      notes: [
        `Starts: medians of ${starts.answer.length}, on folders that were used before. Asgard's command is \`npm start\`: npm itself, and the look whether all is set up, are in it. \`mlflow server\` has its defaults, on SQLite; Ray's first answer is its jobs API's.`,
        ...memory.notes,
      ],
    };
  },
};

async function measureStarts(bench: Bench) {
  const [home, mlflowFolder] = [await bench.newFolder('home'), await bench.newFolder('mlflow')];
  const ours = async () => {
    const { answerMs, readyMs, ...platform } = await npmStart(bench, home);
    await platform[Symbol.asyncDispose]();
    return [answerMs, readyMs];
  };
  const mlflow = async () => {
    await using server = await startMlflowServer(bench, { folder: mlflowFolder });
    return [server.startMs];
  };
  const ray = async () => {
    await using head = await Ray.start(bench);
    return [head.startMs];
  };
  bench.say('starts, in turn of Asgard, mlflow server and Ray');
  const [our = [], mlflows = [], rays = []] = await alternately(bench.size(1, 3), [ours, mlflow, ray], bench.signal);
  const nth = (times: readonly number[][], index: number) => times.flatMap((each) => each[index] ?? []);
  return { answer: nth(our, 0), ready: nth(our, 1), mlflow: nth(mlflows, 0), ray: nth(rays, 0) };
}

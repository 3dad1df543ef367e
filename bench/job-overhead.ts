import { ChildProcess } from '../src/platform/process.ts';
import type { PythonEnvironment } from '../src/python/environments.ts';
import { pythonVariables } from '../src/python/script-environment.ts';
import { type Asgard, type Script, startAsgard } from './support/asgard.ts';
import { alternately, type Bench, type Claim, type Measured } from './support/bench.ts';
import { type Figure, median } from './support/figures.ts';
import { asgardJob, baseEnvironment, type JobTimes, rayJob, timed, timesOf } from './support/python-jobs.ts';
import { Ray } from './support/ray.ts';

const SCRIPTS = [
  { name: 'empty', what: 'an empty script', text: timed('') },
  {
    name: 'imports',
    what: 'a script that imports mlflow, pandas and scikit-learn',
    text: timed('import mlflow, pandas\nfrom sklearn.ensemble import RandomForestClassifier'),
  },
] as const;

/** Of a job whose environment is warm, at the median, from the acceptance of its script. */
const OVERHEAD = '≤ 150 ms';

/** What a job in a warm environment costs beside a plain subprocess of the same script, and beside a job of Ray. */
export const jobOverhead: Claim = {
  name: 'job-overhead',
  title: 'A job in a warm environment',
  async measure(bench): Promise<Measured> {
    const environment = await baseEnvironment(bench);
    const asgard = await startAsgard(bench);
    const plain = { name: 'plain subprocess', run: ({ text }: Script) => subprocess(bench, environment, text) };
    const figures = await compared(bench, asgard, plain);
    const ray = await Ray.start(bench);
    const { python } = environment;
    const theirs = { name: 'Ray Jobs', run: (script: Script) => rayJob(ray, python, script, bench.signal) };
    figures.push(...(await compared(bench, asgard, theirs)));
    return {
      figures,
      notes: [
        `Medians of ${bench.size(1, 10)} runs each, in turn, until the end is seen. The scripts do nothing after their imports: all of it is overhead.`,
        'Ray is started once the subprocesses are over: its daemons, which then take their part of the processors, are beside both halves of the rows against it.',
        'All three run the same interpreter with the same packages and a warm file cache. A subprocess has no log, no status, no token, no deadline and no record.',
      ],
    };
  },
};

interface Peer {
  readonly name: string;
  readonly run: (script: Script) => Promise<JobTimes>;
}

async function compared(bench: Bench, asgard: Asgard, peer: Peer): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const { name, what, text } of SCRIPTS) {
    bench.say(`${what}, in turn on Asgard and by ${peer.name}`);
    const script = { name, text };
    const subjects = [() => asgardJob(asgard, script), () => peer.run(script)];
    const [ours = [], theirs = []] = await alternately(bench.size(1, 10), subjects, bench.signal);
    const row = (part: string, pick: (times: JobTimes) => number): Figure => ({
      what: `${what}: ${part}`,
      unit: 'ms',
      better: 'lower',
      ours: median(ours.map(pick)),
      peer: { name: peer.name, value: median(theirs.map(pick)) },
    });
    figures.push(row('from its submission to its end', ({ totalMs }) => totalMs));
    const overhead = row('from its acceptance', ({ totalMs, uploadMs }) => totalMs - uploadMs);
    figures.push({ ...overhead, promise: OVERHEAD });
  }
  return figures;
}

async function subprocess(bench: Bench, { folder, python }: PythonEnvironment, text: string): Promise<JobTimes> {
  const submittedAt = Date.now();
  let output = '';
  await using child = await ChildProcess.start({
    argv: [python, '-u', '-c', text],
    env: pythonVariables(folder, bench.folder),
    onLine: (_stream, line) => {
      output += `${line}\n`;
    },
  });
  const acceptedAt = Date.now();
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`the subprocess ended with ${code}:\n${child.tail}`);
  return timesOf(output, { submittedAt, acceptedAt, endedAt: Date.now() });
}

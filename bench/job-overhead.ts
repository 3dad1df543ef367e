import { ChildProcess } from '../src/platform/process.ts';
import { pythonVariables } from '../src/python/script-environment.ts';
import { startAsgard } from './support/asgard.ts';
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
    const { folder, python } = await baseEnvironment(bench);
    const asgard = await startAsgard(bench);
    const ray = await Ray.start(bench);
    const figures: Figure[] = [];
    const rounds = bench.size(1, 10);
    for (const { name, what, text } of SCRIPTS) {
      bench.say(`${what}, in turn on Asgard, as a subprocess and on Ray`);
      const script = { name, text };
      const subjects = [
        () => asgardJob(asgard, script),
        () => subprocess(bench, folder, python, text),
        () => rayJob(ray, python, script, bench.signal),
      ];
      const [ours = [], plain = [], theirs = []] = await alternately(rounds, subjects, bench.signal);
      const row = (part: string, peerName: string, peer: JobTimes[], pick: (times: JobTimes) => number): Figure => ({
        what: `${what}: ${part}`,
        unit: 'ms',
        better: 'lower',
        ours: median(ours.map(pick)),
        peer: { name: peerName, value: median(peer.map(pick)) },
      });
      for (const [peerName, peer] of [
        ['plain subprocess', plain],
        ['Ray Jobs', theirs],
      ] as const) {
        figures.push(row('from its submission to its end', peerName, peer, ({ totalMs }) => totalMs));
        const overhead = row('from its acceptance', peerName, peer, ({ totalMs, uploadMs }) => totalMs - uploadMs);
        figures.push({ ...overhead, promise: OVERHEAD });
      }
    }
    return {
      figures,
      notes: [
        `Medians of ${rounds} runs each, until the end is seen. The scripts do nothing after their imports: all of it is overhead.`,
        'All three run the same interpreter with the same packages and a warm file cache. A subprocess has no log, no status, no token, no deadline and no record.',
      ],
    };
  },
};

async function subprocess(bench: Bench, folder: string, python: string, text: string): Promise<JobTimes> {
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

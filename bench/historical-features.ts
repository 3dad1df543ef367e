import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inheritedEnvironment, PROJECT_ROOT } from '../src/config.ts';
import { toolchainPython } from '../src/python/environments.ts';
import { alternately, type Bench, type Claim, type Measured } from './support/bench.ts';
import { type Figure, median } from './support/figures.ts';

const PROGRAM = join(PROJECT_ROOT, 'bench', 'support', 'historical_features.py');
const LIMIT_MS = 600_000;

/** What one process measured of itself. */
interface Retrieval {
  readonly seconds: number;
  readonly peakMib: number;
  readonly grownMib: number;
}

/** The guide's `get_historical_features`, large, beside Feast's own `IcebergSource` on its DuckDB store. */
export const historicalFeatures: Claim = {
  name: 'historical-features',
  title: 'Training sets',
  async measure(bench): Promise<Measured> {
    const folder = await bench.newFolder('features');
    const [tableRows, entityRows] = [bench.size(100_000, 10_000_000), bench.size(10_000, 1_000_000)];
    bench.say(`making a table of ${tableRows.toLocaleString('en')} rows`);
    await python(bench, 'make', folder, String(tableRows), String(entityRows));
    bench.say('retrieving features, in turn by Asgard and by Feast');
    const retrieve = (who: 'asgard' | 'feast') => async (): Promise<Retrieval> =>
      JSON.parse(await python(bench, 'retrieve', folder, who));
    const rounds = bench.size(1, 3);
    const [ours = [], theirs = []] = await alternately(rounds, [retrieve('asgard'), retrieve('feast')], bench.signal);
    await python(bench, 'compare', folder);

    const row = (what: string, unit: 's' | 'MiB', pick: (retrieval: Retrieval) => number): Figure => ({
      what,
      unit,
      better: 'lower',
      ours: median(ours.map(pick)),
      peer: { name: "Feast's DuckDB store", value: median(theirs.map(pick)) },
    });
    return {
      figures: [
        row('time', 's', ({ seconds }) => seconds),
        row('peak memory of the process', 'MiB', ({ peakMib }) => peakMib),
        row('of that, more than before any call', 'MiB', ({ grownMib }) => grownMib),
      ],
      notes: [
        `${entityRows.toLocaleString('en')} entity rows against a table of ${tableRows.toLocaleString('en')} rows, ten a customer, in ten files: the guide's view with its three features, and no column besides. Medians of ${rounds} retrievals, each in a process of its own.`,
        'Both give the same rows, which is checked; only Asgard gives them in the order of the entity rows.',
        'Before the call the entity rows are in memory, and a table of one row was read by another call: loading modules is not in the time.',
      ],
    };
  },
};

async function python(bench: Bench, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(toolchainPython(bench.toolchain), [PROGRAM, ...args], {
    env: { ...inheritedEnvironment(), PYTHONPATH: join(PROJECT_ROOT, 'python'), PYTHONOPTIMIZE: '1' },
    signal: bench.signal,
    timeout: LIMIT_MS,
    maxBuffer: 16 * 1024 * 1024,
  });
  return stdout.trim().split('\n').at(-1) ?? '';
}

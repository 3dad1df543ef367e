import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { PROJECT_ROOT } from '../src/config.ts';
import { untilAborted } from '../src/platform/abort.ts';
import { messageOf } from '../src/platform/errors.ts';
import { CLAIMS } from './claims.ts';
import { Bench, type Claim } from './support/bench.ts';
import { type Description, describeMachine, describeVersions } from './support/machine.ts';
import { figureLines, fillIn, fillInHighlights, type MeasuredClaim, type Results } from './support/report.ts';

const RESULTS = join(PROJECT_ROOT, 'bench', 'results.json');
const PAGE = join(PROJECT_ROOT, 'docs', 'benchmarks.md');
const README = join(PROJECT_ROOT, 'README.md');

const HELP = `usage: npm run bench [-- [NAME…] [--write | --quick]]

Measures Asgard beside its peers on this machine, in one run: ours, the peer's, and how many times better ours is.

  NAME      only this claim: ${CLAIMS.map(({ name }) => name).join(', ')}
  --write   what was measured takes its place in bench/results.json and in the tables of docs/benchmarks.md and README.md
  --quick   small numbers that only prove that the benchmark works
  --help    this text

All of it takes about half an hour, on Linux. Ray is installed into the toolchain's folder.
`;

/** Exit codes: 0 when all was measured, 1 when something failed or the run was interrupted, 2 for bad arguments. */
async function main(): Promise<number> {
  const options = readArguments();
  if (typeof options === 'string') {
    const isHelp = options === HELP;
    (isHelp ? process.stdout : process.stderr).write(options);
    return isHelp ? 0 : 2;
  }
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
    process.on(signal, () => stop.abort(new Error('interrupted')));
  }
  // What a claim that was interrupted leaves pending may fail once its servers are gone.
  process.on('unhandledRejection', (error) => {
    if (!stop.signal.aborted) throw error;
  });
  try {
    await run(options, stop.signal);
    return 0;
  } catch (error) {
    process.stderr.write(`bench: ${stop.signal.aborted ? 'interrupted' : messageOf(error)}\n`);
    return 1;
  }
}

interface Options {
  readonly claims: readonly Claim[];
  readonly isQuick: boolean;
  readonly isWritten: boolean;
}

async function run({ claims, isQuick, isWritten }: Options, signal: AbortSignal): Promise<void> {
  // Before anything is written: then it is that of the commit.
  const versions = isWritten ? await withBench(false, signal, describeVersions) : undefined;
  for (const claim of claims) {
    process.stdout.write(`${claim.title} (${claim.name})\n`);
    const measuredAt = new Date().toISOString();
    const came = await withBench(isQuick, signal, (bench) => claim.measure(bench));
    process.stdout.write(`${figureLines(came.figures)}${came.notes.map((note) => `  ${note}\n`).join('')}\n`);
    if (versions !== undefined) await write({ name: claim.name, title: claim.title, measuredAt, ...came }, versions);
  }
}

/** At once, so that a claim that fails later takes nothing away. */
async function write(claim: Omit<MeasuredClaim, 'asgard'>, { asgard = '', ...versions }: Description): Promise<void> {
  const before: Results = JSON.parse(await readFile(RESULTS, 'utf8'));
  const known = new Map(before.claims.map((each) => [each.name, each]));
  known.set(claim.name, { ...claim, asgard });
  const results: Results = {
    machine: describeMachine(),
    versions,
    claims: CLAIMS.flatMap(({ name }) => known.get(name) ?? []),
  };
  await writeFile(RESULTS, `${JSON.stringify(results, null, 2)}\n`);
  await writeFile(PAGE, fillIn(await readFile(PAGE, 'utf8'), results));
  await writeFile(README, fillInHighlights(await readFile(README, 'utf8'), results));
}

async function withBench<T>(isQuick: boolean, signal: AbortSignal, work: (bench: Bench) => Promise<T>): Promise<T> {
  await using bench = await Bench.start({ isQuick, signal });
  return await untilAborted(work(bench), signal);
}

/** @returns the options, or what to print when there is nothing to run */
function readArguments(): Options | string {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        write: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return HELP;
    if (values.quick && values.write) return 'bench: --quick measures nothing to be written; see --help\n';
    const unknown = positionals.find((name) => CLAIMS.every((claim) => claim.name !== name));
    if (unknown !== undefined) return `bench: there is no claim ${unknown}; see --help\n`;
    const claims = positionals.length === 0 ? CLAIMS : CLAIMS.filter(({ name }) => positionals.includes(name));
    return { claims, isQuick: values.quick, isWritten: values.write };
  } catch (error) {
    return `bench: ${messageOf(error).split('. ', 1)[0]}; see --help\n`;
  }
}

// Everything has been ended by now: a timer that a library forgot must not hold the process.
process.exit(await main());

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { PROJECT_ROOT } from '../src/config.ts';
import { untilAborted } from '../src/platform/abort.ts';
import { messageOf } from '../src/platform/errors.ts';
import { CLAIMS } from './claims.ts';
import { Bench, type Claim } from './support/bench.ts';
import { describeMachine, describeVersions } from './support/machine.ts';
import { figureLines, fillIn, type Results } from './support/report.ts';

const RESULTS = join(PROJECT_ROOT, 'bench', 'results.json');
const PAGE = join(PROJECT_ROOT, 'docs', 'benchmarks.md');

const HELP = `usage: npm run bench [-- [NAME…] [--quick]]

Measures Asgard beside its peers on this machine, in one run: ours, the peer's, and how many times better ours is.

  NAME      only this claim: ${CLAIMS.map(({ name }) => name).join(', ')}
  --quick   small numbers that only prove that the benchmark works
  --help    this text

A run of everything, without --quick, writes bench/results.json and the tables in docs/benchmarks.md. It takes about a
quarter of an hour, on Linux. Ray is installed into the toolchain's folder.
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
    await run(options.claims, options.isQuick, stop.signal);
    return 0;
  } catch (error) {
    process.stderr.write(`bench: ${stop.signal.aborted ? 'interrupted' : messageOf(error)}\n`);
    return 1;
  }
}

async function run(claims: readonly Claim[], isQuick: boolean, signal: AbortSignal): Promise<void> {
  const startedAt = new Date();
  const measured: Results['claims'][number][] = [];
  for (const claim of claims) {
    process.stdout.write(`${claim.title} (${claim.name})\n`);
    const came = await withBench(isQuick, signal, (bench) => claim.measure(bench));
    process.stdout.write(`${figureLines(came.figures)}${came.notes.map((note) => `  ${note}\n`).join('')}\n`);
    measured.push({ name: claim.name, title: claim.title, ...came });
  }
  if (isQuick || claims.length < CLAIMS.length) {
    process.stdout.write('Nothing was written: docs/benchmarks.md holds whole runs only.\n');
    return;
  }
  const results: Results = {
    command: 'npm run bench',
    startedAt: startedAt.toISOString(),
    seconds: Math.round((Date.now() - startedAt.getTime()) / 1000),
    machine: describeMachine(),
    versions: await withBench(isQuick, signal, describeVersions),
    claims: measured,
  };
  await writeFile(RESULTS, `${JSON.stringify(results, null, 2)}\n`);
  await writeFile(PAGE, fillIn(await readFile(PAGE, 'utf8'), results));
  process.stdout.write(`Written: ${RESULTS}\n         ${PAGE}\n`);
}

async function withBench<T>(isQuick: boolean, signal: AbortSignal, work: (bench: Bench) => Promise<T>): Promise<T> {
  await using bench = await Bench.start({ isQuick, signal });
  return await untilAborted(work(bench), signal);
}

/** @returns the options, or what to print when there is nothing to run */
function readArguments(): { claims: readonly Claim[]; isQuick: boolean } | string {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { quick: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false } },
    });
    if (values.help) return HELP;
    const unknown = positionals.find((name) => CLAIMS.every((claim) => claim.name !== name));
    if (unknown !== undefined) return `bench: there is no claim ${unknown}; see --help\n`;
    const claims = positionals.length === 0 ? CLAIMS : CLAIMS.filter(({ name }) => positionals.includes(name));
    return { claims, isQuick: values.quick };
  } catch (error) {
    return `bench: ${messageOf(error).split('. ', 1)[0]}; see --help\n`;
  }
}

// Everything has been ended by now: a timer that a library forgot must not hold the process.
process.exit(await main());

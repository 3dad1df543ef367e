import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { untilAborted } from '../src/platform/abort.ts';
import { messageOf } from '../src/platform/errors.ts';
import { PROOFS } from './proofs.ts';
import { countLine, type Proof, shortfalls } from './support/proof.ts';
import { Stress } from './support/stress.ts';

const HELP = `usage: npm run stress [-- [NAME…] [--seed N]]

Tries hard to break what the platform promises, on real platforms with data folders of their own, and prints what it counted.

${PROOFS.map(({ name, title }) => `  ${name.padEnd(14)} ${title}`).join('\n')}

  --seed N      the same random choices as a run that printed this seed
  --help        this text

All of it takes some thirty minutes, on Linux. npm run test:full runs the same with small counts. Exit codes: 0 when every count is as it
should be, 1 when one is not or the run was interrupted, 2 for bad arguments.
`;

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
  // What a proof that was interrupted leaves pending may fail once its platforms are gone.
  process.on('unhandledRejection', (error) => {
    if (!stop.signal.aborted) throw error;
  });
  process.stdout.write(`seed ${options.seed}\n`);
  let failed = 0;
  for (const proof of options.proofs) {
    if (!(await run(proof, options.seed, stop.signal))) failed += 1;
    if (stop.signal.aborted) {
      process.stderr.write('stress: interrupted\n');
      return 1;
    }
  }
  if (failed > 0) process.stdout.write(`${failed} of ${options.proofs.length} proofs fell short\n`);
  return failed === 0 ? 0 : 1;
}

/** @returns whether all is as it should be */
async function run(proof: Proof, seed: number, signal: AbortSignal): Promise<boolean> {
  process.stdout.write(`\n${proof.title} (${proof.name})\n`);
  const startedAt = performance.now();
  const say = (text: string) => void process.stderr.write(`  … ${text}\n`);
  try {
    await using stress = new Stress({ seed, signal, say });
    const proven = await untilAborted(proof.prove(stress), signal);
    for (const count of proven.counts) process.stdout.write(`  ${countLine(count)}\n`);
    for (const fault of proven.faults) process.stdout.write(`  NOT RIGHT: ${fault}\n`);
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    const isProven = shortfalls(proven).length === 0;
    process.stdout.write(`  ${isProven ? 'proven' : 'FELL SHORT'}, in ${seconds} s\n`);
    return isProven;
  } catch (error) {
    if (!signal.aborted) process.stdout.write(`  FAILED: ${messageOf(error)}\n`);
    return false;
  }
}

/** @returns the options, or what to print when there is nothing to run */
function readArguments(): { proofs: readonly Proof[]; seed: number } | string {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { seed: { type: 'string' }, help: { type: 'boolean', short: 'h', default: false } },
    });
    if (values.help) return HELP;
    const unknown = positionals.find((name) => PROOFS.every((proof) => proof.name !== name));
    if (unknown !== undefined) return `stress: there is no proof ${unknown}; see --help\n`;
    const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
    if (!Number.isSafeInteger(seed)) return `stress: --seed takes a whole number, not ${values.seed}\n`;
    const proofs = positionals.length === 0 ? PROOFS : PROOFS.filter(({ name }) => positionals.includes(name));
    return { proofs, seed };
  } catch (error) {
    return `stress: ${messageOf(error).split('. ', 1)[0]}; see --help\n`;
  }
}

// Everything has been ended by now: a timer that a library forgot must not hold the process.
process.exit(await main());

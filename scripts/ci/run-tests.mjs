#!/usr/bin/env node
/**
 * `node scripts/ci/run-tests.mjs 'COMMAND ARGUMENT…'…`: runs each command, also after one that failed, shows what they
 * print, and ends with what failed and the figures of all as one plain line: `N passed, N failed`, and `, N skipped` where
 * some were. A command's figures are its last such line, after a line for each failed test (`test/support/count-reporter.ts`).
 *
 * Exit code: that of the first command that failed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const FAILED = /^failed: .*$/gm;
const FIGURES = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/gm;

/** @returns {Promise<{ code: number, output: string }>} */
async function run(command) {
  const [program, ...args] = command.split(' ');
  const child = spawn(program, args, { stdio: ['inherit', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    process.stdout.write(chunk);
    output += chunk;
  });
  const [code] = await once(child, 'close');
  return { code: code ?? 1, output };
}

const failures = [];
const total = { passed: 0, failed: 0, skipped: 0 };
for (const command of process.argv.slice(2)) {
  const { code, output } = await run(command);
  failures.push(...(output.match(FAILED) ?? []));
  const figures = [...output.matchAll(FIGURES)].at(-1);
  const [passed, failed, skipped] = (figures ?? []).slice(1).map((text) => Number(text ?? 0));
  total.passed += passed ?? 0;
  // A command that failed without a failed test, or told no figures, counts as one failure.
  total.failed += failed || (code === 0 && figures !== undefined ? 0 : 1);
  total.skipped += skipped ?? 0;
  process.exitCode ||= code || (figures === undefined ? 1 : 0);
}
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
process.stdout.write(
  `\n${failures.map((line) => `${line}\n`).join('')}${total.passed} passed, ${total.failed} failed${skipped}\n`,
);

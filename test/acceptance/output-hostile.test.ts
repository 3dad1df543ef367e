import { createHash } from 'node:crypto';
import { afterAll, describe, expect, inject, test } from 'vitest';
import { type EndedJob, JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { overEventStream } from '../support/subscriptions.ts';

const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

const { url } = inject('platform');

/** What may come of a program, in bytes and as it arrives. */
const LINES: readonly (readonly [string, string])[] = [
  [String.raw`plain\n`, 'plain'],
  [String.raw`windows\r\n`, 'windows'],
  [String.raw`\n`, ''],
  [String.raw`\r\n`, ''],
  [String.raw` 10%\r 20%\r100%\r\n`, ' 10%\r 20%\r100%'],
  [String.raw`\x1b[31mred\x1b[0m \x1b[2K\x1b[1A\n`, '\x1b[31mred\x1b[0m \x1b[2K\x1b[1A'],
  [String.raw`bell \x07 back \x08 delete \x7f\n`, 'bell \x07 back \x08 delete \x7f'],
  [String.raw`nul \x00 nul\n`, 'nul \ufffd nul'],
  [String.raw`no utf-8 \xff\xfe\xc3(\n`, 'no utf-8 \ufffd\ufffd\ufffd('],
  [String.raw`half a character \xe2\x82\n`, 'half a character \ufffd'],
  [String.raw`lone surrogate \xed\xa0\x80\n`, 'lone surrogate \ufffd\ufffd\ufffd'],
  [
    String.raw`other line ends \xe2\x80\xa8 \xe2\x80\xa9 \xc2\x85 \x0b \x0c\n`,
    'other line ends \u2028 \u2029 \x85 \v \f',
  ],
  ['no line feed', 'no line feed'],
];
const SCRIPT = `import os\nos.write(1, b"${LINES.map(([bytes]) => bytes).join('')}")\n`;
const TEXTS = LINES.map(([, text]) => text);

const sha256 = (texts: readonly string[]) =>
  createHash('sha256')
    .update(texts.map((text) => `${text}\n`).join(''))
    .digest('hex');

async function logs(id: string): Promise<string> {
  const response = await fetch(`${url}/mlops/training/jobs/${id}`);
  const { logs: text } = (await response.json()) as { logs: string };
  return text;
}

/** The script's lines as the plain event stream has them, and what its end says. */
async function byEventStream(id: string) {
  const texts: string[] = [];
  for await (const { event, data } of overEventStream(url, id)) {
    if (event === 'log' && data.stream !== 'platform') texts.push(data.text);
    if (event === 'end') return { texts, end: data };
  }
  throw new Error('there was no end');
}

function expectProven({ ending, output, proof }: EndedJob): void {
  const { lines, bytes, sha256: hash } = proof;
  expect(ending).toMatchObject({ status: 'COMPLETED', ...proof, keptLines: lines, keptBytes: bytes, keptSha256: hash });
  expect(output.every(({ text }) => text.isWellFormed())).toBe(true);
}

describe('hostile output', { timeout: JOB_LIMIT_MS }, () => {
  test('arrives as documented, by GraphQL and by REST, and each reader can prove it', async () => {
    const ended = await jobs.run(SCRIPT);
    expect(ended.stdout).toEqual(TEXTS);
    expectProven(ended);
    expect(await logs(ended.job.id)).toContain(TEXTS.map((text) => `${text}\n`).join(''));
    const { texts, end } = await byEventStream(ended.job.id);
    expect(texts).toEqual(TEXTS);
    expect(end).toMatchObject({ lines: TEXTS.length, sha256: sha256(TEXTS), kept: { sha256: sha256(TEXTS) } });
  });

  test('a line of 10 MB arrives in pieces of at most 64 KiB, which say that they go on', async () => {
    const LENGTH = 10_000_002;
    const ended = await jobs.run(`print("before")\nprint("aé€" * ${LENGTH / 6}, end="")\nprint("!")\nprint("after")\n`);
    expectProven(ended);
    const [before, ...others] = ended.output;
    const after = others.pop();
    expect([before, after]).toMatchObject([
      { text: 'before', isContinued: false },
      { text: 'after', isContinued: false },
    ]);
    expect(others.map(({ isContinued }) => isContinued)).toEqual(others.map((_, index) => index < others.length - 1));
    const sizes = others.map(({ text }) => Buffer.byteLength(text));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(64 * 1024);
    expect(Math.min(...sizes.slice(0, -1))).toBeGreaterThan(64 * 1024 - 4);
    const whole = others.map(({ text }) => text).join('');
    expect(whole === `${'aé€'.repeat(LENGTH / 6)}!`).toBe(true);
    // One line again in the log as text, all of which it is.
    const text = await logs(ended.job.id);
    expect(text.includes(`before\n${whole}\nafter\n`)).toBe(true);
    const stream = await byEventStream(ended.job.id);
    expect(sha256(stream.texts)).toBe(stream.end.sha256);
  });
});

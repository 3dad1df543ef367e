import { appendFile, mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readSpool } from '../../src/executors/spool.ts';
import type { Frame } from '../../src/python/frames.ts';

const START = '{"n":0,"t":1,"start":{"pid":7,"identity":"x"}}\n';
const EXIT = `{"n":2,"t":3,"exit":${JSON.stringify({
  code: null,
  signal: 'SIGKILL',
  reason: 'output_lost',
  message: 'the disk is full',
  max_rss_bytes: 1,
  cpu_seconds: 0.1,
  lines: 1,
  bytes: 2,
  sha256: 'a'.repeat(64),
})}}\n`;
const lineOf = (number: number, text: string) => `${JSON.stringify({ n: number, t: 2, s: 'stdout', x: text })}\n`;

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'asgard-spool-'));
  path = join(folder, 'spool');
});
afterEach(() => rm(folder, { recursive: true }));

async function read(isWriting: () => Promise<boolean>): Promise<Frame[]> {
  const frames: Frame[] = [];
  for await (const list of readSpool(path, -1, isWriting, AbortSignal.timeout(20_000))) frames.push(...list);
  return frames;
}

test('half of a frame that is taken back, for another in its place, is not read', async () => {
  await writeFile(path, START + lineOf(1, 'x'));
  const { size } = await stat(path);
  await appendFile(path, lineOf(2, 'y'.repeat(5_000)).slice(0, 4_000));
  let looks = 0;
  const frames = await read(async () => {
    looks += 1;
    // All that is there has been read by now.
    if (looks === 1) {
      await truncate(path, size);
      await appendFile(path, EXIT);
    }
    return looks < 3;
  });
  expect(frames.map(({ number }) => number)).toEqual([0, 1, 2]);
  expect(frames.at(-1)).toMatchObject({ exit: { reason: 'output_lost' } });
});

test('a frame is read whole however long it is', async () => {
  const text = '\\u0001'.repeat(64 * 1024);
  await writeFile(path, `${START}{"n":1,"t":2,"s":"stdout","x":"${text}"}\n${EXIT}`);
  const frames = await read(async () => false);
  expect(frames.map(({ number }) => number)).toEqual([0, 1, 2]);
  expect(frames[1]).toMatchObject({ text: '\u0001'.repeat(64 * 1024) });
});

test('what no runner writes is refused rather than held', async () => {
  await writeFile(path, START + 'x'.repeat(3 * 2 ** 20));
  await expect(read(async () => true)).rejects.toThrow('was changed from outside');
});

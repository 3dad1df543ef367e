import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PROJECT_ROOT } from '../../src/config.ts';

/** SHA-256 of the code blocks of "Asgard MLOps Platform - Complete Guide", version 1.0, between their fences. */
const blocks = [
  ['Example Training Script', 'train_model.py', '1f75dd503f0e8252741b9941370ba52576a642dfce98fe881f973068fc566841'],
  ['Upload and Execute', 'upload_and_execute.py', 'd448071957ee59c7b8aa7e96e2feac28bc9faacd6fa607841963f6666a999d5f'],
  ['Python Client', 'client.py', '6758ca47923f0ce63e374910ff996300b638efcee2d396acf1bcf8075b6b6ab8'],
] as const;

test.each(blocks)("the guide's block %s is kept byte for byte in %s", async (_heading, file, sha256) => {
  const text = await readFile(join(PROJECT_ROOT, 'test/fixtures/guide', file));
  expect(createHash('sha256').update(text).digest('hex')).toBe(sha256);
});

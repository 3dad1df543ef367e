import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { graphqlSchema } from '../schema/index.ts';

/*
 * Writes the schema as SDL to schema/schema.graphql. With `--check` it writes nothing, and fails when the file differs
 * from what it would write. With `--release` it also writes schema/released.graphql, which tests hold later changes against.
 */
const path = resolve(import.meta.dirname, '../schema/schema.graphql');
const printed = `${printSchema(lexicographicSortSchema(graphqlSchema()))}\n`;

if (!process.argv.includes('--check')) {
  await writeFile(path, printed);
  if (process.argv.includes('--release')) await writeFile(resolve(path, '../released.graphql'), printed);
} else {
  const written = await readFile(path, 'utf8').catch(() => '');
  if (written !== printed) {
    const lines = written.split('\n');
    const place = printed.split('\n').findIndex((line, index) => line !== lines[index]);
    console.error(`schema/schema.graphql is not what the code says, from line ${place + 1} on:`);
    console.error(`  written: ${lines[place] ?? '(end of file)'}\n  code:    ${printed.split('\n')[place] ?? '(end)'}`);
    console.error('run `node scripts/print-schema.ts` and look at the difference');
    process.exitCode = 1;
  }
}

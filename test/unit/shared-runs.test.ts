import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { CompiledModel } from '../../src/inference/compiled/compiled-model.ts';
import { compiledDescription } from '../../src/inference/compiled/description.ts';
import { type RunSession, SharedRuns } from '../../src/inference/compiled/shared-runs.ts';
import { type CompiledRows, TensorMaker } from '../../src/inference/compiled/tensors.ts';

/** A decision tree behind a scaled number and a category: `age`, `spend`, `plan` (free or größe) → stays or leaves. */
const TREE = JSON.parse(await readFile(join(import.meta.dirname, '..', 'support', 'compiled', 'tree.json'), 'utf8'));
const FILE = Buffer.from(TREE.file, 'base64');
const DESCRIPTION = compiledDescription.parse(TREE);
const SAMPLE = DESCRIPTION.sample;

const column = (name: string) => SAMPLE.inputs[name] ?? [];
const rowsFrom = (start: number, end: number) =>
  Object.fromEntries(Object.keys(SAMPLE.inputs).map((name) => [name, column(name).slice(start, end)]));
const ROWS = SAMPLE.predictions.length;

async function startRuns() {
  const session = await InferenceSession.create(FILE, { executionProviders: ['cpu'] });
  const tensors = new TensorMaker(DESCRIPTION);
  let count = 0;
  const counted: RunSession = {
    run: (feeds, wanted) => {
      count += 1;
      return session.run(feeds, wanted);
    },
  };
  const runs = new SharedRuns(counted, tensors);
  const rows = (start: number, end: number): CompiledRows => {
    const columns = tensors.columnsOf(rowsFrom(start, end));
    const found = columns === null ? null : tensors.rowsOf(columns, 0, end - start);
    if (found === null) throw new Error('the sample cannot be asked');
    return found;
  };
  return { runs, rows, count: () => count, release: () => session.release() };
}

test('requests that come at once share runs of 64 rows at most, in their order', async () => {
  const { runs, rows, count, release } = await startRuns();
  const wanted = [DESCRIPTION.outputs.predictions];
  const asked = Array.from({ length: 65 }, () => runs.run(rows(0, 1), wanted));
  const parts = await Promise.all(asked);
  expect(count()).toBe(2);
  expect(parts.map(({ start }) => start)).toEqual([...Array(64).keys(), 0]);
  expect(parts.at(-1)).toMatchObject({ start: 0, end: 1, count: 1 });
  await release();
});

test('rows that onnxruntime refuses fail alone', async () => {
  const { runs, rows, count, release } = await startRuns();
  const wanted = [DESCRIPTION.outputs.predictions];
  const tooMany: CompiledRows = { count: 1, values: rows(0, 1).values.map(() => new Float64Array(99)) };
  const [good, bad, alsoGood] = await Promise.allSettled([
    runs.run(rows(0, 2), wanted),
    runs.run(tooMany, wanted),
    runs.run(rows(2, 3), wanted),
  ]);
  expect([good.status, bad.status, alsoGood.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(count()).toBe(2);
  await release();
});

test('each of many requests at once is answered as it is alone', async () => {
  await using model = await CompiledModel.load(FILE, DESCRIPTION);
  const requests = Array.from({ length: 200 }, (_, number) => {
    const start = number % ROWS;
    return {
      inputs: rowsFrom(start, Math.min(ROWS, start + 1 + (number % 5))),
      return_probabilities: number % 3 === 0,
    };
  });
  const unknown = { inputs: { ...rowsFrom(0, 1), plan: ['gold'] }, return_probabilities: false };
  const alone = [];
  for (const request of requests) alone.push(await model.predict(request));
  expect(new Set(alone.flatMap((answer) => answer?.predictions)).size).toBeGreaterThan(1);
  const [left, ...together] = await Promise.all([unknown, ...requests].map((request) => model.predict(request)));
  expect(left).toBeNull();
  expect(together).toEqual(alone);
});

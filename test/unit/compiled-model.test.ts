import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { CompiledModel } from '../../src/inference/compiled/compiled-model.ts';
import { compiledDescription } from '../../src/inference/compiled/description.ts';
import { checkOnnxFile } from '../../src/inference/compiled/onnx-file.ts';
import { VersionModel } from '../../src/inference/compiled/version-model.ts';
import type { ServedModel } from '../../src/inference/engine.ts';
import { AsgardError } from '../../src/platform/errors.ts';
import { createLogger } from '../../src/platform/logger.ts';

/** A decision tree behind a scaled number and a category: `age`, `spend`, `plan` (free or größe) → stays or leaves. */
const TREE = JSON.parse(await readFile(join(import.meta.dirname, '..', 'support', 'compiled', 'tree.json'), 'utf8'));
const FILE = Buffer.from(TREE.file, 'base64');
const DESCRIPTION = compiledDescription.parse(TREE);

const ask = (inputs: Record<string, unknown[]>) => ({ inputs, return_probabilities: true });
const row = { age: [30], spend: [70.5], plan: ['größe'] };

/** Stands for a model in Python that refuses everything. */
function fakePython(refusal: AsgardError): ServedModel {
  const ended = Promise.withResolvers<void>();
  return {
    ...{ engine: 'python', memoryBytes: 0, processes: 1, columns: null, waiting: 0, isEnded: false, isLost: false },
    ended: ended.promise,
    predict: async (_request, asking) => {
      asking?.onTurn?.('python', performance.now());
      throw refusal;
    },
    [Symbol.asyncDispose]: async () => ended.resolve(),
  };
}

describe('a compiled model', () => {
  test('answers each row, however the columns are ordered and however many rows there are', async () => {
    await using model = await CompiledModel.load(FILE, DESCRIPTION);
    const many = (values: unknown[]) => Array.from({ length: 1000 }, () => values[0]);
    const one = await model.predict(ask({ plan: row.plan, age: row.age, spend: row.spend }));
    expect(one).toMatchObject({ predictions: ['stays'] });
    const answer = await model.predict(ask({ age: many(row.age), spend: many(row.spend), plan: many(row.plan) }));
    expect(answer?.predictions).toEqual(Array.from({ length: 1000 }, () => 'stays'));
    expect(answer?.probabilities).toHaveLength(1000);
  });

  test('answers others between the runs of a large request, and leaves that when nobody waits for it', async () => {
    await using model = await CompiledModel.load(FILE, DESCRIPTION);
    const many = (values: unknown[]) => Array.from({ length: 100_000 }, () => values[0]);
    const left = new AbortController();
    let isOver = false;
    const large = model
      .predict(ask({ age: many(row.age), spend: many(row.spend), plan: many(row.plan) }), left.signal)
      .catch((error: unknown) => error)
      .finally(() => {
        isOver = true;
      });
    // Also what has nothing to do with the model gets its turns.
    for (let turns = 0; turns < 3; turns += 1) await delay(1);
    expect(await model.predict(ask(row))).toMatchObject({ predictions: ['stays'] });
    expect(isOver).toBe(false);
    const reason = new Error('the caller has left');
    left.abort(reason);
    expect(await large).toBe(reason);
  });

  test.each([
    ['a missing column', { age: [30], spend: [1] }],
    ['an unknown column', { ...row, more: [1] }],
    ['columns of other lengths', { ...row, age: [30, 31] }],
    ['no row', { age: [], spend: [], plan: [] }],
    ['a category that is not known', { ...row, plan: ['gold'] }],
    ['null', { ...row, spend: [null] }],
    ['a text for a number', { ...row, spend: ['1'] }],
    ['true for a number', { ...row, spend: [true] }],
    ['a whole number beyond 2^53', { ...row, age: [2 ** 53] }],
    ['what single precision takes for infinite', { ...row, spend: [1e38] }],
    ['what libraries take for zero', { ...row, spend: [1e-35] }],
    ['a list', { ...row, spend: [[1]] }],
  ])('leaves to Python: %s', async (_what, inputs) => {
    await using model = await CompiledModel.load(FILE, DESCRIPTION);
    expect(await model.predict(ask(inputs))).toBeNull();
  });

  test('is not served where it says something else than the original', async () => {
    const sample = {
      ...DESCRIPTION.sample,
      predictions: DESCRIPTION.sample.predictions.toReversed().map(() => 'gone'),
    };
    await expect(CompiledModel.load(FILE, { ...DESCRIPTION, sample })).rejects.toThrow(
      /answers its sample differently/,
    );
  });
});

describe('a version that is compiled', () => {
  test('says that Python answered, or refused, what it was asked in its place, and that its start was waited for', async () => {
    const turns: [string, boolean][] = [];
    const onTurn = (engine: string, begunAt: number | null) => void turns.push([engine, begunAt !== null]);
    const findCompiled = () => CompiledModel.load(FILE, DESCRIPTION);
    const started = Promise.withResolvers<void>();
    const refusal = new AsgardError('INVALID_INPUT', 'the model refused the inputs');
    const loadPython = async () => {
      await started.promise;
      return fakePython(refusal);
    };
    const logger = createLogger('silent', false);
    await using model = await VersionModel.load({ findCompiled, loadPython, logger }, new AbortController().signal);
    await model.predict(ask(row), { onTurn });
    expect(turns.splice(0)).toEqual([['onnx', true]]);
    const asked = model.predict(ask({ ...row, plan: ['gold'] }), { onTurn });
    const left = new AbortController();
    const given = model.predict(ask({ ...row, plan: ['gold'] }), { signal: left.signal });
    await expect
      .poll(() => turns)
      .toEqual([
        ['onnx', true],
        ['python', false],
      ]);
    left.abort(new Error('the caller has left'));
    await expect(given).rejects.toThrow('the caller has left');
    started.resolve();
    await expect(asked).rejects.toBe(refusal);
    expect(turns.at(-1)).toEqual(['python', true]);
  });

  test('refuses for a moment once it is put away, also in the middle of a request', async () => {
    const findCompiled = () => CompiledModel.load(FILE, DESCRIPTION);
    const loadPython = () => Promise.reject(new Error('Python is not asked'));
    const logger = createLogger('silent', false);
    const model = await VersionModel.load({ findCompiled, loadPython, logger }, new AbortController().signal);
    expect(await model.predict(ask(row))).toMatchObject({ predictions: ['stays'] });
    const many = Object.fromEntries(Object.entries(row).map(([name, [value]]) => [name, Array(5_000).fill(value)]));
    const begun = model.predict(ask(many)).catch((error: unknown) => error);
    await model[Symbol.asyncDispose]();
    expect(await begun).toMatchObject({ code: 'UNAVAILABLE' });
    await expect(model.predict(ask(row))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect([model.isEnded, model.isLost]).toEqual([true, true]);
  });
});

describe('an ONNX file', () => {
  const field = (number: number, content: Uint8Array) =>
    Buffer.concat([Buffer.from([number * 8 + 2, content.length]), content]);
  const model = (...parts: Buffer[]) => field(7, Buffer.concat(parts));
  const node = (operator: string, ...parts: Buffer[]) =>
    field(1, Buffer.concat([field(4, Buffer.from(operator)), ...parts]));
  const far = (number: number) => Buffer.from([((number * 8 + 2) & 0x7f) | 0x80, (number * 8 + 2) >> 7, 1, 0]);

  test.each([
    ['an operator that repeats a graph', model(node('Loop')), /operator :Loop/],
    ['a graph in an operator', model(node('Add', field(5, field(6, Buffer.from('x'))))), /graph in it/],
    ['data in another file', model(node('Add'), field(5, field(13, Buffer.from('x')))), /another file/],
    [
      'data in another file, in an attribute',
      model(node('Constant', field(5, field(5, field(13, Buffer.from('x')))))),
      /another file/,
    ],
    ['functions', far(25), /functions/],
    ['no node', model(), /0 nodes/],
    ['half of a file', FILE.subarray(0, FILE.length / 2), /none|cut off/],
  ])('is refused for %s', (_what, file, why) => {
    expect(() => checkOnnxFile(file)).toThrow(why);
  });

  test('of a converter is let through', () => {
    expect(() => checkOnnxFile(FILE)).not.toThrow();
  });
});

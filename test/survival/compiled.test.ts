import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import { type CompileResult, compileModel } from '../../src/inference/compiled/compile-model.ts';
import { CompiledModel } from '../../src/inference/compiled/compiled-model.ts';
import { compileRequirements } from '../../src/inference/compiled/compiler.ts';
import { type PythonEnvironment, PythonEnvironments } from '../../src/python/environments.ts';
import { type ModelProcesses, modelProcessesIn } from '../support/model-processes.ts';

const TRAIN = join(import.meta.dirname, '..', 'support', 'compiled', 'train.py');
/** Each is compiled and proven by a process of its own, which imports all of these libraries first. */
const LIMIT_MS = 300_000;

interface Expected {
  readonly inputs: Record<string, unknown[]>;
  readonly predictions: readonly unknown[];
  readonly probabilities: readonly (readonly number[])[] | null;
}

/** Models and the rows that they were trained on, as jobs find theirs. */
let folder: string;
let own: string;
let processes: ModelProcesses;
let environment: PythonEnvironment;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'asgard-compiled-'));
  await chmod(folder, 0o755); // they are read by processes that are apart
  own = await mkdtemp(join(tmpdir(), 'asgard-compiling-'));
  processes = modelProcessesIn(own);
  const { toolchain } = parseConfig(inheritedEnvironment(), false);
  const environments = new PythonEnvironments({ folder: join(toolchain, 'environments'), toolchain });
  const requirements = [...(await compileRequirements()), 'xgboost', 'lightgbm'];
  environment = await environments.prepare({ requirements });
  await promisify(execFile)(environment.python, [TRAIN, folder]);
}, 300_000);
afterAll(async () => {
  environment[Symbol.dispose]();
  await processes[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
  await rm(own, { recursive: true, force: true });
});

function compile(name: string, proofSeconds?: number): Promise<CompileResult> {
  return compileModel({
    executor: processes.executor,
    environmentFolder: environment.folder,
    modelFolder: join(folder, name),
    training: { files: [join(folder, `${name}.csv`)], rows: [] },
    signal: new AbortController().signal,
    ...(proofSeconds === undefined ? {} : { proofSeconds }),
  });
}

async function expectedOf(name: string): Promise<Expected> {
  return JSON.parse(await readFile(join(folder, `${name}.json`), 'utf8'));
}

/** Rows that are known, of models other than those whose pickle lies beside 300 named rows. */
const SEEN: Record<string, object> = {
  // It knows no names: which columns of a file are its own is not known.
  boosting: { example: 1 },
  // They were saved with an example of three rows.
  typed: { example: 3, training: 300 },
  // In a tenth of the rows something is missing: such are Python's.
  missing: { example: 5, training: 270 },
  'missing-before': { example: 5, training: 270 },
  'typed-forest': { example: 3, training: 300 },
};

describe('a model that is compiled says what the original says', { timeout: LIMIT_MS }, () => {
  const trees = [
    'categories',
    'many-splits',
    'typed',
    'typed-forest',
    'missing',
    'missing-before',
    'vote',
    'calibrated',
    'forest',
    'forest-of-texts',
    'boosting',
    'histogram',
    'regressor',
    'xgboost',
    'xgboost-regressor',
    'lightgbm',
  ];
  test.each([...trees, 'logistic', 'text'])('%s', async (name) => {
    const result = await compile(name);
    if (result.refusal !== null) throw new Error(result.refusal);
    const { rows, splits, splits_tested } = result.proof;
    expect(rows).toMatchObject({ generated: 3032, ...(SEEN[name] ?? { example: 5, training: 300 }) });
    if (trees.includes(name)) {
      expect(splits).toBeGreaterThan(name === 'many-splits' ? 10_000 : 0);
      expect(splits_tested).toBe(splits);
      // Each side of each is a row of its own, but of those that missing values are split off by.
      if (!name.startsWith('missing')) expect(rows.splits).toBeGreaterThanOrEqual(2 * splits);
    }
    await using model = await CompiledModel.load(result.file, result.description);
    const { inputs, predictions, probabilities } = await expectedOf(name);
    const startedAt = performance.now();
    const one = Object.fromEntries(Object.entries(inputs).map(([column, values]) => [column, values.slice(0, 1)]));
    for (let times = 0; times < 500; times += 1)
      await model.predict({ inputs: one, return_probabilities: probabilities !== null });
    console.log(name, `${((performance.now() - startedAt) / 500).toFixed(3)} ms a row`, JSON.stringify(result.proof));
    const answer = await model.predict({ inputs, return_probabilities: probabilities !== null });
    if (typeof predictions[0] === 'number' && probabilities === null)
      closeTo([answer?.predictions as number[]], [predictions as number[]]);
    else expect(answer?.predictions).toEqual(predictions);
    if (probabilities !== null) closeTo(answer?.probabilities as number[][], probabilities, 0.025);
  });
});

test('100,000 rows are answered as the original answers them', { timeout: LIMIT_MS }, async () => {
  const result = await compile('forest');
  if (result.refusal !== null) throw new Error(result.refusal);
  await using model = await CompiledModel.load(result.file, result.description);
  const { inputs, predictions, probabilities } = await expectedOf('forest-many');
  const startedAt = performance.now();
  const answer = await model.predict({ inputs, return_probabilities: true });
  console.log(`100,000 rows in ${((performance.now() - startedAt) / 1000).toFixed(2)} s`);
  expect(answer?.predictions).toHaveLength(100_000);
  expect(new Set(answer?.predictions)).toEqual(new Set([0, 1]));
  expect(predictions.filter((value, row) => value !== answer?.predictions[row])).toEqual([]);
  closeTo(answer?.probabilities as number[][], probabilities ?? []);
});

test.each([
  ['two-outputs', /several outputs/],
  ['function', /function of Python/],
  ['stacked', /not known what the trees of its inner GradientBoostingClassifier are given/],
  ['turned', /no rows could be made that come to a split of its trees/],
])('%s stays in Python, and it is said why', { timeout: LIMIT_MS }, async (name, why) => {
  expect((await compile(name)).refusal).toMatch(why);
});

test('a model with more splits than there is time to prove stays in Python', { timeout: LIMIT_MS }, async () => {
  const { refusal } = await compile('many-splits', 0);
  expect(refusal).toMatch(/^rows beside 2000 of the \d{5} splits of its trees were compared within 0 s$/);
});

/** @param least what smaller numbers count as: a part of what probabilities add up to */
function closeTo(some: readonly (readonly number[])[], others: readonly (readonly number[])[], least = 0): void {
  const isClose = (one: number, other: number) => Math.abs(one - other) <= 1e-5 * Math.max(Math.abs(other), least);
  const wrong = others.findIndex(
    (row, at) => !row.every((value, column) => isClose(some[at]?.[column] ?? Number.NaN, value)),
  );
  expect(wrong).toBe(-1);
}

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
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

interface Expected {
  readonly inputs: Record<string, unknown[]>;
  readonly predictions: readonly unknown[];
  readonly probabilities: readonly (readonly number[])[] | null;
}

let folder: string;
let processes: ModelProcesses;
let environment: PythonEnvironment;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'asgard-compiled-'));
  processes = modelProcessesIn(folder);
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
});

function compile(name: string): Promise<CompileResult> {
  return compileModel({
    executor: processes.executor,
    environmentFolder: environment.folder,
    modelFolder: join(folder, name),
    dataFiles: [],
    signal: new AbortController().signal,
  });
}

async function expectedOf(name: string): Promise<Expected> {
  return JSON.parse(await readFile(join(folder, `${name}.json`), 'utf8'));
}

describe('a model that is compiled says what the original says', { timeout: 120_000 }, () => {
  const trees = [
    'forest',
    'forest-of-texts',
    'boosting',
    'histogram',
    'regressor',
    'xgboost',
    'xgboost-regressor',
    'lightgbm',
  ];
  test.each([...trees, 'logistic', 'text', 'categories'])('%s', async (name) => {
    const result = await compile(name);
    if (result.refusal !== null) throw new Error(result.refusal);
    expect(result.proof['rows']).toMatchObject({ generated: 3032 });
    if (trees.includes(name)) {
      expect(result.proof['splits']).toBeGreaterThan(0);
      expect(result.proof['splits_tested']).toBe(result.proof['splits']);
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
    if (probabilities !== null) closeTo(answer?.probabilities as number[][], probabilities);
  });
});

test.each([
  ['two-outputs', /several outputs/],
  ['function', /function of Python/],
])('%s stays in Python, and it is said why', { timeout: 60_000 }, async (name, why) => {
  expect((await compile(name)).refusal).toMatch(why);
});

function closeTo(some: readonly (readonly number[])[], others: readonly (readonly number[])[]): void {
  const isClose = (one: number, other: number) => Math.abs(one - other) <= 1e-5 * Math.max(Math.abs(other), 0.025);
  const wrong = others.findIndex(
    (row, at) => !row.every((value, column) => isClose(some[at]?.[column] ?? Number.NaN, value)),
  );
  expect(wrong).toBe(-1);
}

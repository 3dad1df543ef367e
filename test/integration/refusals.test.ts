import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { inheritedEnvironment, PROJECT_ROOT, parseConfig } from '../../src/config.ts';
import type { CompiledDescription } from '../../src/inference/compiled/description.ts';
import { refusalOf } from '../../src/inference/compiled/refusal.ts';
import { parseExactJson } from '../../src/platform/exact-json.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import { inputsOf, ODD_INPUTS } from '../support/odd-inputs/cases.ts';
import { oddRequests } from '../support/odd-inputs/fuzz.ts';

const TYPES = { age: 'long', spend: 'double', visits: 'integer', member: 'boolean', plan: 'string', said: 'string' };
const RUNS = 2_000;

/** What Python says of each request: what is wrong and where, or null. */
const CHECK = `
import json, sys
sys.path.insert(0, sys.argv[1])
from asgard.model_inputs import Column, InputSpec, InvalidInputError, to_frame
types, requests = json.load(open(sys.argv[2]))
spec = InputSpec(columns=[Column(name, type) for name, type in types.items()])
said = []
for inputs in requests:
    try:
        to_frame(inputs, spec)
        said.append(None)
    except InvalidInputError as error:
        said.append([error.path, str(error)])
print(json.dumps(said))
`;

type Inputs = Record<string, unknown[]>;

async function saidByPython(requests: readonly Inputs[]): Promise<([unknown, string] | null)[]> {
  const folder = await mkdtemp(join(tmpdir(), 'asgard-refusals-'));
  try {
    const file = join(folder, 'requests.json');
    await writeFile(file, JSON.stringify([TYPES, requests]));
    const { toolchain } = parseConfig(inheritedEnvironment(), false);
    const args = ['-c', CHECK, join(PROJECT_ROOT, 'python'), file];
    const { stdout } = await promisify(execFile)(toolchainPython(toolchain), args, { maxBuffer: 2 ** 28 });
    return JSON.parse(stdout);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const layout: CompiledDescription['layout'] = {
  columns: Object.entries(TYPES).map(([name, type]) => ({
    name,
    type,
    kind: type === 'string' ? 'text' : 'number',
    values: null,
  })),
  has_names: true,
  inputs: [{ name: 'X', kind: 'number', columns: [0] }],
};

test('what is refused without Python is refused in its words, and nothing else is', async () => {
  const seed = Number(process.env['ASGARD_FUZZ_SEED'] ?? Math.trunc(Math.random() * 2 ** 31));
  console.log('seed', seed);
  const texts = [
    ...ODD_INPUTS.filter(({ model }) => model === 'pipeline').map(({ inputs }) => inputs),
    ...['spent', 'VISITS', 'x'.repeat(99), 'x'.repeat(101), 'mem ber', "it's"].map((name) =>
      inputsOf('pipeline', { spend: null, [name]: '[1, 2]' }),
    ),
    `{${Array.from({ length: 30 }, (_, number) => `"column ${number}": [1]`).join()}}`,
    ...fc.sample(oddRequests('pipeline'), { seed, numRuns: RUNS }).map(({ inputs }) => inputs),
  ].filter((text) => !text.includes('1e999'));
  const requests = texts
    .map((text) => parseExactJson(text) as Inputs)
    // Others are refused before they come here.
    .filter((inputs) => {
      const lists = Object.values(inputs);
      return lists.length > 0 && lists.every((list) => Array.isArray(list) && list.length === lists[0]?.length);
    });
  const said = await saidByPython(requests);
  let native = 0;
  for (const [at, inputs] of requests.entries()) {
    const refusal = refusalOf(inputs, layout);
    if (refusal === undefined) continue;
    native += 1;
    const [issue] = refusal.issues;
    expect([issue?.path, refusal.message], JSON.stringify(inputs)).toEqual(said[at]);
  }
  const refused = said.filter((each) => each !== null).length;
  console.log(`${native} of ${refused} refusals without Python, of ${requests.length} requests`);
  expect(native).toBeGreaterThan(refused * 0.4);
});

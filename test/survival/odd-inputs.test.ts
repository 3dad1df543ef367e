import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DataFolder, type TestPlatform } from '../support/data-folder.ts';
import { submit } from '../support/job-scripts.ts';
import {
  askRest,
  checkAnswer,
  expectSame,
  itselfOf,
  type OddAnswer,
  trainingScript,
} from '../support/odd-inputs/ask.ts';
import { inputsOf, ODD_INPUTS, type OddInput, type OddModel } from '../support/odd-inputs/cases.ts';
import { oddRequests } from '../support/odd-inputs/fuzz.ts';
import { poll } from '../support/poll.ts';
import { processesOf } from '../support/processes.ts';

const COMPILED: readonly OddModel[] = ['forest', 'pipeline', 'strict', 'histogram'];
const JOB_LIMIT_MS = 240_000;
/** The environment that converts is made for it, at low priority. */
const COMPILED_WITHIN_MS = 500_000;
const RANDOM = 400;

let folder: DataFolder;
beforeEach(async () => {
  folder = await DataFolder.make();
});
afterEach(() => folder[Symbol.asyncDispose]());

test('an odd input is answered the same by the compiled model as by Python, and as the model itself says', {
  timeout: JOB_LIMIT_MS + COMPILED_WITHIN_MS + 300_000,
}, async () => {
  const seed = Number(process.env['ASGARD_FUZZ_SEED'] ?? Math.trunc(Math.random() * 2 ** 31));
  console.log('seed', seed);
  const random = (['forest', 'pipeline'] as const).flatMap((model) =>
    fc.sample(oddRequests(model), { seed, numRuns: RANDOM }),
  );
  const requests = [...ODD_INPUTS.filter(({ model }) => COMPILED.includes(model)), ...random];
  const lines: string[] = [];
  const byPython = await onPlatform({ ASGARD_COMPILE: '0' }, async ({ client, url }) => {
    const id = await submit(client, await trainingScript('odd'), 'odd_forest');
    for await (const line of client.jobLog(id)) lines.push(line.text);
    expect((await client.job(id)).status, lines.slice(-20).join('\n')).toBe('COMPLETED');
    return answersOf(url, requests);
  });
  expect(enginesOf(byPython)).toEqual({ python: expect.any(Number) });
  await onPlatform({}, ({ url }) =>
    poll(
      async () =>
        enginesOf(
          await answersOf(
            url,
            COMPILED.map((model) => ({ what: '', model, inputs: inputsOf(model) })),
          ),
        ),
      (engines) => engines['onnx'] === COMPILED.length,
      COMPILED_WITHIN_MS,
    ),
  );
  await onPlatform({ ASGARD_COMPILE: '0' }, async ({ url }) => {
    // Such requests are refused without a process, which none has been started for yet.
    const certain = requests.filter(
      ({ model, what }) => model === 'pipeline' && /^(a missing|a misspelt|a truth value for|a text for) /.test(what),
    );
    expect(certain.length).toBeGreaterThan(5);
    const refusals = await answersOf(url, certain);
    for (const [at, request] of certain.entries()) {
      const before = byPython[requests.indexOf(request)];
      if (before !== undefined) expectSame(refusals[at] ?? expect.fail('no answer'), before);
    }
    expect(processesOf('ASGARD_MODEL_URI=models:/odd_pipeline/1\0')).toEqual([]);

    const itself = itselfOf(lines);
    const compiled = await answersOf(url, requests);
    for (const [at, answer] of compiled.entries()) {
      const [request, before] = [requests[at], byPython[at]];
      if (request === undefined || before === undefined) throw new Error('there are more answers than requests');
      try {
        expectSame(answer, before);
        const number = ODD_INPUTS.indexOf(request);
        if (number !== -1) checkAnswer(request, itself[number] ?? { error: 'nothing' }, answer);
      } catch (cause) {
        throw new Error(`${request.model}: ${request.what}: ${request.inputs.slice(0, 1000)}`, { cause });
      }
    }
    const engines = enginesOf(compiled);
    console.log(`${compiled.length} answers:`, JSON.stringify(engines));
    expect(engines['onnx']).toBeGreaterThan(RANDOM / 4);
    expect(engines['python']).toBeGreaterThan(10);
  });
});

async function onPlatform<T>(changes: NodeJS.ProcessEnv, use: (platform: TestPlatform) => Promise<T>): Promise<T> {
  await using platform = await folder.start(changes);
  await platform.ready();
  const made = await use(platform);
  expect(platform.log.filter((line) => /rest\.fault|graphql\.fault/.test(line))).toEqual([]);
  return made;
}

async function answersOf(url: string, requests: readonly OddInput[]): Promise<OddAnswer[]> {
  const answers: OddAnswer[] = [];
  for (const request of requests) answers.push(await askRest(url, 'odd', request));
  return answers;
}

/** How many answers each engine has given. */
function enginesOf(answers: readonly OddAnswer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const answer of answers) {
    if (!('engine' in answer)) continue;
    const engine = answer.engine ?? 'none';
    counts[engine] = (counts[engine] ?? 0) + 1;
  }
  return counts;
}

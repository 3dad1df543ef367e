import type { WorkerRequest } from '../protocol.ts';

/** Of a piece: some milliseconds of work. */
const MAX_VALUES = 20_000;

/** The JSON of a batch: as one text when it is small, else piece by piece. */
export function* batchText(batch: readonly WorkerRequest[]): Generator<string, void> {
  if (batch.reduce((sum, request) => sum + valuesIn(request), 0) <= MAX_VALUES) {
    yield JSON.stringify(batch);
    return;
  }
  let before = '[';
  for (const { inputs, ...rest } of batch) {
    yield `${before}${JSON.stringify(rest).slice(0, -1)},"inputs":{`;
    yield* columnsText(inputs);
    yield '}}';
    before = ',';
  }
  yield ']';
}

function* columnsText(inputs: WorkerRequest['inputs']): Generator<string, void> {
  let before = '';
  for (const [name, values] of Object.entries(inputs)) {
    yield `${before}${JSON.stringify(name)}:[`;
    for (let start = 0; start < values.length; start += MAX_VALUES) {
      const piece = JSON.stringify(values.slice(start, start + MAX_VALUES)).slice(1, -1);
      yield start === 0 ? piece : `,${piece}`;
    }
    yield ']';
    before = ',';
  }
}

function valuesIn({ inputs }: WorkerRequest): number {
  return Object.values(inputs).reduce((sum, { length }) => sum + length, 0);
}

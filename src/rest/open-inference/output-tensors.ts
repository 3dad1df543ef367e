import type { PredictedValue } from '../../inference/protocol.ts';
import type { Prediction } from '../../inference/service.ts';
import type { VersionDescription } from '../../inference/version-description.ts';
import { invalidInput } from '../../platform/errors.ts';
import { type Datatype, datatypeOf, type Element, isElement } from './datatypes.ts';

/** The output of a model that gives its outputs no names. */
export const PREDICTIONS = 'predictions';
export const PROBABILITIES = 'probabilities';

/** An output, its elements in the order of rows. */
export interface OutputTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly elements: readonly Element[];
}

/**
 * What a model predicted as tensors: one for each output, and `probabilities` when they were asked for. An output's datatype is the
 * signature's; where that has none, or other values come, FP64 of numbers, BOOL, or BYTES: texts, and JSON of whatever is no single value.
 * @param wanted the names of those to be given, in this order; null: all
 * @throws AsgardError INVALID_INPUT when one is wanted that is not there
 */
export function toTensors(
  { predictions, probabilities }: Pick<Prediction, 'predictions' | 'probabilities'>,
  { outputs }: VersionDescription['signature'],
  wanted: readonly string[] | null,
): OutputTensor[] {
  const typeOf = (name: string) => outputs?.find((output) => output.name === name)?.type ?? null;
  const [only, ...others] = outputs ?? [];
  const named = byOutput(predictions);
  const tensors =
    named === null
      ? [tensorOf(others.length > 0 ? PREDICTIONS : (only?.name ?? PREDICTIONS), predictions, only?.type ?? null)]
      : [...named].map(([name, values]) => tensorOf(name, values, typeOf(name)));
  if (probabilities !== null)
    tensors.push(
      tensorOf(
        PROBABILITIES,
        probabilities.map((row) => [...row]),
        'double',
      ),
    );
  if (wanted === null) return tensors;
  return wanted.map((name) => {
    const found = tensors.find((tensor) => tensor.name === name);
    if (found !== undefined) return found;
    const there = tensors.map((tensor) => `"${tensor.name}"`).join(', ');
    throw invalidInput(['outputs', name], `the model has no such output, but ${there}`);
  });
}

/** The values of each output where every row is an object of the same ones; else null. */
function byOutput(rows: readonly PredictedValue[]): Map<string, PredictedValue[]> | null {
  const [first] = rows;
  if (!isObject(first)) return null;
  const names = Object.keys(first);
  const outputs = new Map(names.map((name): [string, PredictedValue[]] => [name, []]));
  for (const row of rows) {
    if (!isObject(row) || Object.keys(row).length !== names.length) return null;
    for (const [name, value] of Object.entries(row)) {
      const values = outputs.get(name);
      if (values === undefined) return null;
      values.push(value);
    }
  }
  return names.length === 0 ? null : outputs;
}

function isObject(value: PredictedValue | undefined): value is { [key: string]: PredictedValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !JSON.isRawJSON(value);
}

function tensorOf(name: string, rows: readonly PredictedValue[], type: string | null): OutputTensor {
  const inner = shapeOf(rows[0]);
  const isEven = rows.every((row) => isOfShape(row, inner));
  const values = isEven ? rows.flatMap(flattened) : rows;
  const shape = isEven ? [rows.length, ...inner] : [rows.length];
  for (const datatype of [datatypeOf(type), 'BOOL', 'FP64', 'BYTES'] as const) {
    if (datatype === null) continue;
    const elements = values.filter((value) => isElement(datatype, value));
    if (elements.length === values.length) return { name, datatype, shape, elements };
  }
  return { name, datatype: 'BYTES', shape, elements: values.map((value) => JSON.stringify(value)) };
}

function shapeOf(value: PredictedValue | undefined): number[] {
  return Array.isArray(value) ? [value.length, ...shapeOf(value[0])] : [];
}

function isOfShape(value: PredictedValue, [length, ...inner]: readonly number[]): boolean {
  if (length === undefined) return !Array.isArray(value);
  return Array.isArray(value) && value.length === length && value.every((each) => isOfShape(each, inner));
}

function flattened(value: PredictedValue): PredictedValue[] {
  return Array.isArray(value) ? value.flatMap(flattened) : [value];
}

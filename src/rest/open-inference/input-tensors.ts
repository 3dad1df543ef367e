import { z } from 'zod';
import { predictionRequest } from '../../inference/prediction-request.ts';
import type { VersionDescription } from '../../inference/version-description.ts';
import { invalidInput } from '../../platform/errors.ts';
import { parse } from '../zod-routes.ts';
import { readElements } from './binary.ts';
import { type Element, expectedOf, toElement } from './datatypes.ts';
import type { RequestInput } from './wire.ts';

type Columns = Readonly<Record<string, readonly unknown[]>>;

/** A tensor with its elements, in the order of rows. */
export interface InputTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly elements: readonly Element[];
}

const checked = z.object({ inputs: predictionRequest.shape.inputs.unwrap() });

/**
 * The tensors of a request with their elements, from its JSON or from the bytes behind it.
 * @throws AsgardError INVALID_INPUT that leads to the tensor by its name
 */
export function readTensors(inputs: readonly RequestInput[], bytes: Buffer | null): InputTensor[] {
  const names = new Set<string>();
  let at = 0;
  const tensors = inputs.map((input): InputTensor => {
    const { name, shape } = input;
    const path = ['inputs', name];
    if (names.has(name)) throw invalidInput(path, 'is given twice');
    names.add(name);
    const size = input.parameters?.binary_data_size;
    const count = shape.reduce((product, length) => product * length, 1);
    if (size == null) return { name, shape, elements: readJson(input, path) };
    if (bytes === null || at + size > bytes.length) {
      throw invalidInput(path, `has ${size} bytes by its binary_data_size, which are not behind the JSON`);
    }
    if (input.data != null) throw invalidInput(path, 'has both data and binary_data_size');
    const elements = readElements(bytes.subarray(at, at + size), input.datatype, count, path);
    at += size;
    return { name, shape, elements };
  });
  const left = (bytes?.length ?? 0) - at;
  if (left > 0) throw invalidInput(['inputs'], `${left} bytes behind the JSON belong to no tensor`);
  return tensors;
}

function readJson({ data, shape, datatype }: RequestInput, path: readonly string[]): Element[] {
  if (data == null) throw invalidInput(path, 'has neither data nor binary_data_size');
  const isNested = data.some(Array.isArray);
  const values = isNested ? flattened(data, shape, path) : data;
  const count = shape.reduce((product, length) => product * length, 1);
  if (values.length !== count) {
    throw invalidInput(path, `has ${values.length} elements, but its shape [${shape.join(', ')}] takes ${count}`);
  }
  return values.map((value, index) => {
    const element = toElement(datatype, value);
    if (element !== undefined) return element;
    throw invalidInput([...path, index], `must be ${expectedOf(datatype)}, as the datatype is ${datatype}`);
  });
}

function flattened(data: unknown, shape: readonly number[], path: readonly string[]): unknown[] {
  const [length, ...inner] = shape;
  if (length === undefined) return [data];
  if (Array.isArray(data) && data.length === length) return data.flatMap((each) => flattened(each, inner, path));
  throw invalidInput(path, `is not nested as its shape says`);
}

/**
 * Tensors as columns: each one of its name, a value or nested lists of them a row; or one of shape `[rows, columns]` that no column has
 * the name of, in the model's order.
 * @throws AsgardError INVALID_INPUT that leads to the tensor by its name
 */
export function toColumns(
  tensors: readonly InputTensor[],
  { name, version, columns }: VersionDescription,
): z.output<typeof checked>['inputs'] {
  const [only] = tensors;
  const isColumn = (tensor: InputTensor) => columns?.some((column) => column.name === tensor.name) ?? false;
  if (tensors.length !== 1 || only === undefined || only.shape.length !== 2 || isColumn(only)) {
    return check(Object.fromEntries(tensors.map((tensor) => [tensor.name, rowsOf(tensor.elements, tensor.shape)])));
  }
  const [rows = 0, width = 0] = only.shape;
  if (columns !== null && columns.length !== width) {
    const expected = `${name} version ${version} takes ${columns.length} columns`;
    throw invalidInput(['inputs', only.name], `has the shape [${rows}, ${width}], but ${expected}`);
  }
  const names = columns?.map((column) => column.name) ?? Array.from({ length: width }, (_, at) => String(at));
  const values = names.map((_, at) =>
    Array.from({ length: rows }, (_row, row) => only.elements[row * width + at] ?? null),
  );
  return check(Object.fromEntries(names.map((column, at) => [column, values[at] ?? []])));
}

/** An element a row, or nested lists of the row's. */
function rowsOf(elements: readonly Element[], shape: readonly number[]): unknown[] {
  const [rows = 0] = shape;
  return rows === elements.length ? [...elements] : nested(elements, shape);
}

function nested(elements: readonly Element[], [length = 0, ...inner]: readonly number[]): unknown[] {
  if (inner.length === 0) return [...elements];
  const size = elements.length / length;
  return Array.from({ length }, (_, at) => nested(elements.slice(at * size, (at + 1) * size), inner));
}

function check(columns: Columns): z.output<typeof checked>['inputs'] {
  return parse(checked, { inputs: columns }).inputs;
}

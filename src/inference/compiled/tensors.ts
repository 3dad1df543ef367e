import { Tensor } from 'onnxruntime-node';
import type { CompiledColumn, CompiledDescription } from './description.ts';
import { WHOLE_NUMBERS } from './whole-numbers.ts';

/** What is larger, or closer to zero, libraries take for infinite, or for zero, each in its own way. */
const LARGEST = 1e37;
const SMALLEST = 1e-30;
const MAX_TEXT = 10_000;
/** Of texts with others Python and onnxruntime may find different words. */
const PLAIN = /^[\t\n\r -~]*$/;

type Inputs = Readonly<Record<string, readonly unknown[]>>;
/** A value as the ONNX file takes it; undefined: Python has to see it. */
type Convert = (value: unknown) => number | string | undefined;

/** Rows as the ONNX file takes them: for each of its inputs its values, row by row, numbers or texts by its kind. */
export interface CompiledRows {
  readonly count: number;
  readonly values: readonly (Float64Array | string[])[];
}

/** Turns a request's columns into what a compiled model takes, as far as it is certain that Python would take them alike. */
export class TensorMaker {
  readonly #layout: CompiledDescription['layout'];
  readonly #converts: readonly Convert[];

  constructor({ layout }: CompiledDescription) {
    this.#layout = layout;
    this.#converts = layout.columns.map(convertOf);
  }

  /** The columns in the model's order; null when there are others, or of other lengths: Python says what is wrong. */
  columnsOf(inputs: Inputs): (readonly unknown[])[] | null {
    const { columns, has_names: hasNames } = this.#layout;
    const given = Object.values(inputs);
    if (given.length !== columns.length || (!hasNames && !isOrderMeant(Object.keys(inputs)))) return null;
    const ordered = hasNames
      ? columns.flatMap(({ name }) => (Object.hasOwn(inputs, name) ? [inputs[name] ?? []] : []))
      : given;
    const rows = ordered[0]?.length ?? 0;
    return rows > 0 && ordered.length === columns.length && ordered.every(({ length }) => length === rows)
      ? ordered
      : null;
  }

  /** The rows from `start` up to `end`; null when there is a value that Python has to see. */
  rowsOf(columns: readonly (readonly unknown[])[], start: number, end: number): CompiledRows | null {
    const values: (Float64Array | string[])[] = [];
    for (const input of this.#layout.inputs) {
      const width = input.columns.length;
      const size = (end - start) * width;
      const data = input.kind === 'number' ? new Float64Array(size) : new Array<string>(size);
      for (const [at, number] of input.columns.entries()) {
        const convert = this.#converts[number];
        const column = columns[number];
        if (convert === undefined || column === undefined) return null;
        for (let row = start; row < end; row += 1) {
          const value = convert(column[row]);
          if (value === undefined) return null;
          data[(row - start) * width + at] = value;
        }
      }
      values.push(data);
    }
    return { count: end - start, values };
  }

  /** All rows of some requests, in their order, as onnxruntime takes them. */
  feeds(parts: readonly CompiledRows[]): Record<string, Tensor> {
    const count = parts.reduce((sum, part) => sum + part.count, 0);
    const feeds: Record<string, Tensor> = {};
    for (const [at, { name, kind, columns }] of this.#layout.inputs.entries()) {
      const shape = [count, columns.length];
      const values = parts.map((part) => part.values[at] ?? []);
      if (kind === 'text') {
        const texts = values.flatMap((each) => (Array.isArray(each) ? each : []));
        feeds[name] = new Tensor('string', texts, shape);
        continue;
      }
      const numbers = new Float64Array(count * columns.length);
      let start = 0;
      for (const each of values) {
        if (each instanceof Float64Array) numbers.set(each, start);
        start += each.length;
      }
      feeds[name] = new Tensor('float64', numbers, shape);
    }
    return feeds;
  }
}

/** JavaScript has put names that are numbers first. That is the order that was meant where they number all columns. */
function isOrderMeant(names: readonly string[]): boolean {
  return names.every((name, at) => name === String(at)) || !names.some((name) => /^\d+$/.test(name));
}

function convertOf({ type, kind, values }: CompiledColumn): Convert {
  const convert = kind === 'text' ? textOf(values !== null) : numberOf(type);
  if (values === null) return convert;
  const known = new Set(values);
  return (value) => (known.has(value as never) ? convert(value) : undefined);
}

function textOf(isKnown: boolean): Convert {
  return (value) => {
    if (typeof value !== 'string') return undefined;
    return isKnown || (value.length <= MAX_TEXT && PLAIN.test(value)) ? value : undefined;
  };
}

function numberOf(type: string | null): Convert {
  if (type === 'boolean' || type === 'bool') return (value) => (typeof value === 'boolean' ? Number(value) : undefined);
  const bounds = type === null ? undefined : WHOLE_NUMBERS.get(type);
  if (bounds !== undefined) {
    const least = Math.max(Number(bounds.least), Number.MIN_SAFE_INTEGER);
    const most = Math.min(Number(bounds.most), Number.MAX_SAFE_INTEGER);
    return (value) =>
      typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most ? value : undefined;
  }
  const isSingle = type === 'float' || type === 'float32';
  return (value) => {
    if (typeof value !== 'number' || !isOrdinary(value)) return undefined;
    return isSingle ? Math.fround(value) : value;
  };
}

/** Neither beyond what libraries tell from infinity and zero, nor a whole number beyond what JavaScript does. */
function isOrdinary(value: number): boolean {
  const size = Math.abs(value);
  if (size === 0) return true;
  return size >= SMALLEST && size <= LARGEST && (size <= Number.MAX_SAFE_INTEGER || !Number.isInteger(value));
}

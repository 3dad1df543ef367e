import { toBigint } from '../../platform/exact-json.ts';

/** The datatypes of the Open Inference Protocol that are taken; BF16, which neither JSON nor numpy has, is not. */
export const DATATYPES = [
  'BOOL',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'FP16',
  'FP32',
  'FP64',
  'BYTES',
] as const;

export type Datatype = (typeof DATATYPES)[number];

/** An element of a tensor as `parseExactJson` has it, a whole number beyond 2^53 an object; null is a number that is not known, which is NaN in binary, or a text that is not there. */
export type Element = number | boolean | string | object | null;

/** How the elements of a datatype of a fixed size are written, little-endian. */
interface Layout {
  readonly bytes: number;
  readonly read: (view: DataView, offset: number) => number | bigint;
  readonly write: (view: DataView, offset: number, value: Element) => void;
}

export const LAYOUTS: Readonly<Record<Exclude<Datatype, 'BYTES'>, Layout>> = {
  BOOL: {
    bytes: 1,
    read: (view, at) => view.getUint8(at),
    write: (view, at, value) => view.setUint8(at, Number(value)),
  },
  INT8: { bytes: 1, read: (view, at) => view.getInt8(at), write: (view, at, value) => view.setInt8(at, Number(value)) },
  INT16: {
    bytes: 2,
    read: (view, at) => view.getInt16(at, true),
    write: (view, at, value) => view.setInt16(at, Number(value), true),
  },
  INT32: {
    bytes: 4,
    read: (view, at) => view.getInt32(at, true),
    write: (view, at, value) => view.setInt32(at, Number(value), true),
  },
  INT64: {
    bytes: 8,
    read: (view, at) => view.getBigInt64(at, true),
    write: (view, at, value) => view.setBigInt64(at, toBigint(value) ?? 0n, true),
  },
  UINT8: {
    bytes: 1,
    read: (view, at) => view.getUint8(at),
    write: (view, at, value) => view.setUint8(at, Number(value)),
  },
  UINT16: {
    bytes: 2,
    read: (view, at) => view.getUint16(at, true),
    write: (view, at, value) => view.setUint16(at, Number(value), true),
  },
  UINT32: {
    bytes: 4,
    read: (view, at) => view.getUint32(at, true),
    write: (view, at, value) => view.setUint32(at, Number(value), true),
  },
  UINT64: {
    bytes: 8,
    read: (view, at) => view.getBigUint64(at, true),
    write: (view, at, value) => view.setBigUint64(at, toBigint(value) ?? 0n, true),
  },
  FP16: {
    bytes: 2,
    read: (view, at) => view.getFloat16(at, true),
    write: (view, at, value) => view.setFloat16(at, Number(value), true),
  },
  FP32: {
    bytes: 4,
    read: (view, at) => view.getFloat32(at, true),
    write: (view, at, value) => view.setFloat32(at, Number(value), true),
  },
  FP64: {
    bytes: 8,
    read: (view, at) => view.getFloat64(at, true),
    write: (view, at, value) => view.setFloat64(at, Number(value), true),
  },
};

const BOUNDS: Readonly<Partial<Record<Datatype, readonly [bigint, bigint]>>> = Object.fromEntries(
  [8n, 16n, 32n, 64n].flatMap((bits) => [
    [`INT${bits}`, [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n]],
    [`UINT${bits}`, [0n, 2n ** bits - 1n]],
  ]),
);

/** The largest of the floats that are smaller than JSON's numbers. */
const LARGEST: Readonly<Partial<Record<Datatype, number>>> = { FP16: 65_504, FP32: 3.4028234663852886e38 };

/** What an element of a datatype is, in words that follow "must be". */
export function expectedOf(datatype: Datatype): string {
  const bounds = BOUNDS[datatype];
  if (bounds !== undefined) return `a whole number from ${bounds[0]} to ${bounds[1]}`;
  if (datatype === 'BOOL') return 'true or false';
  if (datatype === 'BYTES') return 'a text';
  const largest = LARGEST[datatype];
  const range = largest === undefined ? '' : ` from -${largest} to ${largest}`;
  return `a number${range}, or null for one that is not known`;
}

/** A value as an element of the datatype; undefined when it is none. A float is rounded to what JavaScript's numbers are alone. */
export function toElement(datatype: Datatype, value: unknown): Element | undefined {
  if (!/^FP/.test(datatype) || value === null) return isElement(datatype, value) ? value : undefined;
  const whole = typeof value === 'number' ? value : toBigint(value);
  const number = whole === null ? undefined : Number(whole);
  return isElement(datatype, number) ? number : undefined;
}

/** Whether a value is an element of the datatype. */
export function isElement(datatype: Datatype, value: unknown): value is Element {
  const bounds = BOUNDS[datatype];
  if (bounds !== undefined) {
    const whole = toBigint(value);
    return whole !== null && whole >= bounds[0] && whole <= bounds[1];
  }
  if (datatype === 'BOOL') return typeof value === 'boolean';
  if (value === null) return true;
  if (datatype === 'BYTES') return typeof value === 'string';
  return typeof value === 'number' && Math.abs(value) <= (LARGEST[datatype] ?? Number.POSITIVE_INFINITY);
}

const OF_TYPES: Readonly<Record<string, Datatype>> = {
  // MLflow's names
  boolean: 'BOOL',
  integer: 'INT32',
  long: 'INT64',
  float: 'FP32',
  double: 'FP64',
  string: 'BYTES',
  binary: 'BYTES',
  datetime: 'BYTES',
  // numpy's, of tensors
  bool: 'BOOL',
  ...Object.fromEntries([8, 16, 32, 64].map((bits) => [`int${bits}`, `INT${bits}`])),
  ...Object.fromEntries([8, 16, 32, 64].map((bits) => [`uint${bits}`, `UINT${bits}`])),
  ...Object.fromEntries([16, 32, 64].map((bits) => [`float${bits}`, `FP${bits}`])),
  object: 'BYTES',
  str: 'BYTES',
};

/** The datatype of a type that MLflow or numpy has a name for; null when it is none of a single value. */
export function datatypeOf(type: string | null): Datatype | null {
  return type !== null && Object.hasOwn(OF_TYPES, type) ? (OF_TYPES[type] ?? null) : null;
}

import { invalidInput } from '../../platform/errors.ts';
import { CsvBody, FORMATS, type ScoringBody, type ScoringRequest } from './wire.ts';

/** Rows as columns. Without names they are known by their order. */
export interface Table {
  readonly names: readonly string[] | null;
  readonly columns: readonly (readonly unknown[])[];
  /** The field of the request that they came in, for errors. */
  readonly field: (typeof FORMATS)[number] | 'csv';
}

type Field = Table['field'];

/** A cell of a table without gaps takes two bytes of the body at least: of 16 MiB it has half as many. */
const MAX_CELLS = 16 * 1024 * 1024;

/** The field in which a request has its rows. */
export function fieldOf(body: ScoringBody): Field {
  if (body instanceof CsvBody) return 'csv';
  return FORMATS.find((format) => body[format] !== undefined) ?? 'inputs';
}

/** The rows of a request as pandas would have them. @throws AsgardError INVALID_INPUT that leads to the field */
export function readTable({
  dataframe_split: split,
  dataframe_records: records,
  instances,
  inputs,
}: ScoringRequest): Table {
  if (split !== undefined) return readSplit(split);
  if (records !== undefined) return readRows(records, 'dataframe_records');
  return instances === undefined ? readTensors(inputs, 'inputs') : readTensors(instances, 'instances');
}

function readSplit({ columns, index, data }: NonNullable<ScoringRequest['dataframe_split']>): Table {
  const field = 'dataframe_split';
  if (index != null && index.length !== data.length) {
    throw invalidInput([field, 'index'], `has ${index.length} values for ${data.length} rows`);
  }
  if (data.some((row) => isObject(row))) throw invalidInput([field, 'data'], 'must have a list for each row');
  const table = readRows(data, field);
  if (columns == null) return table;
  if (data.length > 0 && columns.length !== table.columns.length) {
    throw invalidInput(
      [field, 'columns'],
      `has ${columns.length} names, but the rows have ${table.columns.length} values`,
    );
  }
  return named(columns.map(String), data.length > 0 ? table.columns : columns.map(() => []), field, 'columns');
}

/** A row is an object, a list, or the value of the only column. */
function readRows(rows: readonly unknown[], field: Field): Table {
  const records = rows.filter(isObject);
  if (records.length > 0) {
    if (records.length !== rows.length) throw invalidInput([field], 'has rows of different kinds');
    const known = new Set<string>();
    for (const row of records) for (const name of Object.keys(row)) known.add(name);
    const names = [...known];
    checkSize(rows.length, names.length, field);
    const columns = names.map((name) => records.map((row) => (Object.hasOwn(row, name) ? row[name] : null)));
    return named(names, columns, field);
  }
  const lists = rows.map((row) => (Array.isArray(row) ? row : [row]));
  const width = lists.reduce((most, row) => Math.max(most, row.length), 0);
  checkSize(rows.length, width, field);
  const columns = Array.from({ length: width }, (_, at) => lists.map((row): unknown => row[at] ?? null));
  return { names: null, columns, field };
}

/** `inputs` and `instances`: columns of an object, rows of a list, or a single value. */
function readTensors(value: unknown, field: Field): Table {
  if (Array.isArray(value)) return readRows(value, field);
  if (!isObject(value)) return readRows([value], field);
  const entries = Object.entries(value);
  // An object of single values is one row.
  if (entries.length > 0 && entries.every(([, each]) => !Array.isArray(each))) return readRows([value], field);
  for (const [name, values] of entries) {
    if (!Array.isArray(values)) throw invalidInput([field, name], 'must be a list with a value for each row');
  }
  return named(
    entries.map(([name]) => name),
    entries.map(([, values]) => (Array.isArray(values) ? values : [])),
    field,
  );
}

function named(names: readonly string[], columns: Table['columns'], field: Field, ...path: string[]): Table {
  checkNames(names, [field, ...path]);
  return { names, columns, field };
}

/** @throws AsgardError INVALID_INPUT when there are two of one name */
export function checkNames(names: readonly string[], path: readonly string[]): void {
  const known = new Set<string>();
  for (const name of names) {
    if (known.has(name)) throw invalidInput(path, `has the name ${JSON.stringify(name)} twice`);
    known.add(name);
  }
}

/** Rows of different lengths would become many more cells than their text has characters. @throws AsgardError INVALID_INPUT */
export function checkSize(rows: number, columns: number, field: Field): void {
  if (rows * columns > MAX_CELLS)
    throw invalidInput([field], `${rows} rows of up to ${columns} values are too large a table`);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

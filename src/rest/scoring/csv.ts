import type { VersionDescription } from '../../inference/version-description.ts';
import { invalidInput } from '../../platform/errors.ts';
import { NUMBER } from './columns.ts';
import { checkNames, checkSize, type Table } from './table.ts';

/** What ends a field without quotes. */
const END = /[,\r\n]/g;

/**
 * A table from CSV as pandas writes it: a header, commas, quotes doubled. An empty field is null. A column to which the signature gives no
 * type has numbers, truth values, or else texts.
 * @throws AsgardError INVALID_INPUT with the row
 */
export function readCsv(text: string, { columns: known }: VersionDescription): Table {
  const [header, ...rows] = readRecords(text);
  if (header === undefined) throw invalidInput(['csv'], 'has no header');
  const names = header.map((name) => name ?? '');
  checkNames(names, ['csv']);
  checkSize(rows.length, names.length, 'csv');
  const long = rows.findIndex((row) => row.length > names.length);
  if (long !== -1) throw invalidInput(['csv', long], `has more fields than the header, which has ${names.length}`);
  const types = new Map(known?.map((column) => [column.name, column.type]));
  const columns = names.map((name, at) => {
    const fields = rows.map((row) => row[at] ?? null);
    return (types.get(name) ?? null) === null ? inferred(fields) : fields.map(asTruth(types.get(name)));
  });
  return { names, columns, field: 'csv' };
}

/** Rows of fields; lines without text are none. */
function readRecords(text: string): (string | null)[][] {
  const records: (string | null)[][] = [];
  let at = 0;
  while (at < text.length) {
    const record: (string | null)[] = [];
    for (;;) {
      const field = readField(text, at, records.length);
      record.push(field.value);
      at = field.end + 1;
      if (text[field.end] !== ',') break;
    }
    if (text.startsWith('\r\n', at - 1)) at += 1;
    if (record.length > 1 || record[0] !== null) records.push(record);
  }
  return records;
}

/** A field, and the place of what ends it: a comma, a line's end, or the text's. */
function readField(text: string, start: number, line: number): { value: string | null; end: number } {
  if (text[start] !== '"') {
    END.lastIndex = start;
    const end = END.exec(text)?.index ?? text.length;
    return { value: end === start ? null : text.slice(start, end), end };
  }
  let quote = text.indexOf('"', start + 1);
  while (quote !== -1 && text[quote + 1] === '"') quote = text.indexOf('"', quote + 2);
  const next = text[quote + 1];
  if (quote === -1 || (next !== undefined && next.search(END) === -1)) {
    throw invalidInput(['csv'], `record ${line}, from 0 for the header, has a quote that does not end its field`);
  }
  return { value: text.slice(start + 1, quote).replaceAll('""', '"'), end: quote + 1 };
}

function inferred(fields: readonly (string | null)[]): readonly unknown[] {
  if (fields.every((field) => field === null || NUMBER.test(field))) {
    return fields.map((field) => (field === null ? null : Number(field)));
  }
  return fields.every((field) => field !== null && TRUTHS.has(field)) ? fields.map(asTruth('boolean')) : fields;
}

const TRUTHS: ReadonlyMap<string, boolean> = new Map([
  ['True', true],
  ['true', true],
  ['TRUE', true],
  ['False', false],
  ['false', false],
  ['FALSE', false],
]);

function asTruth(type: string | null | undefined): (field: string | null) => unknown {
  return (field) => (type === 'boolean' && field !== null ? (TRUTHS.get(field) ?? field) : field);
}

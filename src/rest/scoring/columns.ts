import { z } from 'zod';
import { predictionRequest } from '../../inference/prediction-request.ts';
import type { VersionDescription } from '../../inference/version-description.ts';
import { AsgardError, invalidInput } from '../../platform/errors.ts';
import { parse } from '../zod-routes.ts';
import type { Table } from './table.ts';

const checked = z.object({ inputs: predictionRequest.shape.inputs.unwrap() });

const NUMERIC = /^(integer|long|float|double|u?int(8|16|32|64)|float(16|32|64))$/;
export const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/;

/**
 * A table's columns as the version takes them. By a signature, columns that it has not are left out, and values become of its types where
 * nothing is lost: the text of a number a number, 1 and 0 true and false.
 * @throws AsgardError INVALID_INPUT, of a column under `inputs`
 */
export function toModelColumns(table: Table, description: VersionDescription): z.output<typeof checked>['inputs'] {
  const { columns: known, signature } = description;
  const names = namesOf(table, description);
  const types = new Map(known?.map((column) => [column.name, column.type]));
  const unnamed = known === null ? (signature.inputs ?? []) : [];
  const given = names.map((name, at): [string, readonly unknown[]] => {
    // A tensor without a name is of one type.
    const type = types.get(name) ?? (unnamed.length === 1 ? unnamed[0] : unnamed[at])?.type ?? null;
    const values = table.columns[at] ?? [];
    return [name, type === null ? values : values.map((value) => cast(value, type))];
  });
  const isKnown = signature.inputs === null || known === null ? () => true : (name: string) => types.has(name);
  const taken = given.filter(([name]) => isKnown(name));
  if (given.length > 0 && taken.length === 0) throw missing(table, description);
  return parse(checked, { inputs: Object.fromEntries(taken) }).inputs;
}

function namesOf(table: Table, { columns: known, signature }: VersionDescription): readonly string[] {
  if (table.names !== null) return table.names;
  if (known === null) return table.columns.map((_values, at) => String(at));
  // Of a signature with names the order is not heeded, but where there is one alone.
  const isByOrder = signature.inputs === null || known.length === 1;
  if (isByOrder && known.length === table.columns.length) return known.map((column) => column.name);
  return table.columns.map((_values, at) => String(at));
}

function missing({ field }: Table, { name, version, columns }: VersionDescription): AsgardError {
  const wanted = columns?.map((column) => column.name).join(', ');
  return invalidInput([field], `${name} version ${version} takes columns by name: ${wanted}`);
}

function cast(value: unknown, type: string): unknown {
  if (NUMERIC.test(type)) {
    if (typeof value === 'string' && NUMBER.test(value)) return Number(value);
    return typeof value === 'boolean' ? Number(value) : value;
  }
  const isTruth = type === 'boolean' || type === 'bool';
  return isTruth && (value === 0 || value === 1) ? value === 1 : value;
}

/** A mistake in a column by the name of the field that the column came in. */
export function underField(error: unknown, field: Table['field']): unknown {
  if (!(error instanceof AsgardError) || error.code !== 'INVALID_INPUT') return error;
  const issues = error.issues.map((issue) => ({
    ...issue,
    path: issue.path[0] === 'inputs' ? [field, ...issue.path.slice(1)] : issue.path,
  }));
  return new AsgardError('INVALID_INPUT', error.message, { cause: error, issues });
}

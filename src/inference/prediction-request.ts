import { z } from 'zod';
import { onlineRequest } from '../features/online-request.ts';
import { bounded } from '../platform/bounded.ts';
import { invalidInput } from '../platform/errors.ts';
import { storableText } from '../platform/text.ts';
import { wholeList } from '../platform/whole-list.ts';

/** The most rows of one request. */
const MAX_ROWS = 100_000;
const MAX_COLUMNS = 100_000;
/** Of lists and objects in each other, for one value. */
const MAX_DEPTH = 100;

/** `v2` is no alias, as `aliasName` has it. */
export const VERSION_REFERENCE = /^(latest|[1-9][0-9]{0,9}|(?![vV]?[0-9]+$)[A-Za-z0-9_-]{1,255})$/;

/**
 * What a caller asks, parsed. `inputs: {column: value[n]}`, one value a row, every column of the same length; or
 * `entities: {join key: value[n]}`, for whom the features that the version was trained on are looked up; or both.
 */
export const predictionRequest = z.object({
  modelName: storableText(256).min(1),
  /** A version's number, an alias, or `latest`: the newest that works. Absent: that too, or what `<name>@<alias>` says. */
  modelVersion: z
    .string()
    .regex(VERSION_REFERENCE, 'must be the number of a version, "latest", or an alias')
    .optional(),
  inputs: bounded(
    z
      .record(z.string(), wholeList(MAX_ROWS))
      .superRefine((inputs, context) => {
        const [first, ...others] = Object.entries(inputs);
        if (first === undefined) return;
        const [firstName, firstValues] = first;
        if (firstValues.length === 0) {
          context.addIssue({ code: 'custom', path: [firstName], message: 'must have at least one value' });
        }
        for (const [name, values] of others) {
          if (values.length === firstValues.length) continue;
          const message = `has ${values.length} values, but "${firstName}" has ${firstValues.length}`;
          context.addIssue({ code: 'custom', path: [name], message });
        }
      })
      .superRefine((inputs, context) => {
        for (const [name, values] of Object.entries(inputs)) {
          const row = values.findIndex((value) => problemOf(value) !== undefined);
          if (row === -1) continue;
          context.addIssue({ code: 'custom', path: [name, row], message: problemOf(values[row]) });
        }
      })
      .meta({ maxProperties: MAX_COLUMNS }),
    MAX_COLUMNS,
  ).optional(),
  entities: onlineRequest.shape.entities.optional(),
  /** How old a feature may be that is looked up. */
  maxFeatureAgeSeconds: z.number({ error: 'must be a number of seconds, 0 or more' }).min(0).optional(),
  returnProbabilities: z.boolean().default(false),
});

/**
 * JSON has larger numbers than JavaScript, which reads those as infinite and would write them as null. What is nested deeper than
 * Python's reading goes comes through WebSockets alone.
 */
function problemOf(value: unknown, depth = 0): string | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : 'is too large for a number of 64 bits';
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth === MAX_DEPTH) return `is nested more than ${MAX_DEPTH} levels deep`;
  for (const item of Object.values(value)) {
    const problem = problemOf(item, depth + 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

export type PredictionRequest = z.infer<typeof predictionRequest>;

/** @throws AsgardError INVALID_INPUT when there are no rows, or columns and entities have different numbers of them */
export function checkRows({ inputs = {}, entities }: PredictionRequest): void {
  const [column] = Object.entries(inputs);
  if (entities === undefined) {
    if (column === undefined) throw invalidInput(['inputs'], 'give inputs with at least one column', 'missing');
    return;
  }
  const [first, ...others] = Object.entries(entities);
  if (first === undefined) throw invalidInput(['entities'], 'entities must hold a list of values for each join key');
  const [name, { length }] = first;
  if (length === 0) throw invalidInput(['entities', name], 'must have at least one value');
  for (const [other, values] of others) {
    if (values.length === length) continue;
    throw invalidInput(['entities', other], `has ${values.length} values, but "${name}" has ${length}`);
  }
  if (column === undefined || column[1].length === length) return;
  const message = `has ${column[1].length} values, but the join key "${name}" has ${length}`;
  throw invalidInput(['inputs', column[0]], message);
}

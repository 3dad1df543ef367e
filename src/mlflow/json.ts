import { z } from 'zod';

/**
 * Parses JSON as MLflow's own parts write and accept it: Python prints not-a-number and the infinities bare
 * (`{"value": NaN}`), which is no JSON; here they become the strings that protobuf's JSON has for them.
 * @throws SyntaxError when it is not JSON in this wider sense either
 */
export function parseMlflowJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return JSON.parse(text.replace(STRING_OR_BARE_FLOAT, (found) => (found.startsWith('"') ? found : `"${found}"`)));
  }
}

/** Strings are matched too, so that a `NaN` inside one is left alone. */
const STRING_OR_BARE_FLOAT = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g;

/** A 64-bit whole number; protobuf's JSON may quote it. What JavaScript cannot hold exactly is cut to the nearest that it can. */
export const int64 = z
  .union([
    z.number(),
    z
      .string()
      .regex(/^\s*-?\d+(\.\d+)?(e[+-]?\d+)?\s*$/i)
      .transform(Number),
  ])
  .transform((value) => Math.min(Number.MAX_SAFE_INTEGER, Math.max(Number.MIN_SAFE_INTEGER, Math.trunc(value))));

/** A metric's value: a finite number, or one of the three that JSON has no number for, by protobuf's names. */
export type MetricValue = number | 'NaN' | 'Infinity' | '-Infinity';

/** Of JSON's own numbers one may be too large, and then is infinite; `z.number()` refuses that. */
const anyNumber = z.custom<number>((value) => typeof value === 'number');

/** A double as protobuf's JSON spells it: a number, a number in quotes, or the name of a value that is not finite. */
export const metricValue = z
  .union([anyNumber, z.enum(['NaN', 'Infinity', '-Infinity']), z.string().min(1).transform(Number)])
  .transform((value): MetricValue => {
    if (typeof value === 'string' || Number.isFinite(value)) return value;
    if (Number.isNaN(value)) return 'NaN';
    return value > 0 ? 'Infinity' : '-Infinity';
  });

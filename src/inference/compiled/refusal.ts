import { nearestNames } from '../../models/nearest-names.ts';
import { type AsgardError, invalidInput } from '../../platform/errors.ts';
import type { CompiledColumn, CompiledDescription } from './description.ts';
import { WHOLE_NUMBERS } from './whole-numbers.ts';

/*
 * `python/asgard/model_inputs.py` refuses inputs in these words. Where it is certain that it would, no process is started to
 * hear them. What it would take, or say in words that are not these, gives undefined.
 */

type Inputs = Readonly<Record<string, readonly unknown[]>>;

const TEXT_SHOWN = 40;
const NAME_SHOWN = 100;
const NAMES_SHOWN = 10;
const NEAREST_AMONG = 200;
/** To find the nearest names takes a millisecond or so for as many that are compared. */
const MOST_COMPARED = 500;
/** Of single precision, nearly. */
const LARGEST = 1e37;
/** Of others Python and JavaScript count the letters differently, and there may be several ways to write one. */
const PLAIN = /^[ -~]*$/;

/** What Python would refuse the columns with; undefined when that has to be asked. */
export function refusalOf(inputs: Inputs, { columns, has_names: hasNames }: CompiledDescription['layout']) {
  const given = Object.keys(inputs);
  if (!hasNames || given.length === 0 || given.some((name) => inputs[name]?.length === 0)) return undefined;
  const expected = columns.map(({ name }) => name);
  const missing = expected.filter((name) => !Object.hasOwn(inputs, name));
  const known = new Set(expected);
  const unknown = given.filter((name) => !known.has(name));
  if (missing.length + unknown.length === 0) return refusalOfValues(inputs, columns);
  return refusalOfNames(missing, unknown, expected);
}

function refusalOfNames(
  missing: readonly string[],
  unknown: readonly string[],
  expected: readonly string[],
): AsgardError | undefined {
  const candidates = missing.length > 0 ? missing : expected;
  const isPlain = (name: string) => name.length <= NAME_SHOWN && PLAIN.test(name);
  if (![...unknown, ...candidates].every(isPlain)) return undefined;
  const names = Math.min(NAMES_SHOWN, Math.max(missing.length, unknown.length));
  if (names * Math.min(NEAREST_AMONG, Math.max(unknown.length, candidates.length)) > MOST_COMPARED) return undefined;
  const parts: string[] = [];
  if (missing.length > 0) parts.push(`missing ${listed(missing, unknown, 'given')}`);
  if (unknown.length > 0) parts.push(`unknown ${listed(unknown, candidates, 'expected')}`);
  const culprits = missing.length > 0 ? missing : unknown;
  return invalidInput(['inputs', ...(culprits.length === 1 ? culprits : [])], parts.join('; '));
}

function listed(names: readonly string[], candidates: readonly string[], word: string): string {
  const among = candidates.slice(0, NEAREST_AMONG);
  const shown = names.slice(0, NAMES_SHOWN).map((name) => {
    const [nearest] = nearestNames(name, among, 1);
    return nearest === undefined ? `'${name}'` : `'${name}' (nearest ${word}: '${nearest}')`;
  });
  const more = names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : '';
  return `column${names.length > 1 ? 's' : ''} ${shown.join(', ')}${more}`;
}

/** The first value that its column's type does not take, in the model's order of the columns. */
function refusalOfValues(inputs: Inputs, columns: readonly CompiledColumn[]): AsgardError | undefined {
  for (const { name, type } of columns) {
    const rule = type === null ? undefined : ruleOf(type);
    // Of columns without a type, and so of those after them, only Python knows what they take.
    if (rule === undefined) return undefined;
    const values = inputs[name] ?? [];
    const row = values.findIndex((value) => rule(value) !== TAKEN);
    if (row === -1) continue;
    const expected = rule(values[row]);
    const seen = described(values[row]);
    if (expected === undefined || seen === undefined) return undefined;
    return invalidInput(['inputs', name, row], `column '${name}', row ${row}: ${expected} is expected, not ${seen}`);
  }
  return undefined;
}

const TAKEN = true;
/** Whether a value is taken, or else what is expected instead; undefined: Python has to look at it. */
type Rule = (value: unknown) => boolean | string | undefined;

function ruleOf(type: string): Rule | undefined {
  if (type === 'boolean' || type === 'bool') return (value) => typeof value === 'boolean' || 'true or false';
  if (type === 'string') return (value) => typeof value === 'string' || value === null || 'a text';
  if (['float', 'double', 'float32', 'float64'].includes(type)) return numberRule;
  const bounds = WHOLE_NUMBERS.get(type);
  if (bounds === undefined) return undefined;
  const { least, most } = bounds;
  return (value) => {
    if (JSON.isRawJSON(value)) return undefined;
    if (typeof value !== 'number' || !Number.isInteger(value)) return 'a whole number';
    if (!Number.isSafeInteger(value)) return undefined;
    return (value >= least && value <= most) || `a whole number from ${least} to ${most}`;
  };
}

function numberRule(value: unknown): boolean | string | undefined {
  if (typeof value === 'number') return Math.abs(value) <= LARGEST || undefined;
  if (JSON.isRawJSON(value)) return undefined;
  return value === null || 'a number';
}

/** As Python's `_describe` has it; undefined where Python writes a number otherwise. */
function described(value: unknown): string | undefined {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'string') {
    if (!PLAIN.test(value.slice(0, TEXT_SHOWN * 2))) return undefined;
    return `the text '${value.slice(0, TEXT_SHOWN)}${value.length > TEXT_SHOWN ? '…' : ''}'`;
  }
  if (Array.isArray(value)) return 'a list';
  if (typeof value !== 'number') return JSON.isRawJSON(value) ? undefined : 'an object';
  const size = Math.abs(value);
  if (Number.isSafeInteger(value)) return String(value);
  return size >= 1e-3 && size < 1e15 ? String(value) : undefined;
}

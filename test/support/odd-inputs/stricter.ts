import type { OddInput } from './cases.ts';

/**
 * What is refused though the model itself answers it, and why: of a model with a signature, as MLflow's server casts values and passes
 * over columns. Everything else that is refused the model itself refuses, too.
 */
const STRICTER: readonly {
  readonly why: string;
  readonly model: OddInput['model'];
  readonly what: readonly string[];
}[] = [
  {
    why: 'a column that nobody asked for is most likely a mistake, such as a name that was misspelt',
    model: 'pipeline',
    what: [
      'a column __proto__',
      'a column too many',
      'a column of a similar name too many',
      'a column without a name',
      'a column constructor',
      'a column hasOwnProperty',
      'a column 0',
    ],
  },
  {
    why: 'pandas takes one value for that of each row',
    model: 'forest',
    what: ['a column that is no list', 'a column that is null'],
  },
  {
    why: 'pandas takes one value for that of each row',
    model: 'pipeline',
    what: ['a column that is no list', 'a column that is null'],
  },
  { why: 'scikit-learn reads numbers in texts', model: 'forest', what: ['a number in a text'] },
  {
    why: 'a cast to the type of a column changes the value, or its kind',
    model: 'pipeline',
    what: [
      'a fraction for an integer',
      'more than an integer',
      'much more than an integer',
      'more than a long',
      'a whole number with an exponent, more than a long',
      'a truth value for a long',
      'a text for a long',
      'a truth value for a double',
      'a text for a double',
      'a small number for a truth value',
      'a number for a truth value',
      'a text for a truth value',
      'null for a truth value',
      'a number for a text',
      'a large number for a text',
    ],
  },
  { why: 'a number is taken for nanoseconds since 1970', model: 'echo', what: ['a number for a time'] },
  { why: 'an empty answer tells nobody that a client has lost its rows', model: 'anything', what: ['no rows'] },
  {
    why: 'a number beyond doubles becomes infinite',
    model: 'anything',
    what: ['a number beyond doubles in a list', 'a number beyond doubles in an object'],
  },
];

/** Why an input is refused that the model itself answers; undefined where it is not so. */
export function stricterBecause({ model, what }: OddInput): string | undefined {
  return STRICTER.find((each) => each.model === model && each.what.includes(what))?.why;
}

/** A request to predict that servers trip over, and what becomes of it. */
export interface OddInput {
  readonly what: string;
  readonly model: OddModel;
  /** The text that is sent: not all of it is what JSON.stringify writes. */
  readonly inputs: string;
  /** Absent: the model's own predictions are answered. */
  readonly refused?: { readonly path: readonly (string | number)[]; readonly says: RegExp };
  /** Where the model itself is given something else for the same text. */
  readonly answered?: readonly unknown[];
}

/**
 * `forest`: the guide's pickle, of three numbers; `pipeline`: scikit-learn's, of numbers, a truth value, a category and words, with a
 * signature; `strict`: that which refuses categories that it has not seen; `histogram`: takes what is missing for a value; `echo`: a
 * class of the user's with a signature; `anything`: one without.
 */
export type OddModel = 'forest' | 'pipeline' | 'strict' | 'histogram' | 'echo' | 'anything';

const PLAIN: Readonly<Record<OddModel, Readonly<Record<string, string>>>> = {
  forest: { age: '[30, 60]', spend: '[10.5, 99]', visits: '[1, 19]' },
  pipeline: {
    age: '[30, 60]',
    spend: '[10.5, 99]',
    visits: '[1, 19]',
    member: '[true, false]',
    plan: '["pro", "größe"]',
    said: '["the cat sat", "Birds fly"]',
  },
  strict: {
    age: '[30]',
    spend: '[10.5]',
    visits: '[1]',
    member: '[true]',
    plan: '["pro"]',
    said: '["a dog"]',
  },
  histogram: { age: '[30, 60]', spend: '[10.5, 99]' },
  echo: { id: '[1, 2]', since: '["2025-01-02T03:04:05", "1999-12-31T23:59:59"]', note: '["a", ""]' },
  anything: { a: '[1, 2]' },
};

/** The plain rows of a model with other columns: a text of JSON each, null for one that is left out. */
export function inputsOf(model: OddModel, changes: Readonly<Record<string, string | null>> = {}): string {
  const columns = Object.entries({ ...PLAIN[model], ...changes }).filter(([, values]) => values !== null);
  return `{${columns.map(([name, values]) => `${JSON.stringify(name)}: ${values}`).join(', ')}}`;
}

type Change = readonly [string, Readonly<Record<string, string | null>>];
type Refusal = readonly [...Change, readonly (string | number)[], RegExp];

function taken(model: OddModel, changes: readonly Change[]): OddInput[] {
  return changes.map(([what, columns]) => ({ what, model, inputs: inputsOf(model, columns) }));
}

function refused(model: OddModel, changes: readonly Refusal[]): OddInput[] {
  return changes.map(([what, columns, path, says]) => ({
    what,
    model,
    inputs: inputsOf(model, columns),
    refused: { path: ['inputs', ...path], says },
  }));
}

const PROTO: Readonly<Record<string, string>> = Object.fromEntries([['__proto__', '[1, 2]']]);

/** What every model refuses alike, whatever it would say itself. */
const SHAPES: readonly Refusal[] = [
  ['no rows', { age: '[]', spend: '[]', visits: '[]' }, ['age'], /must have at least one value/],
  ['columns of unequal lengths', { spend: '[1]' }, ['spend'], /has 1 values, but "age" has 2/],
  ['a column that is no list', { spend: '1' }, ['spend'], /list|array/],
  ['a column that is null', { spend: 'null' }, ['spend'], /list|array/],
  ['a number beyond doubles', { spend: '[1, 1e999]' }, ['spend', 1], /too large for a number of 64 bits/],
  ['a negative number beyond doubles', { spend: '[-1e999, 1]' }, ['spend', 0], /too large/],
  ['a whole number of 400 digits', { spend: `[1, ${'9'.repeat(400)}]` }, ['spend', 1], /too large/],
  ['a column __proto__', PROTO, ['__proto__'], /not a name that can be used/],
];

const NAMES: readonly Refusal[] = [
  ['a missing column', { spend: null }, ['spend'], /^missing column 'spend'$/],
  ['two missing columns', { spend: null, visits: null }, [], /^missing columns 'spend', 'visits'$/],
  ['a column too many', { income: '[1, 2]' }, ['income'], /^unknown column 'income'$/],
  ['a column of a similar name too many', { spends: '[1, 2]' }, ['spends'], /nearest expected: 'spend'/],
  [
    'a misspelt column',
    { spend: null, spent: '[1, 2]' },
    ['spend'],
    /missing column 'spend' \(nearest given: 'spent'\); unknown column 'spent' \(nearest expected: 'spend'\)/,
  ],
  ['a column of capitals', { spend: null, Spend: '[1, 2]' }, ['spend'], /nearest given: 'Spend'/],
  ['a column without a name', { '': '[1, 2]' }, [''], /unknown column ''/],
  ['a column constructor', { constructor: '[1, 2]' }, ['constructor'], /unknown column 'constructor'/],
  ['a column hasOwnProperty', { hasOwnProperty: '[1, 2]' }, ['hasOwnProperty'], /unknown/],
  ['a column 0', { 0: '[1, 2]' }, ['0'], /unknown column '0'/],
  ['a column with a blank', { spend: null, ' spend': '[1, 2]' }, ['spend'], /nearest given: ' spend'/],
  [
    'a column that looks the same in fullwidth letters',
    { spend: null, ｓｐｅｎｄ: '[1, 2]' },
    ['spend'],
    /given in another Unicode normal form/,
  ],
];

const BIG = '9007199254740993';

/** All of them. */
export const ODD_INPUTS: readonly OddInput[] = [
  ...refused('forest', [...SHAPES, ...NAMES]),
  {
    what: 'columns in another order',
    model: 'forest',
    inputs: '{"visits": [1, 19], "spend": [10.5, 99], "age": [30, 60]}',
  },
  { what: 'no column', model: 'forest', inputs: '{}', refused: { path: ['inputs'], says: /at least one column/ } },
  ...taken('forest', [
    ['plain rows', {}],
    ['null', { spend: '[null, 99]' }],
    ['null alone', { spend: '[null, null]' }],
    ['truth values', { visits: '[true, false]' }],
    ['truth values beside numbers', { visits: '[true, 7]' }],
    ['numbers that round to zero', { spend: '[1e-999, -0.0]' }],
    ['whole numbers beyond 2^53', { age: `[${BIG}, -${BIG}]` }],
    ['whole numbers beyond 64 bits', { age: '[18446744073709551617, 1]' }],
    ['a number in many digits', { spend: '[10.500000000000000000000000000001, 99]' }],
    ['a number with an exponent', { age: '[3e1, 6E+1]' }],
  ]),
  ...refused('forest', [
    ['a text for a number', { age: '[30, "sixty"]' }, ['age', 1], /a number is expected, not the text 'sixty'/],
    ['a number in a text', { age: '["30", 60]' }, ['age', 0], /a number is expected, not the text '30'/],
    ['a long text for a number', { age: `["${'x'.repeat(5000)}", 60]` }, ['age', 0], /'x{40}…'/],
    ['a list for a number', { age: '[[30], 60]' }, ['age', 0], /a number is expected, not a list/],
    ['an object for a number', { age: '[{"value": 30}, 60]' }, ['age', 0], /not an object/],
    ['a number beyond single precision', { spend: '[1e39, 99]' }, [], /infinity or a value too large/],
  ]),
  ...refused('pipeline', [...SHAPES.slice(1), ...NAMES]),
  ...taken('pipeline', [
    ['plain rows', {}],
    ['whole numbers written with a fraction', { age: '[30.0, 6e1]', visits: '[1.0, 19.0]' }],
    ['null for a double', { spend: '[null, 99]' }],
    ['whole numbers for a double', { spend: '[10, -0]' }],
    ['a whole number beyond 2^53 for a long', { age: `[${BIG}, 60]` }],
    ['a whole number beyond 2^53 for a double', { spend: `[${BIG}, 60]` }],
    ['the largest long', { age: '[9223372036854775807, -9223372036854775808]' }],
    ['a category that was not there in training', { plan: '["gold", "pro"]' }],
    ['a category in another Unicode normal form', { plan: `["${'größe'.normalize('NFD')}", "größe"]` }],
    ['words that were not there in training', { said: '["quark", "the ÇAT sat"]' }],
    ['text without a word', { said: '["", " \\t\\u0000"]' }],
    ['emoji and letters of all planes', { said: '["😀 cat 𝒹𝑜𝑔", "猫 кот dog"]' }],
    ['a text of 20,000 characters', { said: `["${'cat dog '.repeat(2500)}", "cat"]` }],
  ]),
  ...refused('pipeline', [
    ['a fraction for an integer', { visits: '[1, 2.5]' }, ['visits', 1], /a whole number is expected, not 2.5/],
    ['null for an integer', { visits: '[1, null]' }, ['visits', 1], /a whole number is expected, not null/],
    ['more than an integer', { visits: '[1, 2147483648]' }, ['visits', 1], /from -2147483648 to 2147483647/],
    ['much more than an integer', { visits: `[1, ${BIG}]` }, ['visits', 1], /not 9007199254740993/],
    [
      'more than a long',
      { age: '[9223372036854775808, 1]' },
      ['age', 0],
      /from -9223372036854775808 to 9223372036854775807 is expected, not 9223372036854775808/,
    ],
    ['a whole number with an exponent, more than a long', { age: '[1e30, 1]' }, ['age', 0], /a whole number from/],
    ['a truth value for a long', { age: '[true, 1]' }, ['age', 0], /a whole number is expected, not true/],
    ['a text for a long', { age: '["30", 1]' }, ['age', 0], /a whole number is expected, not the text '30'/],
    ['a truth value for a double', { spend: '[1, false]' }, ['spend', 1], /a number is expected, not false/],
    ['a list for a double', { spend: '[1, [2]]' }, ['spend', 1], /a number is expected, not a list/],
    ['a text for a double', { spend: '["NaN", 1]' }, ['spend', 0], /a number is expected, not the text 'NaN'/],
    ['a small number for a truth value', { member: '[true, 0.0001]' }, ['member', 1], /not 0.0001/],
    ['a number for a truth value', { member: '[1, 0]' }, ['member', 0], /true or false is expected, not 1/],
    ['a text for a truth value', { member: '[true, "true"]' }, ['member', 1], /not the text 'true'/],
    ['null for a truth value', { member: '[null, true]' }, ['member', 0], /true or false is expected, not null/],
    ['a number for a text', { plan: '["pro", 7]' }, ['plan', 1], /a text is expected, not 7/],
    ['a large number for a text', { plan: '["pro", 1e22]' }, ['plan', 1], /a text is expected, not 1e\+22/],
    ['a list for a text', { said: '[["cat"], "dog"]' }, ['said', 0], /a text is expected, not a list/],
    ['emoji for a number', { age: '["😀😀", 1]' }, ['age', 0], /not the text '😀😀'/],
    ['null for words', { said: '[null, "dog"]' }, [], /NoneType/],
  ]),
  ...taken('strict', [['plain rows', {}]]),
  ...refused('strict', [
    ['a category that was not there in training', { plan: '["gold"]' }, [], /unknown categories \['gold'\]/],
    ['null for a category', { plan: '[null]' }, [], /unknown categories/],
  ]),
  ...taken('histogram', [
    ['plain rows', {}],
    ['null', { age: '[null, 60]', spend: '[null, 99]' }],
    ['nothing but null', { age: '[null, null]', spend: '[null, null]' }],
    ['a number beyond single precision', { spend: '[1e300, -1e300]' }],
  ]),
  ...refused('histogram', [['a text for a number', { age: '["x", 1]' }, ['age', 0], /a number is expected/]]),
  ...taken('echo', [
    ['plain rows', {}],
    ['whole numbers beyond 2^53', { id: `[${BIG}, -${BIG}]` }],
    ['the largest and the smallest long', { id: '[9223372036854775807, -9223372036854775808]' }],
    ['2^53 and its neighbours', { id: '[9007199254740992, 9007199254740991]' }],
    ['letters of all planes', { note: '["é", "é 😀 \\u0000 \\u2028"]' }],
    ['days without a time', { since: '["2025-01-02", "2024-02-29"]' }],
    ['the first and the last year', { since: '["1678-01-01T00:00:00", "2261-12-31T23:59:59"]' }],
  ]),
  {
    what: 'times with an offset are those of UTC',
    model: 'echo',
    inputs: inputsOf('echo', { since: '["2025-01-02T03:04:05+01:00", "2025-01-02T03:04:05Z"]' }),
    answered: [
      { id: 1, since: '2025-01-02 02:04:05.000000', note: 'a' },
      { id: 2, since: '2025-01-02 03:04:05.000000', note: '' },
    ],
  },
  {
    // Newer versions of pandas can hold it in columns that are told to be of objects alone.
    what: 'half of a surrogate pair',
    model: 'echo',
    inputs: inputsOf('echo', { since: '["2025-01-02", "2025-01-02"]', note: '["\\ud83d", "\\udc00\\ud83d"]' }),
    answered: [
      { id: 1, since: '2025-01-02 00:00:00.000000', note: '\ud83d' },
      { id: 2, since: '2025-01-02 00:00:00.000000', note: '\udc00\ud83d' },
    ],
  },
  {
    what: 'null for a time and a text',
    model: 'echo',
    inputs: inputsOf('echo', { since: '[null, "2025-01-02"]', note: '[null, "b"]' }),
    answered: [
      { id: 1, since: null, note: null },
      { id: 2, since: '2025-01-02 00:00:00.000000', note: 'b' },
    ],
  },
  ...refused('echo', [
    ['a word for a time', { since: '["2025-01-02", "soon"]' }, ['since', 1], /a date and time .* not the text 'soon'/],
    ['a number for a time', { since: '[1735787045, "2025-01-02"]' }, ['since', 0], /date and time as text/],
    ['a day that is not there', { since: '["2025-02-30", "2025-01-02"]' }, ['since', 0], /'2025-02-30'/],
    ['a year that is too late', { since: '["2025-01-02", "3000-01-01"]' }, ['since', 1], /years 1678 to 2261/],
    ['a year that is too early', { since: '["0001-01-01", "2025-01-02"]' }, ['since', 0], /years 1678 to 2261/],
    ['a year of many digits', { since: '["99999999999999999999", "2025-01-02"]' }, ['since', 0], /a date and time/],
    ['null for an id', { id: '[null, 1]' }, ['id', 0], /a whole number is expected, not null/],
  ]),
  ...taken('anything', [
    ['numbers', {}],
    ['lists of lists', { a: '[[[1, 2], [3]], []]' }],
    ['objects', { a: '[{"b": {"c": [1, null]}}, {}]' }],
    ['values of several kinds', { a: '[1, "x"]', b: '[null, true]', c: '[[1], {"d": 2.5}]' }],
    ['whole numbers beyond 2^53', { a: `[${BIG}, 1]` }],
    ['a whole number beyond 64 bits', { a: '[18446744073709551616, 1]' }],
    ['whole numbers beyond 2^53 in lists and objects', { a: `[[${BIG}], {"b": -${BIG}}]` }],
    ['null beside whole numbers', { a: '[1, null]' }],
    ['texts', { a: '["1e999", "9007199254740993"]' }],
    ['a column without a name', { '': '[1, 2]' }],
    ['columns of the names that objects have', { constructor: '[1, 2]', toString: '["a", "b"]', valueOf: '[0.5, 1]' }],
    ['a name in two Unicode normal forms', { é: '[1, 2]', [`e\u0301`]: '[3, 4]' }],
  ]),
  ...refused('anything', [
    ['no rows', { a: '[]' }, ['a'], /must have at least one value/],
    ['a number beyond doubles in a list', { a: '[1, [2, [1e999]]]' }, ['a', 1], /too large/],
    ['a number beyond doubles in an object', { a: '[{"b": [-1e999]}, 1]' }, ['a', 0], /too large/],
  ]),
  {
    what: 'whole numbers with a fraction of zero are whole numbers',
    model: 'anything',
    inputs: '{"a": [1.0, 2.0]}',
    answered: ["{'a': 'int64'} [1]", "{'a': 'int64'} [2]"],
  },
];

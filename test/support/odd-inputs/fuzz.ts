import fc from 'fast-check';
import type { OddInput, OddModel } from './cases.ts';

/** Values as texts of JSON. */
type Values = fc.Arbitrary<string>;

const json = (value: unknown): string => JSON.stringify(value) ?? 'null';
const words = fc.constantFrom('the cat sat', 'a dog ran home', 'Birds fly', 'cat', 'CAT dog!', '');
const anyText = fc.oneof(fc.string({ maxLength: 12 }), fc.string({ unit: 'binary', maxLength: 6 }));

const number = fc.oneof(
  { arbitrary: fc.integer({ min: -50, max: 120 }), weight: 4 },
  // Most doubles are next to zero or immense: those are for Python.
  { arbitrary: fc.integer({ min: -200_000, max: 200_000 }).map((thousandths) => thousandths / 1000), weight: 12 },
  { arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }), weight: 1 },
  { arbitrary: fc.maxSafeInteger(), weight: 1 },
);

/** What no column is meant to hold; and numbers that not everybody reads alike. */
const odd: Values = fc.oneof(
  fc.constantFrom(
    'null',
    'true',
    'false',
    '[]',
    '{}',
    '[1]',
    '{"value": 1}',
    '""',
    '-0.0',
    '1e39',
    '1e-320',
    '5e-324',
    '1e999',
  ),
  fc.constantFrom(
    '9007199254740993',
    '-9223372036854775808',
    '9223372036854775808',
    '18446744073709551616',
    '2147483648',
  ),
  anyText.map(json),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
  fc.jsonValue({ maxDepth: 3 }).map(json),
);

const KINDS = {
  number: number.map(json),
  whole: fc.integer({ min: 0, max: 100 }).map(json),
  truth: fc.boolean().map(json),
  plan: fc.constantFrom('free', 'pro', 'größe', 'free', 'pro', 'größe', 'gold').map(json),
  words: fc.oneof({ arbitrary: words, weight: 8 }, { arbitrary: anyText, weight: 1 }).map(json),
} satisfies Record<string, Values>;

const COLUMNS: Readonly<Partial<Record<OddModel, Readonly<Record<string, keyof typeof KINDS>>>>> = {
  forest: { age: 'number', spend: 'number', visits: 'number' },
  pipeline: { age: 'whole', spend: 'number', visits: 'whole', member: 'truth', plan: 'plan', said: 'words' },
};

function seldom<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> {
  return fc.oneof({ arbitrary: fc.constant(null), weight: 9 }, { arbitrary, weight: 1 });
}

/** Requests to a model: most with values that its columns are meant for, some with odd ones, or with other columns. */
export function oddRequests(model: OddModel): fc.Arbitrary<OddInput> {
  const columns = Object.entries(COLUMNS[model] ?? {});
  return fc
    .record({
      rows: fc.integer({ min: 1, max: 4 }),
      isOdd: fc.boolean(),
      extra: seldom(fc.oneof(fc.constantFrom('spend ', 'Age', '', '0', 'constructor'), anyText)),
      dropped: seldom(fc.constantFrom(...columns.map(([name]) => name))),
    })
    .chain(({ rows, isOdd, extra, dropped }) => {
      const valuesOf = (kind: keyof typeof KINDS): Values =>
        fc
          .array(isOdd ? fc.oneof({ arbitrary: KINDS[kind], weight: 6 }, { arbitrary: odd, weight: 1 }) : KINDS[kind], {
            minLength: rows,
            maxLength: rows,
          })
          .map((values) => `[${values.join(', ')}]`);
      const names = columns.filter(([name]) => name !== dropped);
      const all = [
        ...names,
        ...(extra === null || names.some(([name]) => name === extra) ? [] : [[extra, 'number'] as const]),
      ];
      return fc
        .tuple(...all.map(([, kind]) => valuesOf(kind)))
        .map((values) => `{${all.map(([name], at) => `${json(name)}: ${values[at]}`).join(', ')}}`);
    })
    .map((inputs) => ({ what: 'a random one', model, inputs }));
}

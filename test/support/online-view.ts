import { expect } from 'vitest';
import { z } from 'zod';
import type { FeastBridge } from '../../src/feast/bridge.ts';
import type { Columns, FeastSdk, Row } from './feast-sdk.ts';
import { uniqueName } from './unique-name.ts';

const HOUR_MS = 3_600_000;

/** A table of customers, with a column for each kind of value that matters. */
export const COLUMNS: Columns = {
  customer_id: 'long',
  event_timestamp: 'time',
  total_purchases: 'long',
  avg_purchase_value: 'double',
  name: 'string',
  scores: 'longs',
};

/** The features of its view. */
export const DTYPES = {
  total_purchases: 'int64',
  avg_purchase_value: 'float64',
  name: 'string',
  scores: 'array_int64',
};

/** A column for every kind of value: what the table has, and which of Feast's types its feature is. */
export const KINDS = {
  whole: ['long', 'Int64'],
  small: ['int', 'Int32'],
  ratio: ['double', 'Float64'],
  ratio32: ['float', 'Float32'],
  flag: ['bool', 'Bool'],
  name: ['string', 'String'],
  raw: ['bytes', 'Bytes'],
  moment: ['time', 'UnixTimestamp'],
  zoned: ['time', 'ZonedTimestamp'],
  day: ['date', 'UnixTimestamp'],
  price: ['decimal', 'Decimal'],
  price_number: ['decimal', 'Float64'],
  wholes: ['longs', '[]Int64'],
  ratios: ['doubles', '[]Float64'],
  price_numbers: ['decimals', '[]Float64'],
  flags: ['bools', '[]Bool'],
  names: ['strings', '[]String'],
  raws: ['bytess', '[]Bytes'],
  moments: ['times', '[]UnixTimestamp'],
} as const;

const MOMENT = '2025-11-03T10:00:00.750Z';

/** Rows of `KINDS`: plain values, those that JSON has no word for, and nulls; and what of each is read. */
export const KIND_ROWS = {
  whole: [
    [7, 7],
    ['9007199254740993', '9007199254740993'],
    [null, null],
  ],
  small: [
    [-7, -7],
    [2 ** 31 - 1, 2 ** 31 - 1],
    [null, null],
  ],
  ratio: [
    [0.1, 0.1],
    ['Infinity', 'Infinity'],
    ['NaN', null],
  ],
  ratio32: [
    [0.5, 0.5],
    ['-Infinity', '-Infinity'],
    [null, null],
  ],
  flag: [
    [true, true],
    [false, false],
    [null, null],
  ],
  name: [
    ['kůň', 'kůň'],
    ['', ''],
    [null, null],
  ],
  raw: [
    ['AP8=', 'AP8='],
    ['', ''],
    [null, null],
  ],
  moment: [
    [MOMENT, 1762164000],
    ['1969-12-31T23:59:59Z', -1],
    [null, null],
  ],
  zoned: [
    [MOMENT, '2025-11-03T10:00:00+00:00'],
    ['1969-12-31T23:59:59Z', '1969-12-31T23:59:59+00:00'],
    [null, null],
  ],
  day: [
    ['2025-11-03', 1762128000],
    ['1970-01-01', 0],
    [null, null],
  ],
  price: [
    ['12.50', '12.50'],
    ['0', '0.00'],
    [null, null],
  ],
  price_number: [
    ['12.50', 12.5],
    ['-0.25', -0.25],
    [null, null],
  ],
  wholes: [
    [
      [1, '9007199254740993'],
      [1, '9007199254740993'],
    ],
    [
      [1, null],
      [1, 0],
    ],
    [null, null],
  ],
  ratios: [
    [
      [0.1, 'Infinity'],
      [0.1, 'Infinity'],
    ],
    [
      ['NaN', null],
      ['NaN', 'NaN'],
    ],
    [null, null],
  ],
  price_numbers: [
    [['12.50'], [12.5]],
    [[null], ['NaN']],
    [null, null],
  ],
  flags: [
    [[true], [true]],
    [[null], [false]],
    [null, null],
  ],
  names: [
    [
      ['a', 'kůň'],
      ['a', 'kůň'],
    ],
    [[null], ['']],
    [null, null],
  ],
  raws: [
    [['AP8='], ['AP8=']],
    [[], []],
    [null, null],
  ],
  moments: [
    [[MOMENT], [1762164000]],
    [[null], [null]],
    [null, null],
  ],
} as const satisfies Record<keyof typeof KINDS, readonly (readonly [given: unknown, read: unknown])[]>;

/** A row of some hours ago, whose values are made of `total`. */
export function row(customer: number | null, hoursAgo: number, total: number | null, changes: Row = {}): Row {
  return {
    customer_id: customer,
    event_timestamp: new Date(Date.now() - hoursAgo * HOUR_MS).toISOString(),
    total_purchases: total,
    avg_purchase_value: total === null ? null : total + 0.5,
    name: total === null ? null : `kůň ${total}`,
    scores: total === null ? null : [total, 2],
    ...changes,
  };
}

/** Matches the age in seconds of a `row` of so many hours ago that was made after `since`, by `Date.now()`. */
export function ageOf(hoursAgo: number, since: number): unknown {
  // Feast's times are whole seconds, so a value is up to one older than its row.
  const isAge = (seconds: number) =>
    seconds >= hoursAgo * 3600 - 1 && seconds <= hoursAgo * 3600 + (Date.now() - since) / 1000 + 1;
  return expect.toSatisfy(isAge);
}

/** Makes a table `gold.<name>` with these rows, and an online view of it. @returns the name of both */
export async function makeOnlineView(
  bridge: Pick<FeastBridge, 'request'>,
  sdk: FeastSdk,
  rows: readonly Row[],
  changes: object = {},
): Promise<string> {
  const name = uniqueName('view').replaceAll('-', '_');
  await sdk.create(`gold.${name}`, COLUMNS, rows);
  const source = {
    catalog: 'iceberg',
    schema: 'gold',
    tableName: name,
    timestampField: 'event_timestamp',
    createdTimestampColumn: null,
  };
  const described = { description: '', tags: {} };
  const list = Object.entries(DTYPES).map(([name, dtype]) => ({ name, dtype, ...described }));
  const definition = {
    name,
    entities: ['customer_id'],
    features: list,
    source,
    ttlSeconds: 0,
    online: true,
    owner: '',
  };
  await bridge.request('views.apply', { ...definition, ...described, ...changes }, z.unknown());
  return name;
}

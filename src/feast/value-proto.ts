import { ProtobufReader, WIRE } from './protobuf.ts';
import { zonedTime } from './zoned-time.ts';

/**
 * A feature's value as JSON has it, as `feast serve` answers it. Beyond JSON: an int64 outside ±(2^53 − 1) is a string of its
 * digits, as JavaScript would round the number, and so is a decimal; `NaN`, `Infinity` and `-Infinity` are these words; bytes are
 * base64; a timestamp is seconds since 1970 in UTC, and one with a zone ISO 8601 in that zone; a map with keys that are no text is
 * a list of `[key, value]`.
 */
export type FeatureValue =
  | null
  | boolean
  | number
  | string
  | readonly FeatureValue[]
  | { readonly [name: string]: FeatureValue };

/** Feast's mark for "no time" among timestamps. */
const NO_TIMESTAMP = -(2n ** 63n);

type Read = (reader: ProtobufReader) => FeatureValue;

const integer: Read = (reader) => integerValue(reader.int64());
const timestamp: Read = (reader) => {
  const seconds = reader.int64();
  return seconds === NO_TIMESTAMP ? null : integerValue(seconds);
};
const zonedTimestamp: Read = (reader) => {
  const [seconds, zone] = fields(reader.bytes(), ZONED_TIMESTAMP);
  return seconds === null ? null : zonedTime(Number(seconds ?? 0), String(zone ?? ''));
};
const double: Read = (reader) => floatValue(reader.double());
const float: Read = (reader) => floatValue(reader.float());
const bool: Read = (reader) => reader.bool();
const text: Read = (reader) => reader.text();
const base64: Read = (reader) => reader.bytes().toString('base64');
const nothing: Read = (reader) => {
  reader.skip();
  return null;
};
const value: Read = (reader) => featureValue(reader.bytes());
const map: Read = (reader) => mapValue(reader.bytes());
const mapEntry: Read = (reader) => {
  const [key, entry] = fields(reader.bytes(), MAP_ENTRY);
  return [key ?? null, entry ?? null];
};
const mapKey: Read = (reader) => fields(reader.bytes(), MAP_KEY).findLast((key) => key !== undefined) ?? null;

/** A message with the one field `repeated … val = 1`. */
function listOf(read: Read): Read {
  return (reader) => {
    const list: FeatureValue[] = [];
    for (const inner = new ProtobufReader(reader.bytes()); inner.nextField(); ) {
      if (inner.field !== 1) inner.skip();
      else if (inner.wireType !== WIRE.bytes || IS_BYTES.has(read)) list.push(read(inner));
      // Numbers are packed: one field with all of them.
      else for (const packed = new ProtobufReader(inner.bytes()); !packed.isAtEnd; ) list.push(read(packed));
    }
    return list;
  };
}

/** Elements that are fields of bytes themselves, and so are never packed. */
const IS_BYTES: ReadonlySet<Read> = new Set([text, base64, value, map, mapEntry]);
const MAP_ENTRY: ReadonlyMap<number, Read> = new Map([
  [1, mapKey],
  [2, value],
]);
const MAP_KEY: ReadonlyMap<number, Read> = new Map([
  ...[1, 2].map((field) => [field, integer] as const),
  [3, float],
  [4, double],
  [5, bool],
  [6, timestamp],
  [7, base64],
  ...[8, 9, 10].map((field) => [field, text] as const),
]);

/** The members of `oneof val` by their numbers, in Feast 0.67's feast/types/Value.proto. */
const VALUE: ReadonlyMap<number, Read> = new Map([
  [1, base64],
  [2, text],
  [3, integer],
  [4, integer],
  [5, double],
  [6, float],
  [7, bool],
  [8, timestamp],
  ...[11, 22].map((field) => [field, listOf(base64)] as const),
  // Strings, JSON texts, UUIDs and decimals, in lists and sets.
  ...[12, 23, 33, 38, 39, 40, 41, 45, 46].map((field) => [field, listOf(text)] as const),
  ...[13, 14, 24, 25].map((field) => [field, listOf(integer)] as const),
  ...[15, 26].map((field) => [field, listOf(double)] as const),
  ...[16, 27].map((field) => [field, listOf(float)] as const),
  ...[17, 28].map((field) => [field, listOf(bool)] as const),
  ...[18, 29].map((field) => [field, listOf(timestamp)] as const),
  [19, nothing],
  ...[20, 34].map((field) => [field, map] as const),
  ...[21, 35].map((field) => [field, listOf(map)] as const),
  ...[32, 36, 37, 44].map((field) => [field, text] as const),
  ...[42, 43].map((field) => [field, listOf(value)] as const),
  [47, listOf(mapEntry)],
  [48, zonedTimestamp],
]);

/**
 * What a serialized `feast.types.Value` holds; null for an empty one, which is how Feast stores a null.
 * @throws RangeError when the bytes are none, or of a kind that is not known
 */
export function featureValue(bytes: Buffer): FeatureValue {
  let found: FeatureValue = null;
  for (const reader = new ProtobufReader(bytes); reader.nextField(); ) {
    const read = VALUE.get(reader.field);
    if (read === undefined) throw new RangeError(`a value of Feast's has the unknown kind ${reader.field}`);
    found = read(reader);
  }
  return found;
}

function mapValue(bytes: Buffer): FeatureValue {
  const entries: [string, FeatureValue][] = [];
  for (const reader = new ProtobufReader(bytes); reader.nextField(); ) {
    const [key, entry] = fields(reader.bytes(), STRING_MAP_ENTRY);
    entries.push([typeof key === 'string' ? key : '', entry ?? null]);
  }
  return Object.fromEntries(entries);
}

const STRING_MAP_ENTRY: ReadonlyMap<number, Read> = new Map([
  [1, text],
  [2, value],
]);

const ZONED_TIMESTAMP: ReadonlyMap<number, Read> = new Map([
  [1, timestamp],
  [2, text],
]);

/** The fields of a message in the order of `reads`; undefined for one that is not there. */
function fields(bytes: Buffer, reads: ReadonlyMap<number, Read>): (FeatureValue | undefined)[] {
  const found = new Map<number, FeatureValue>();
  for (const reader = new ProtobufReader(bytes); reader.nextField(); ) {
    const read = reads.get(reader.field);
    if (read === undefined) reader.skip();
    else found.set(reader.field, read(reader));
  }
  return [...reads.keys()].map((field) => found.get(field));
}

function integerValue(integer: bigint): number | string {
  const number = Number(integer);
  return Number.isSafeInteger(number) ? number : String(integer);
}

function floatValue(number: number): number | string {
  return Number.isFinite(number) ? number : String(number);
}

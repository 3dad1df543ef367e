import { invalidInput } from '../platform/errors.ts';
import { keptDigits } from '../platform/exact-json.ts';

/** Feast's numbers for the types that a join key can have (`feast.types.ValueType.Enum`). */
const VALUE_TYPES = { BYTES: 1, STRING: 2, INT32: 3, INT64: 4, UNIX_TIMESTAMP: 8 } as const;

/** The type of a join key. */
export type JoinKeyType = keyof typeof VALUE_TYPES;
export const JOIN_KEY_TYPES = ['BYTES', 'STRING', 'INT32', 'INT64', 'UNIX_TIMESTAMP'] as const satisfies JoinKeyType[];

/** A column that says which entity a row is of. */
export interface JoinKey {
  readonly name: string;
  readonly type: JoinKeyType;
  /** What a request calls it, where that is another name. */
  readonly asked?: string;
}

/**
 * Writes entity keys as Feast does in its serialization version 3: `feast.infra.key_encoding_utils.serialize_entity_key`.
 * All numbers are little-endian; the join keys are in the order of their names' code points.
 */
export class EntityKeySerializer {
  readonly #prefix: Buffer;
  /** In the order of the serialization: where the key's value stands among those that `serialize` gets. */
  readonly #order: readonly { readonly index: number; readonly joinKey: JoinKey }[];

  constructor(joinKeys: readonly JoinKey[]) {
    this.#order = joinKeys
      .map((joinKey, index) => ({ joinKey, index, bytes: Buffer.from(joinKey.name) }))
      .toSorted((a, b) => Buffer.compare(a.bytes, b.bytes));
    const names = this.#order.map(({ joinKey }) => Buffer.from(joinKey.name));
    this.#prefix = Buffer.concat([
      uint32(names.length),
      ...names.flatMap((name) => [uint32(VALUE_TYPES.STRING), uint32(name.length), name]),
    ]);
  }

  /**
   * @param values one for each join key, in the order in which the constructor got them: a whole number or a string of its
   *   digits for numbers, seconds since 1970 for timestamps, text for strings, base64 for bytes
   * @param pathOf where in the input the value of a join key stands, which the request calls so
   * @throws AsgardError INVALID_INPUT for a value that is not of its key's type
   */
  serialize(values: readonly unknown[], pathOf: (joinKey: string) => readonly (string | number)[]): Buffer {
    const parts = [this.#prefix];
    for (const { joinKey, index } of this.#order) {
      const bytes = bytesOf(joinKey, values[index], pathOf);
      const head = Buffer.allocUnsafe(8);
      head.writeUInt32LE(VALUE_TYPES[joinKey.type]);
      head.writeUInt32LE(bytes.length, 4);
      parts.push(head, bytes);
    }
    return Buffer.concat(parts);
  }
}

const RULES: Record<JoinKeyType, string> = {
  BYTES: 'base64',
  STRING: 'a string',
  INT32: 'a whole number of 32 bits',
  INT64: 'a whole number of 64 bits; beyond 2^53 as a string of its digits',
  UNIX_TIMESTAMP: 'whole seconds since 1970',
};

function bytesOf(
  { name, type, asked = name }: JoinKey,
  value: unknown,
  pathOf: (joinKey: string) => readonly (string | number)[],
): Buffer {
  const bytes = type === 'STRING' || type === 'BYTES' ? textBytes(type, value) : integerBytes(type, value);
  if (bytes !== undefined) return bytes;
  const shown = JSON.stringify(value) ?? 'absent';
  const seen = shown.length > 60 ? `${shown.slice(0, 60)}…` : shown;
  throw invalidInput(pathOf(asked), `${asked} is ${RULES[type]}, not ${seen}`);
}

function textBytes(type: 'STRING' | 'BYTES', value: unknown): Buffer | undefined {
  if (typeof value !== 'string') return undefined;
  if (type === 'STRING') return value.isWellFormed() ? Buffer.from(value) : undefined;
  return /^[A-Za-z0-9+/]*={0,2}$/.test(value) ? Buffer.from(value, 'base64') : undefined;
}

function integerBytes(type: 'INT32' | 'INT64' | 'UNIX_TIMESTAMP', value: unknown): Buffer | undefined {
  const bits = type === 'INT32' ? 32 : 64;
  const integer = integerOf(value);
  if (integer === undefined || BigInt.asIntN(bits, integer) !== integer) return undefined;
  const bytes = Buffer.alloc(bits / 8);
  if (bits === 32) bytes.writeInt32LE(Number(integer));
  else bytes.writeBigInt64LE(integer);
  return bytes;
}

function integerOf(value: unknown): bigint | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  const digits = keptDigits(value) ?? value;
  return typeof digits === 'string' && /^-?\d{1,19}$/.test(digits) ? BigInt(digits) : undefined;
}

function uint32(number: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(number);
  return bytes;
}

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { inheritedEnvironment, PROJECT_ROOT, parseConfig } from '../../src/config.ts';
import { EntityKeySerializer, JOIN_KEY_TYPES } from '../../src/feast/entity-key.ts';
import { type FeatureValue, featureValue } from '../../src/feast/value-proto.ts';
import { hasCode } from '../../src/platform/errors.ts';
import { toolchainPython } from '../../src/python/environments.ts';

const valueLine = z.object({ value: z.hex(), is: z.json() });
const keyLine = z.object({ key: z.hex(), of: z.array(z.tuple([z.string(), z.enum(JOIN_KEY_TYPES), z.string()])) });
const line = z.union([valueLine, keyLine]);

let lines: z.infer<typeof line>[];

/** What Feast itself makes of a list of values and keys. */
beforeAll(async () => {
  const python = toolchainPython(parseConfig(inheritedEnvironment(), false).toolchain);
  const script = join(PROJECT_ROOT, 'test/fixtures/feast_encodings.py');
  const env = { ...inheritedEnvironment(), PYTHONOPTIMIZE: '1' };
  const { stdout } = await promisify(execFile)(python, [script], { env });
  lines = stdout
    .trim()
    .split('\n')
    .map((text) => line.parse(JSON.parse(text)));
});

test('a value is read as Feast reads it', () => {
  const values = lines.flatMap((seen) => ('value' in seen ? [seen] : []));
  expect(values.length).toBeGreaterThan(70);
  for (const { value, is } of values) expect(featureValue(Buffer.from(value, 'hex')), value).toEqual(is);
});

test('an entity key is, byte for byte, what Feast writes', () => {
  const keys = lines.flatMap((seen) => ('key' in seen ? [seen] : []));
  expect(keys.length).toBeGreaterThan(25);
  for (const { key, of } of keys) {
    const joinKeys = of.map(([name, type]) => ({ name, type }));
    const values = of.map(([, , text]) => text);
    expect(serialize(joinKeys, values), JSON.stringify(of)).toBe(key);
  }
});

test('a value that no key of its type has is refused with its place', () => {
  const customer = [{ name: 'customer_id', type: 'INT64' }] as const;
  expect(() => serialize(customer, ['abc'])).toThrow(
    'customer_id is a whole number of 64 bits; beyond 2^53 as a string of its digits, not "abc"',
  );
  const refused = [['9223372036854775808'], [2 ** 53], [1.5], [null], [undefined], [true], [[1]]];
  for (const values of refused) expect(() => serialize(customer, values)).toThrow('customer_id is a whole number');
  expect(() => serialize([{ name: 'small', type: 'INT32' }], [2 ** 31])).toThrow('small is a whole number of 32 bits');
  expect(() => serialize([{ name: 'name', type: 'STRING' }], [5])).toThrow('name is a string, not 5');
  expect(() => serialize([{ name: 'name', type: 'STRING' }], ['\ud800'])).toThrow('name is a string');
  expect.assertions(12);
  try {
    serialize(customer, [null]);
  } catch (error) {
    expect(hasCode(error, 'INVALID_INPUT') && error.issues[0]?.path).toEqual(['entities', 'customer_id', 0]);
  }
});

test('what is no value of Feast is refused, and a kind that is not known as well', () => {
  const read = (hex: string): FeatureValue => featureValue(Buffer.from(hex, 'hex'));
  for (const hex of ['0a05ff', '29000000', '20ffffffffffffffffffffff01']) expect(() => read(hex)).toThrow(RangeError);
  expect(() => read('fa0700')).toThrow('unknown kind 127');
});

function serialize(joinKeys: ConstructorParameters<typeof EntityKeySerializer>[0], values: readonly unknown[]): string {
  return new EntityKeySerializer(joinKeys).serialize(values, (name) => ['entities', name, 0]).toString('hex');
}

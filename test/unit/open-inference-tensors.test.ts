import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { parseExactJson } from '../../src/platform/exact-json.ts';
import { readElements, writeElements } from '../../src/rest/open-inference/binary.ts';
import type { Datatype, Element } from '../../src/rest/open-inference/datatypes.ts';
import { readTensors } from '../../src/rest/open-inference/input-tensors.ts';
import { toTensors } from '../../src/rest/open-inference/output-tensors.ts';

describe('elements in binary form', () => {
  test.each<[Datatype, Element[], string]>([
    ['BOOL', [true, false], '0100'],
    ['INT8', [-1, 127], 'ff7f'],
    ['UINT16', [1, 65535], '0100ffff'],
    ['INT32', [-2], 'feffffff'],
    ['INT64', [-(2 ** 53 - 1)], '010000000000e0ff'],
    ['UINT64', [2 ** 53 - 1], 'ffffffffffff1f00'],
    ['FP16', [1.5, null], '003e007e'],
    ['FP32', [0.5, null], '0000003f0000c07f'],
    ['FP64', [-2], '00000000000000c0'],
    ['BYTES', ['a', '', 'ü✓'], '010000006100000000' + '05000000c3bce29c93'],
  ])('%s are little-endian, and read as they were written', (datatype, elements, hex) => {
    const bytes = writeElements(elements, datatype);
    expect(bytes.toString('hex')).toBe(hex);
    // Where a tensor begins in a body is no multiple of its elements' size.
    const moved = Buffer.concat([Buffer.from([0]), bytes]).subarray(1);
    expect(readElements(moved, datatype, elements.length, ['x'])).toEqual(elements);
  });

  test('whole numbers beyond 53 bits keep every digit', () => {
    const bytes = Buffer.from('ffffffffffffff7f', 'hex');
    const elements = readElements(bytes, 'INT64', 1, ['x']);
    expect(JSON.stringify(elements)).toBe('[9223372036854775807]');
    expect(writeElements(elements, 'INT64')).toEqual(bytes);
  });

  test('a null in BYTES is a text without characters', () => {
    expect(writeElements([null], 'BYTES').toString('hex')).toBe('00000000');
  });

  test.each<[string, string, Datatype, number]>([
    ['too few bytes', '0000', 'INT32', 1],
    ['too many bytes', '0000000000', 'INT32', 1],
    ['a text that is longer than what is there', '05000000c3bc', 'BYTES', 1],
    ['a text of four gigabytes', 'ffffffff', 'BYTES', 1],
    ['a text too few', '00000000', 'BYTES', 2],
    ['a text too many', '0000000000000000', 'BYTES', 1],
    ['a text that is not UTF-8', '01000000ff', 'BYTES', 1],
  ])('%s are refused by the name of the tensor', (_what, hex, datatype, count) => {
    expect(() => readElements(Buffer.from(hex, 'hex'), datatype, count, ['inputs', 'x'])).toThrow(
      expect.objectContaining({
        code: 'INVALID_INPUT',
        issues: [expect.objectContaining({ path: expect.arrayContaining(['inputs', 'x']) })],
      }),
    );
  });
});

describe('elements in JSON', () => {
  const elementsOf = (datatype: Datatype, data: string) =>
    readTensors([{ name: 'x', datatype, shape: [1], data: z.array(z.unknown()).parse(parseExactJson(data)) }], null)[0]
      ?.elements;

  test.each<[Datatype, string, Element]>([
    ['INT64', '[9223372036854775807]', JSON.rawJSON('9223372036854775807')],
    ['UINT64', '[18446744073709551615]', JSON.rawJSON('18446744073709551615')],
    ['FP64', '[9007199254740993]', 9007199254740992],
    ['FP64', '[18446744073709551617]', 18446744073709552000],
    ['FP64', '[1e300]', 1e300],
    ['FP32', '[-3.4028234663852886e38]', -3.4028234663852886e38],
    ['FP32', '[9007199254740993]', 9007199254740992],
    ['FP16', '[65504]', 65504],
    ['FP16', '[null]', null],
  ])('of %s take %s', (datatype, data, element) => {
    expect(elementsOf(datatype, data)).toEqual([element]);
  });

  test.each<[Datatype, string, RegExp]>([
    ['INT8', '[300]', /from -128 to 127/],
    ['UINT64', '[18446744073709551616]', /from 0 to 18446744073709551615/],
    ['FP16', '[70000]', /a number from -65504 to 65504/],
    ['FP16', '[9007199254740993]', /a number from -65504 to 65504/],
    ['FP32', '[1e39]', /to 3\.4028234663852886e\+38/],
    ['FP32', '[1e999]', /a number from/],
    ['FP64', '["1"]', /a number, or null/],
    ['FP64', '[true]', /a number, or null/],
    ['BOOL', '[1]', /true or false/],
    ['BYTES', '[1]', /a text/],
  ])('of %s are none of %s', (datatype, data, says) => {
    expect(() => elementsOf(datatype, data)).toThrow(
      expect.objectContaining({
        issues: [expect.objectContaining({ path: ['inputs', 'x', 0], message: expect.stringMatching(says) })],
      }),
    );
  });
});

describe('what a model predicted, as tensors', () => {
  const part = (type: string | null, name: string | null = null) => ({ name, type, rowShape: [] });
  const tensors = (predictions: Parameters<typeof toTensors>[0]['predictions'], outputs = [part(null)]) =>
    toTensors({ predictions, probabilities: null }, { inputs: null, outputs }, null);

  test('has the datatype of the signature, whatever the values', () => {
    expect(tensors([1, 2], [part('long')])).toMatchObject([{ name: 'predictions', datatype: 'INT64', shape: [2] }]);
    expect(tensors([1, 2], [part('double')])).toMatchObject([{ datatype: 'FP64' }]);
    expect(tensors([1, 2], [part('float32', 'y')])).toMatchObject([{ name: 'y', datatype: 'FP32' }]);
  });

  test('has another one where the values are no such, or the signature has none', () => {
    expect(tensors([1, null], [part('long')])).toMatchObject([{ datatype: 'FP64', elements: [1, null] }]);
    expect(tensors([1, 2])).toMatchObject([{ datatype: 'FP64' }]);
    expect(tensors([true, false])).toMatchObject([{ datatype: 'BOOL' }]);
    expect(tensors(['a', null])).toMatchObject([{ datatype: 'BYTES', elements: ['a', null] }]);
    expect(tensors(['a', 1])).toMatchObject([{ datatype: 'BYTES', elements: ['"a"', '1'] }]);
  });

  test('has the rows of lists as dimensions, and rows that differ as JSON', () => {
    const even = [
      [1, 2, 3],
      [4, 5, 6],
    ];
    expect(tensors(even)).toMatchObject([{ shape: [2, 3], elements: [1, 2, 3, 4, 5, 6] }]);
    expect(tensors([[1], [2, 3]])).toMatchObject([{ datatype: 'BYTES', shape: [2], elements: ['[1]', '[2,3]'] }]);
  });

  test('has a tensor for each output where every row has the same ones', () => {
    const outputs = [part('double', 'a'), part('string', 'b')];
    expect(
      tensors(
        [
          { a: 1, b: 'x' },
          { b: 'y', a: 2 },
        ],
        outputs,
      ),
    ).toEqual([
      { name: 'a', datatype: 'FP64', shape: [2], elements: [1, 2] },
      { name: 'b', datatype: 'BYTES', shape: [2], elements: ['x', 'y'] },
    ]);
    expect(tensors([{ a: 1 }, { b: 2 }])).toMatchObject([{ datatype: 'BYTES', elements: ['{"a":1}', '{"b":2}'] }]);
  });
});

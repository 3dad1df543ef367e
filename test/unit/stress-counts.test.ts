import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { countLine, shortfalls } from '../../stress/support/proof.ts';
import { Random } from '../../stress/support/random.ts';
import { Received } from '../../stress/support/received.ts';

const sha256 = createHash('sha256').update('one\ntwo\n').digest('hex');
const end = { status: 'COMPLETED', lines: 2, sha256 };

test('what was received is whole when its lines are those of the end record', () => {
  const received = new Received();
  for (const event of [
    { sequence: 1 },
    { sequence: 2, line: 'one' },
    { sequence: 3, line: 'two' },
    { sequence: 4, end },
  ])
    received.take(event);
  expect(received).toMatchObject({ last: 4, lines: 2, lost: 0, repeated: 0, isWhole: true });
});

test('a lost event, a repeated one and a changed line are seen', () => {
  const received = new Received();
  for (const event of [
    { sequence: 1, line: 'one' },
    { sequence: 1, line: 'one' },
    { sequence: 4, end },
  ])
    received.take(event);
  expect(received).toMatchObject({ lines: 1, lost: 2, repeated: 1, isWhole: false });
  const changed = new Received();
  for (const event of [
    { sequence: 1, line: 'one' },
    { sequence: 2, line: 'tvo' },
    { sequence: 3, end },
  ])
    changed.take(event);
  expect(changed).toMatchObject({ lines: 2, lost: 0, isWhole: false });
});

test('a count that is not as wanted falls short, as does a fault; one that is only told does not', () => {
  const [lost, told] = [
    { what: 'lines lost', is: 1, wanted: 0 },
    { what: 'kills', is: 1_000 },
  ];
  expect(shortfalls({ counts: [told, { ...lost, is: 0 }], faults: [] })).toEqual([]);
  expect(shortfalls({ counts: [told, lost], faults: ['job 1 is LOST'] })).toEqual([
    'lines lost: 1, NOT 0',
    'job 1 is LOST',
  ]);
  expect(countLine(told)).toBe('kills: 1,000');
});

test('random choices come again with their seed, and points are different and in order', () => {
  const choices = (seed: number) => {
    const random = new Random(seed);
    return [random.integer(1, 6), random.between(0, 1), random.points(50, 60)];
  };
  expect(choices(7)).toEqual(choices(7));
  expect(choices(7)).not.toEqual(choices(8));
  const points = new Random(7).points(60, 60);
  expect(points).toEqual(Array.from({ length: 60 }, (_item, index) => index + 1));
});

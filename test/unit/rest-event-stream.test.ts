import { expect, test } from 'vitest';
import type { NumberedJobEvent } from '../../src/jobs/events.ts';
import { eventStreamText } from '../../src/rest/event-stream.ts';

const event: NumberedJobEvent = { sequence: 1, type: 'environment', at: '2026-01-02T03:04:05.678Z', text: 'x' };

test('a comment is sent for each while of silence, and no event is lost behind it', async () => {
  const quiet = Promise.withResolvers<void>();
  let isClosed = false;
  async function* lists(): AsyncGenerator<NumberedJobEvent[], void> {
    try {
      await quiet.promise;
      yield [event];
      yield [{ ...event, sequence: 2 }];
    } finally {
      isClosed = true;
    }
  }
  const texts: string[] = [];
  for await (const text of eventStreamText(lists(), 5)) {
    texts.push(text);
    if (texts.length === 3) quiet.resolve();
  }
  const comments = texts.filter((text) => text === ':\n\n').length;
  expect(comments).toBeGreaterThanOrEqual(2);
  expect(texts.filter((text) => text.startsWith('id:')).map((text) => text.split('\n', 1)[0])).toEqual([
    'id: 1',
    'id: 2',
  ]);
  expect(isClosed).toBe(true);
});

test('a list is asked for when the one before was taken', async () => {
  let asked = 0;
  async function* lists(): AsyncGenerator<NumberedJobEvent[], void> {
    for (;;) {
      asked += 1;
      yield [event];
    }
  }
  const texts = eventStreamText(lists());
  for (let taken = 0; taken < 4; taken += 1) await texts.next();
  expect(asked).toBeLessThanOrEqual(4);
  await texts.return();
});

import { expect, test } from 'vitest';
import { packEvents, unpackEvents } from '../../src/jobs/event-rows.ts';
import type { JobEvent } from '../../src/jobs/events.ts';

const at = '2026-01-02T03:04:05.678Z';
const line = (text: string, changes: { at?: string; stream?: 'stdout' | 'stderr' | 'platform' } = {}): JobEvent => ({
  ...{ type: 'log', at, stream: 'stdout', text },
  ...changes,
});
const packed = (events: readonly JobEvent[]): unknown => JSON.parse(packEvents(events));

test('lines of one stream and moment are one entry, and come back as they were', () => {
  const events: JobEvent[] = [
    { type: 'status', at, status: 'RUNNING', attempt: 1 },
    line('one'),
    line(''),
    line('ä \u2028 \r "x"'),
    line('two', { stream: 'stderr' }),
    line('three', { at: '2026-01-02T03:04:05.679Z' }),
    line('four', { at: '2026-01-02T03:04:05.679Z' }),
    { type: 'metric', at, runId: 'r', key: 'k', value: 1, step: 0 },
    line(''),
    line(''),
  ];
  expect(packed(events)).toMatchObject([
    { type: 'status' },
    { type: 'lines', at, stream: 'stdout', text: 'one\n\nä \u2028 \r "x"' },
    { type: 'log', text: 'two' },
    { type: 'lines', text: 'three\nfour' },
    { type: 'metric' },
    { type: 'lines', text: '\n' },
  ]);
  expect(unpackEvents(packed(events), 7)).toEqual(events.map((event, index) => ({ ...event, sequence: 7 + index })));
});

test('what the platform says on several lines stays one event', () => {
  const events = [
    line('a\nb', { stream: 'platform' }),
    line('c', { stream: 'platform' }),
    line('d', { stream: 'platform' }),
  ];
  expect(unpackEvents(packed(events), 1)).toEqual(events.map((event, index) => ({ ...event, sequence: 1 + index })));
});

test('rows of earlier versions, an object for each event, are read', () => {
  const events = [line('one'), line('two')];
  expect(unpackEvents(structuredClone(events), 3)).toEqual(
    events.map((event, index) => ({ ...event, sequence: 3 + index })),
  );
});

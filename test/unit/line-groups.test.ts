import { expect, test } from 'vitest';
import type { NumberedJobEvent } from '../../src/jobs/events.ts';
import { groupLines } from '../../src/jobs/line-groups.ts';

type LogEvent = Extract<NumberedJobEvent, { type: 'log' }>;

const NOW = '2026-11-28T00:00:00.000Z';
const LATER = '2026-11-28T00:00:00.001Z';

function line(sequence: number, changes: Partial<LogEvent> = {}): LogEvent {
  return { type: 'log', sequence, at: NOW, stream: 'stdout', text: `line ${sequence}`, ...changes };
}

test('lines of one moment and stream come together, with the number of each', () => {
  expect(groupLines([line(4), line(5), line(6)])).toEqual([
    { type: 'lines', firstSequence: 4, sequence: 6, at: NOW, stream: 'stdout', texts: ['line 4', 'line 5', 'line 6'] },
  ]);
});

test('what differs in anything but its text stays apart, and nothing is lost or moved', () => {
  const status: NumberedJobEvent = { type: 'status', sequence: 3, at: NOW, status: 'RUNNING', attempt: 1 };
  const events = [
    line(1),
    line(2),
    status,
    line(4),
    line(5, { stream: 'stderr' }),
    line(6, { stream: 'stderr', at: LATER }),
    line(7, { stream: 'stderr', at: LATER, isContinued: true }),
    line(8, { stream: 'stderr', at: LATER }),
    // A number is missing, as of a line that a filter left out.
    line(10, { stream: 'stderr', at: LATER }),
  ];
  const grouped = groupLines(events);
  expect(grouped.map(({ type, sequence }) => [type, sequence])).toEqual([
    ['lines', 2],
    ['status', 3],
    ...[4, 5, 6, 7, 8, 10].map((sequence) => ['log', sequence]),
  ]);
  expect(groupLines([])).toEqual([]);
});

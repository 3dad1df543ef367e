import { expect, test } from 'vitest';
import { addEvents, NO_EVENTS, omittedLines, printedLines } from '../../examples/ui/job-events.ts';

const line = (sequence: number, stream: 'STDOUT' | 'PLATFORM' = 'STDOUT') =>
  ({ __typename: 'LogLine', sequence, stream, text: `line ${sequence}` }) as const;
const status = (sequence: number, word: 'RUNNING' | 'FAILED', reason: string | null = null) =>
  ({ __typename: 'StatusChanged', sequence, status: word, reason }) as const;

test('lists of events make a job, and the platform’s own lines do not count as printed', () => {
  const running = addEvents(NO_EVENTS, [status(1, 'RUNNING'), line(2)]);
  expect(running).toMatchObject({ status: 'RUNNING', reason: null, lastSequence: 2 });
  const end = { __typename: 'JobEnded', sequence: 5, status: 'FAILED', exitCode: 3, lines: 1 } as const;
  const ended = addEvents(running, [line(3, 'PLATFORM'), status(4, 'FAILED', 'exit code 3'), end]);
  expect(ended).toMatchObject({ status: 'FAILED', reason: 'exit code 3', lastSequence: 5, end });
  expect(printedLines(ended)).toBe(1);
});

test('what stands for lines that are left out stands among the lines', () => {
  const omitted = (sequence: number, lines: number) => ({ __typename: 'OutputOmitted', sequence, lines }) as const;
  const job = addEvents(NO_EVENTS, [line(1), omitted(10, 9), line(11), omitted(30, 25), line(31)]);
  expect(job.lines.map(({ sequence }) => sequence)).toEqual([1, 10, 11, 30, 31]);
  expect([printedLines(job), omittedLines(job), omittedLines(NO_EVENTS)]).toEqual([3, 25, 0]);
});

test('events that came already change nothing', () => {
  const job = addEvents(NO_EVENTS, [status(1, 'RUNNING'), line(2), line(3)]);
  expect(addEvents(job, [status(1, 'RUNNING'), line(2), line(3)])).toEqual(job);
  expect(addEvents(job, [line(3), line(4)]).lines.map(({ sequence }) => sequence)).toEqual([2, 3, 4]);
});

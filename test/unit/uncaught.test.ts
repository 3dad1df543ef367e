import { describe, expect, it } from 'vitest';
import type { JobEvent } from '../../src/jobs/events.ts';
import { uncaughtIn } from '../../src/worker/uncaught.ts';

const at = '2025-11-03T10:00:00.000Z';

function printed(stream: 'stdout' | 'stderr', ...texts: string[]): JobEvent[] {
  return texts.map((text) => ({ type: 'log', at, stream, text }));
}

const trace = (...end: string[]) =>
  printed(
    'stderr',
    'Traceback (most recent call last):',
    '  File "train.py", line 1, in <module>',
    '    x["a"]',
    ...end,
  );

describe('what ended a script', () => {
  it('is the exception that its traceback ends with, without its further lines', () => {
    const late = printed('stderr', 'sys:1: ResourceWarning: unclosed file');
    expect(uncaughtIn([...trace("KeyError: 'a'"), ...late], 1)).toBe("KeyError: 'a'");
    expect(uncaughtIn(trace('a.b.Bad: one', 'two: three', '', 'four'), 1)).toBe('a.b.Bad: one');
    expect(uncaughtIn(trace('KeyboardInterrupt'), 1)).toBe('KeyboardInterrupt');
  });

  it('is the last one of a chain of exceptions', () => {
    const chain = [
      ...trace('ValueError: first'),
      ...printed('stderr', '', 'During handling of the above exception, another exception occurred:', ''),
      ...trace('RuntimeError: second'),
    ];
    expect(uncaughtIn(chain, 1)).toBe('RuntimeError: second');
  });

  it('is not told of an exit of its own, of what another attempt printed, or of standard output', () => {
    const next: JobEvent = { type: 'status', at, status: 'RUNNING', attempt: 2 };
    expect(uncaughtIn(trace("KeyError: 'a'"), 3)).toBeNull();
    expect(uncaughtIn(trace("KeyError: 'a'"), null)).toBeNull();
    expect(uncaughtIn([...trace("KeyError: 'a'"), next, ...printed('stderr', 'no data')], 1)).toBeNull();
    expect(uncaughtIn(printed('stdout', 'Traceback (most recent call last):', 'E: x'), 1)).toBeNull();
    expect(uncaughtIn([], 1)).toBeNull();
  });

  it('is short, and holds nothing that drives a terminal', () => {
    const [line = ''] = [uncaughtIn(trace(`ValueError: \u001b[31m${'x'.repeat(5000)}`), 1)];
    expect(line).toMatch(/^ValueError: {2}\[31mx+…$/);
    expect(line).toHaveLength(301);
  });
});

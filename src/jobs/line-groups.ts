import type { NumberedJobEvent } from './events.ts';

type LogEvent = Extract<NumberedJobEvent, { type: 'log' }>;

/** Consecutive log lines of one stream and moment. */
export interface LineGroup extends Pick<LogEvent, 'at' | 'stream'> {
  readonly type: 'lines';
  /** The number of its first line. */
  readonly firstSequence: number;
  /** That of its last: whoever has the group goes on behind it. */
  readonly sequence: number;
  readonly texts: readonly string[];
}

/**
 * Puts lines together that a script printed at once: of these there are thousands, and what is said of each beside its text
 * takes a reader's and a server's time. A line that goes on in the next event stays what it is, as does one that is alone.
 */
export function groupLines(events: readonly NumberedJobEvent[]): (NumberedJobEvent | LineGroup)[] {
  const grouped: (NumberedJobEvent | LineGroup)[] = [];
  let run: LogEvent[] = [];
  const endRun = () => {
    const [first] = run;
    if (first !== undefined) grouped.push(run.length === 1 ? first : groupOf(run, first));
    run = [];
  };
  for (const event of events) {
    const previous = run.at(-1);
    if (previous !== undefined && !isNext(previous, event)) endRun();
    if (event.type === 'log' && event.isContinued !== true) run.push(event);
    else grouped.push(event);
  }
  endRun();
  return grouped;
}

function isNext(line: LogEvent, event: NumberedJobEvent): boolean {
  if (event.type !== 'log' || event.isContinued === true) return false;
  return event.sequence === line.sequence + 1 && event.at === line.at && event.stream === line.stream;
}

function groupOf(lines: readonly LogEvent[], { at, stream, sequence: firstSequence }: LogEvent): LineGroup {
  const texts = lines.map(({ text }) => text);
  return { type: 'lines', at, stream, firstSequence, sequence: firstSequence + texts.length - 1, texts };
}

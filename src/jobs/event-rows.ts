import { z } from 'zod';
import { type JobEvent, jobEvent, logStream, type NumberedJobEvent } from './events.ts';

/*
 * How events stand in a row: as a list, in which consecutive log lines of one stream and moment are one entry. A chatty
 * script prints hundreds of lines in a millisecond; as an object each they cost PostgreSQL and every reader most of their time.
 */

type LogEvent = Extract<JobEvent, { type: 'log' }>;

const storedEntries = z.array(
  z.discriminatedUnion('type', [
    /** Several log lines, with line feeds between them: a line of a script has none. */
    z.object({
      type: z.literal('lines'),
      at: z.string(),
      stream: logStream,
      text: z.string(),
    }),
    ...jobEvent.options,
  ]),
);

/** What a log event says beside its text, and its text. */
const LOG_FIELDS = 4;

/** The `events` of a row, as JSON. */
export function packEvents(events: readonly JobEvent[]): string {
  const entries: z.input<typeof storedEntries> = [];
  let run: LogEvent[] = [];
  const endRun = () => {
    const [first] = run;
    if (first === undefined) return;
    entries.push(run.length === 1 ? first : { ...first, type: 'lines', text: run.map(({ text }) => text).join('\n') });
    run = [];
  };
  for (const event of events) {
    const isPlain = isPlainLine(event);
    if (!isPlain || event.at !== run[0]?.at || event.stream !== run[0].stream) endRun();
    if (isPlain) run.push(event);
    else entries.push(event);
  }
  endRun();
  return JSON.stringify(entries);
}

/** @param events of a row whose first event has the number `firstSequence` */
export function unpackEvents(events: unknown, firstSequence: number): NumberedJobEvent[] {
  const found: NumberedJobEvent[] = [];
  const number = () => firstSequence + found.length;
  for (const entry of storedEntries.parse(events)) {
    if (entry.type !== 'lines') {
      found.push({ ...entry, sequence: number() });
      continue;
    }
    const { at, stream } = entry;
    for (const text of entry.text.split('\n')) found.push({ type: 'log', at, stream, text, sequence: number() });
  }
  return found;
}

/** Says nothing that an entry of several lines does not say for all. What the platform says may hold line feeds. */
function isPlainLine(event: JobEvent): event is LogEvent {
  return event.type === 'log' && Object.keys(event).length === LOG_FIELDS && !event.text.includes('\n');
}

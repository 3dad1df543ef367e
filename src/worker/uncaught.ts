import type { JobEvent } from '../jobs/events.ts';

/** What Python exits with when nothing caught an exception. */
const EXIT_CODE = 1;
const HEADING = 'Traceback (most recent call last):';
const MOST_CHARACTERS = 300;
/** `ValueError`, `sklearn.exceptions.NotFittedError: This …`: what follows a traceback's frames, which are indented. */
const LAST_LINE = /^[^\W\d][\w.]*(:|$)/u;
const CONTROL = /\p{Cc}+/gu;

/**
 * The exception that ended a script, in one line as Python prints it: `KeyError: 'target'`. Null when its end shows none.
 * @param events the script's last ones, in their order; those before the last change of status are not looked at
 */
export function uncaughtIn(events: readonly JobEvent[], exitCode: number | null): string | null {
  if (exitCode !== EXIT_CODE) return null;
  const started = events.findLastIndex(({ type }) => type === 'status');
  const lines = events.slice(started + 1).flatMap((event) => {
    return event.type === 'log' && event.stream === 'stderr' ? [event.text] : [];
  });
  const heading = lines.lastIndexOf(HEADING);
  if (heading === -1) return null;
  const last = lines.slice(heading + 1).find((line) => LAST_LINE.test(line));
  if (last === undefined) return null;
  const line = last.replace(CONTROL, ' ').trim();
  return line.length > MOST_CHARACTERS ? `${line.slice(0, MOST_CHARACTERS).toWellFormed()}…` : line;
}

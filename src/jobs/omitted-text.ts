import type { JobEvent } from './events.ts';

/** What stands in a log that is plain text for the lines that the output limit left out: one line, without its ending. */
export function omittedText({ lines, bytes }: Extract<JobEvent, { type: 'omitted' }>): string {
  const kibibytes = bytes / 1024;
  const size =
    kibibytes < 1024 ? `${Math.ceil(kibibytes)} KiB` : `${Math.round(kibibytes / 1024).toLocaleString('en')} MiB`;
  return `… ${lines.toLocaleString('en')} lines (${size}) left out …`;
}

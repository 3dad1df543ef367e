const MAX_ZONES = 1_000;
const FIXED = /^(?:UTC|GMT)?([+-])(\d\d):?(\d\d)$/;
/** As `Intl` writes an offset: `GMT`, `GMT-08:00`, or with seconds before there were time zones. */
const OFFSET = /^GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/;

/** Making one takes some 50 µs. Undefined for what is no zone. */
const formats = new Map<string, Intl.DateTimeFormat | undefined>();

/**
 * A moment in its zone as Python's `isoformat` and so Feast writes it: `2025-11-03T02:00:00-08:00`. A zone that is not known counts
 * as UTC, as with Feast. Null for a moment that no calendar has, some 270,000 years away.
 * @param zone `America/Los_Angeles`, `UTC`, `-07:00` or empty
 */
export function zonedTime(seconds: number, zone: string): string | null {
  const offset = offsetSeconds(seconds, zone);
  const local = new Date((seconds + offset) * 1000);
  if (Number.isNaN(local.getTime())) return null;
  const [hours, minutes, rest] = [Math.abs(offset) / 3600, (Math.abs(offset) / 60) % 60, Math.abs(offset) % 60];
  const shown = [hours, minutes, ...(rest === 0 ? [] : [rest])].map((part) =>
    String(Math.floor(part)).padStart(2, '0'),
  );
  return `${local.toISOString().slice(0, -'.000Z'.length)}${offset < 0 ? '-' : '+'}${shown.join(':')}`;
}

function offsetSeconds(seconds: number, zone: string): number {
  const fixed = FIXED.exec(zone);
  if (fixed !== null) return secondsOf(fixed);
  const moment = new Date(seconds * 1000);
  if (zone === '' || Number.isNaN(moment.getTime())) return 0;
  const parts = formatOf(zone)?.formatToParts(moment);
  const name = parts?.find(({ type }) => type === 'timeZoneName')?.value ?? '';
  return secondsOf(OFFSET.exec(name));
}

function secondsOf(match: RegExpExecArray | null): number {
  const [, sign, hours = 0, minutes = 0, seconds = 0] = match ?? [];
  return (sign === '-' ? -1 : 1) * (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds));
}

function formatOf(zone: string): Intl.DateTimeFormat | undefined {
  if (!formats.has(zone)) {
    if (formats.size >= MAX_ZONES) formats.clear();
    formats.set(zone, makeFormat(zone));
  }
  return formats.get(zone);
}

function makeFormat(timeZone: string): Intl.DateTimeFormat | undefined {
  try {
    return new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' });
  } catch {
    return undefined;
  }
}

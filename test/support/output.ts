import { createHash } from 'node:crypto';
import type { PrismaClient } from '../../src/database/generated/client.ts';
import { readEvents } from '../../src/jobs/event-store.ts';
import type { NumberedJobEvent, OutputProof } from '../../src/jobs/events.ts';

/** All events of a job above `after`, however many. */
export async function readAllEvents(database: PrismaClient, jobId: string, after = 0): Promise<NumberedJobEvent[]> {
  const found: NumberedJobEvent[] = [];
  for (let cursor = after; ; cursor = found.at(-1)?.sequence ?? cursor) {
    const events = await readEvents(database, jobId, cursor, 1000);
    if (events.length === 0) return found;
    found.push(...events);
  }
}

/** The lines of the script among a job's events. */
export function outputTexts(events: readonly NumberedJobEvent[]): string[] {
  return events.flatMap((event) => (event.type === 'log' && event.stream !== 'platform' ? [event.text] : []));
}

/** What an end record must say of lines. */
export function proofOf(texts: readonly string[]): OutputProof {
  const data = Buffer.from(texts.map((text) => `${text}\n`).join(''));
  return { lines: texts.length, bytes: data.length, sha256: createHash('sha256').update(data).digest('hex') };
}

/** The event that tells of the lines that were left out. @throws when there is not exactly one */
export function omittedOf(events: readonly NumberedJobEvent[]): Extract<NumberedJobEvent, { type: 'omitted' }> {
  const [omitted, ...others] = events.filter((event) => event.type === 'omitted');
  if (omitted === undefined || others.length > 0)
    throw new Error(`${others.length + Number(!!omitted)} events tell of lines left out`);
  return omitted;
}

/** Numbers up to the last that are missing, and that no event tells of: there must be none. */
export function unexplainedHoles(events: readonly NumberedJobEvent[], after = 0): number[] {
  const missing = new Set<number>();
  let last = after;
  for (const event of events) {
    if (event.sequence <= last) throw new Error(`${event.sequence} comes after ${last}`);
    for (let number = last + 1; number < event.sequence; number += 1) missing.add(number);
    last = event.sequence;
    if (event.type !== 'omitted') continue;
    for (const number of missing) if (number >= event.firstSequence) missing.delete(number);
  }
  return [...missing];
}

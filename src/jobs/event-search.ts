import { z } from 'zod';
import { type DatabaseClient, lengthOf, readEvents, readEventsBefore } from './event-store.ts';
import { jobEvent, logStream, type NumberedJobEvent } from './events.ts';
import { LOG_LEVELS, levelOf } from './log-level.ts';

/** About how many characters one search looks at, 100 for each event beside its text: half a second's work. */
export const SEARCH_CHARACTERS = 32 * 1024 * 1024;
const MAX_CONTAINS = 500;

/** Which events; a criterion that is absent does not choose, and all that are given must hold. */
export const eventFilter = z.object({
  /** Any of these kinds. */
  types: z.array(z.enum(jobEvent.options.map(({ shape }) => shape.type.value))).optional(),
  /** Events with a text that contains this, in any case. */
  contains: z.string().min(1).max(MAX_CONTAINS).optional(),
  /** Log lines of any of these. */
  streams: z.array(logStream).optional(),
  /** At this moment or later. */
  from: z.date().optional(),
  before: z.date().optional(),
  /** Log lines that say that they have this level or a graver one. */
  minLevel: z.enum(LOG_LEVELS).optional(),
});

export type EventFilter = z.infer<typeof eventFilter>;

export interface EventSearch {
  readonly filter: EventFilter;
  /** Only numbers between these two. */
  readonly after: number;
  readonly before: number;
  /** How many, from the end of what lies between when `isFromEnd`. */
  readonly limit: number;
  readonly isFromEnd: boolean;
}

export interface FoundEvents {
  /** In the order of their numbers. */
  readonly events: readonly NumberedJobEvent[];
  /** Whether the search can go on: more were found, or not all was looked at. */
  readonly hasMore: boolean;
  /** The number up to which it has come, in its direction; undefined when there was nothing to look at. */
  readonly lookedUpTo: number | undefined;
}

/** How much of a search is left. Searches that run together share one. */
export interface SearchBudget {
  characters: number;
}

/**
 * Looks through a job's events until `limit` are found, there are no more, or the budget is used up: then the search
 * goes on from `lookedUpTo`.
 */
export async function searchEvents(
  database: DatabaseClient,
  jobId: string,
  { filter, after, before, limit, isFromEnd }: EventSearch,
  budget: SearchBudget,
): Promise<FoundEvents> {
  const matches = matcherOf(filter);
  const found: NumberedJobEvent[] = [];
  const isChoosing = Object.values(filter).some((criterion) => criterion !== undefined);
  let place = isFromEnd ? before : after;
  let lookedUpTo: number | undefined;
  const result = (hasMore: boolean): FoundEvents => ({
    events: isFromEnd ? found.toReversed() : found,
    hasMore,
    lookedUpTo,
  });
  while (budget.characters > 0) {
    // Who only pages needs no more than the page, and one more to know that there is one.
    const wanted = isChoosing ? undefined : limit + 1 - found.length;
    const read = isFromEnd
      ? (await readEventsBefore(database, jobId, place, wanted)).toReversed()
      : await readEvents(database, jobId, place, wanted);
    if (read.length === 0) return result(false);
    for (const event of read) {
      if (event.sequence <= after || event.sequence >= before) return result(false);
      budget.characters -= lengthOf(event);
      if (matches(event)) {
        if (found.length === limit) return result(true);
        found.push(event);
      }
      lookedUpTo = event.sequence;
    }
    place = lookedUpTo ?? place;
  }
  return result(true);
}

function matcherOf({ types, contains, streams, from, before, minLevel }: EventFilter) {
  const needle = contains?.toLowerCase();
  const levels = minLevel && LOG_LEVELS.slice(LOG_LEVELS.indexOf(minLevel));
  // Stored moments are texts of one form, whose order is theirs.
  const [first, end] = [from?.toISOString(), before?.toISOString()];
  return (event: NumberedJobEvent): boolean => {
    if (types !== undefined && !types.includes(event.type)) return false;
    if (first !== undefined && event.at < first) return false;
    if (end !== undefined && event.at >= end) return false;
    if (streams !== undefined && !(event.type === 'log' && streams.includes(event.stream))) return false;
    if (needle !== undefined && !('text' in event && event.text.toLowerCase().includes(needle))) return false;
    if (levels === undefined) return true;
    const level = event.type === 'log' ? levelOf(event.text) : undefined;
    return level !== undefined && levels.includes(level);
  };
}

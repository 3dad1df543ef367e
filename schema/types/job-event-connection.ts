import { z } from 'zod';
import {
  type EventFilter,
  eventFilter,
  SEARCH_CHARACTERS,
  type SearchBudget,
  searchEvents,
} from '../../src/jobs/event-search.ts';
import type { NumberedJobEvent } from '../../src/jobs/events.ts';
import { type LogLevel as LogLevelName, levelOf } from '../../src/jobs/log-level.ts';
import { invalidInput } from '../../src/platform/errors.ts';
import { builder, DEFAULT_PAGE_SIZE } from '../builder.ts';
import { type Connection, connectionOf, pageSize } from '../connection.ts';
import type { Context } from '../context.ts';
import { parseInput } from '../errors.ts';
import { JobEventInterface, JobEventTypeEnum, LogLine, LogStream } from './job-event.ts';

const MAX_PAGE_EVENTS = 1000;
const MAX_SEQUENCE = 2 ** 31 - 1;

const LogLevel = builder.enumType('LogLevel', {
  description:
    'How grave a log line says it is: by the word (also `WARN` and `FATAL`) in capitals among its first 120 characters, as ' +
    'Python’s logging, loguru and most others write it; by the letter with which absl and TensorFlow begin a line; and by the ' +
    'form of Python’s own warnings and tracebacks. Each line is judged by itself, whichever stream it is of.',
  values: {
    DEBUG: { description: 'For whoever looks for a fault.' },
    INFO: { description: 'That all goes as it should.' },
    WARNING: { description: 'That something is odd; also `WARN`, and Python’s warnings.' },
    ERROR: { description: 'That something failed; also an exception, and the beginning of its traceback.' },
    CRITICAL: { description: 'That nothing goes on; also `FATAL`.' },
  } satisfies Record<LogLevelName, object>,
});

builder.objectField(LogLine, 'level', (t) =>
  t.field({
    type: LogLevel,
    nullable: true,
    description: 'The level that the line says it has; null when it says none.',
    resolve: ({ text }) => levelOf(text),
  }),
);

const JobEventFilter = builder.inputType('JobEventFilter', {
  description: 'Which events; a field that is absent or null does not choose, and all that are given must hold.',
  fields: (t) => ({
    types: t.field({ type: [JobEventTypeEnum], description: 'Those of these kinds.' }),
    contains: t.string({
      description:
        'Lines, of the log and the environment, that contain exactly this text, in any case; 1 to 500 characters.',
    }),
    streams: t.field({ type: [LogStream], description: 'Log lines of these streams.' }),
    from: t.field({ type: 'DateTime', description: 'Those that happened at this moment or later.' }),
    before: t.field({ type: 'DateTime', description: 'Those that happened before this moment.' }),
    minLevel: t.field({
      type: LogLevel,
      description: 'Log lines that say that they have this level or a graver one.',
    }),
  }),
});

const JobEventEdge = builder.objectRef<{ cursor: string; node: NumberedJobEvent }>('JobEventEdge').implement({
  description: 'An event in a page.',
  fields: (t) => ({
    cursor: t.exposeString('cursor', {
      description: 'Its number as text, which the subscriptions and the event stream of REST go on from as well.',
    }),
    node: t.expose('node', { type: JobEventInterface, description: 'The event itself.' }),
  }),
});

const JobEventConnection = builder.objectRef<Connection<NumberedJobEvent>>('JobEventConnection').implement({
  description:
    'A page of a job’s events. One search looks at some 32 million characters: a page may hold fewer than was asked for, also ' +
    'none, before a next one. `endCursor` and `startCursor` are of the last event that was looked at, chosen or not.',
  fields: (t) => ({
    edges: t.field({
      type: [JobEventEdge],
      description: 'The events in the order of their numbers, each with its cursor.',
      resolve: ({ edges }) => edges,
    }),
    pageInfo: t.field({
      type: builder.pageInfoRef(),
      description: 'Where this page lies among the events.',
      resolve: ({ pageInfo }) => pageInfo,
    }),
  }),
});

/** What the searches of one operation may still look at together. */
const budgets = new WeakMap<Context, SearchBudget>();

builder.prismaObjectField('TrainingJob', 'eventConnection', (t) =>
  t.field({
    type: JobEventConnection,
    description:
      'Its events so far, searched and page by page, forwards (`first`, `after`) or backwards from the newest (`last`, ' +
      `\`before\`); without either, the first ${DEFAULT_PAGE_SIZE}. Cursors are the events’ numbers. What the searches of one operation ` +
      'look at is bounded together.',
    args: {
      first: t.arg.int({
        required: false,
        description: `How many from the start of the rest, 1 to ${MAX_PAGE_EVENTS}.`,
      }),
      after: t.arg.string({ required: false, description: 'Only events behind this number.' }),
      last: t.arg.int({
        required: false,
        description: `Instead of \`first\`: how many from the end of the rest, 1 to ${MAX_PAGE_EVENTS}.`,
      }),
      before: t.arg.string({ required: false, description: 'Only events before this number.' }),
      filter: t.arg({
        type: JobEventFilter,
        required: false,
        description: 'Chooses among the events; absent means all.',
      }),
    },
    resolve: async ({ id }, args, context): Promise<Connection<NumberedJobEvent>> => {
      const { first, last } = args;
      if (first != null && last != null)
        throw invalidInput(['last'], 'a page goes from one end: give "first" or "last"');
      const isFromEnd = last != null;
      const limit = pageSize(last ?? first ?? DEFAULT_PAGE_SIZE, isFromEnd ? 'last' : 'first', MAX_PAGE_EVENTS);
      const budget = budgets.get(context) ?? { characters: SEARCH_CHARACTERS };
      budgets.set(context, budget);
      const after = sequenceOf(args.after, 'after');
      const before = sequenceOf(args.before, 'before');
      const filter = parseFilter(args.filter);
      const { events, hasMore, lookedUpTo } = await searchEvents(
        context.database,
        id,
        { filter, after: after ?? 0, before: before ?? MAX_SEQUENCE + 1, limit, isFromEnd },
        budget,
      );
      const edges = events.map((node) => ({ cursor: String(node.sequence), node }));
      const hasNext = isFromEnd ? before !== undefined : hasMore;
      const { pageInfo, ...rest } = connectionOf(edges, hasNext, isFromEnd ? hasMore : (after ?? 0) > 0);
      const end = lookedUpTo === undefined ? (isFromEnd ? args.before : args.after) : String(lookedUpTo);
      return { ...rest, pageInfo: { ...pageInfo, [isFromEnd ? 'startCursor' : 'endCursor']: end ?? null } };
    },
  }),
);

/** @throws AsgardError INVALID_INPUT */
function sequenceOf(cursor: string | null | undefined, name: string): number | undefined {
  if (cursor == null) return undefined;
  const sequence = /^\d{1,10}$/.test(cursor) ? Number(cursor) : Number.NaN;
  if (sequence <= MAX_SEQUENCE) return sequence;
  throw invalidInput(
    [name],
    `"${name}" must be the number of an event, as text; it is ${JSON.stringify(cursor.slice(0, 100))}`,
  );
}

/** @throws AsgardError INVALID_INPUT with every issue */
function parseFilter(filter: typeof JobEventFilter.$inferInput | null | undefined): EventFilter {
  const given = Object.entries(filter ?? {}).filter(([, value]) => value !== null);
  return parseInput(
    z.object({ filter: eventFilter }),
    { filter: Object.fromEntries(given) },
    'the events cannot be searched so',
  ).filter;
}

import { z } from 'zod';
import { JobStatus } from '../database/generated/enums.ts';
import { type JobEventType, jobEvent, type NumberedJobEvent } from '../jobs/events.ts';
import { wireStatus } from './present.ts';
import { looseInteger } from './wire.ts';
import { components, WIRE_STATUSES } from './wire-answers.ts';

/*
 * A job's events as the event stream sends them, made of the stored ones: the same fields by their names in snake case,
 * and of a status the guide's word beside the exact one.
 */

/** By the names of fields, of which there are a handful. */
const snakeNames = new Map<string, string>();

const MAX_SEQUENCE = 2 ** 31 - 1;

const types = jobEvent.options.map(({ shape }) => shape.type.value);

const cursor = z.preprocess(looseInteger, z.int().min(0).max(MAX_SEQUENCE));

/** The query of the event stream: `types` may be repeated, and separated by commas. */
export const eventStreamQuery = z.object({
  after: cursor
    .optional()
    .describe('Only events with a larger number; `Last-Event-ID` goes before it. Absent: all, from the first.')
    .meta({ examples: [0] }),
  types: z
    .preprocess(
      (value) => (value === undefined ? undefined : [value].flat().flatMap((each) => String(each).split(','))),
      z.array(z.enum(types)).optional(),
    )
    .optional()
    .describe('Only these kinds, and `end`, which always comes; absent means all. Repeated, or separated by commas.')
    .meta({ wire: { type: 'array', items: { enum: types } } }),
});

/** The headers of the event stream that count; the others are left as they are. */
export const eventStreamHeaders = z.looseObject({
  'last-event-id': z
    .preprocess((value) => (value === '' ? undefined : value), cursor.optional())
    .optional()
    .describe('The number of the last event that the client has: browsers send it when they connect again.')
    .meta({ wire: { type: 'integer', minimum: 0, maximum: MAX_SEQUENCE } }),
});

/** What the event stream answers. The schema is of one message, as OpenAPI means it for server-sent events. */
export const eventStream = z
  .unknown()
  .describe(
    'Server-sent events: `id` is the number of the event, `event` its kind, `data` a `JobEvent` as JSON. The last one is ' +
      '`end`; whoever connects again after it is answered 204, which ends an `EventSource`. A stream that stops before was ' +
      'cut: connect again with `Last-Event-ID`. A comment comes every 15 s of silence.',
  )
  .meta({
    mediaType: 'text/event-stream',
    wire: {
      type: 'object',
      properties: {
        id: { type: 'string', pattern: '^[1-9][0-9]*$' },
        event: { enum: types },
        data: {
          type: 'string',
          contentMediaType: 'application/json',
          contentSchema: { $ref: '#/components/schemas/JobEvent' },
        },
      },
      required: ['id', 'event', 'data'],
    },
  });

export const wireJobEvent = z
  .union(jobEvent.options.map(({ shape: { type, at: _at, ...fields } }) => wireEvent(type, fields)))
  .describe('Something that happened to a job. New kinds may be added.')
  .meta({
    examples: [{ sequence: 4, type: 'log', at: '2025-11-03T10:00:01.250Z', stream: 'stdout', text: 'epoch 1' }],
  })
  .register(components, { id: 'JobEvent' });

/** `data` of the message of one event. */
export function presentEvent({ sequence, ...event }: NumberedJobEvent): Record<string, unknown> {
  const data: Record<string, unknown> = { sequence };
  for (const [name, value] of Object.entries(event)) data[snakeCase(name)] = value;
  if ('status' in event) Object.assign(data, { status: wireStatus(event.status), state: stateOf(event.status) });
  return data;
}

function wireEvent(type: z.ZodLiteral<JobEventType>, fields: Record<string, z.ZodType>) {
  const { status, ...others } = Object.fromEntries(
    Object.entries(fields).map(([name, field]) => [snakeCase(name), field]),
  );
  const sequence = z.int().min(1).describe('Its number: 1 for the first event of the job.');
  return z.object({
    sequence,
    type,
    at: z.string().describe('UTC, exact to the millisecond.').meta({ format: 'date-time' }),
    ...(status && {
      status: z.enum(WIRE_STATUSES),
      state: z.enum(Object.values(JobStatus).map(stateOf)).describe('The same, exactly.'),
    }),
    ...others,
  });
}

function stateOf(status: JobStatus): Lowercase<JobStatus> {
  return status.toLowerCase() as Lowercase<JobStatus>; // the library's type of it is `string`
}

function snakeCase(name: string): string {
  const known = snakeNames.get(name);
  if (known !== undefined) return known;
  const made = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  snakeNames.set(name, made);
  return made;
}

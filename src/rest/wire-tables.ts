import { Readable } from 'node:stream';
import { z } from 'zod';
import { idempotencyKey } from '../jobs/submission.ts';
import { looseInteger } from './wire.ts';
import { components, time } from './wire-answers.ts';

const MAX_ROWS = 1_000;

/** A name that a table may be given. Others', which may be anything, can be read. */
const newName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'must be letters, digits and "_", at most 128, and not begin with a digit');
const schemaName = 'The schema, as `gold`.';
const tableName = 'The name of the table.';

export const tablePath = z.object({
  schema: z
    .string()
    .describe(schemaName)
    .meta({ examples: ['gold'] }),
  table: z
    .string()
    .describe(tableName)
    .meta({ examples: ['customer_metrics'] }),
});

export const newTablePath = z.object({
  schema: newName.describe(`${schemaName} One that is not there is made.`).meta({ examples: ['gold'] }),
  table: newName.describe(tableName).meta({ examples: ['customer_metrics'] }),
});

export const tableQuery = z.object({
  rows: z
    .preprocess(looseInteger, z.int().min(0).max(MAX_ROWS).default(10))
    .describe('How many rows to show.')
    .meta({ default: 10 }),
  snapshot: z
    .string()
    .regex(/^\d{1,19}$/, 'must be the id of a snapshot: a whole number')
    .optional()
    .describe('The id of the snapshot whose columns and rows are meant; the current one when absent.'),
});

export const writeQuery = z.object({
  types: z
    .string()
    .transform((text, context) => {
      try {
        return JSON.parse(text) as unknown; // looked at next
      } catch {
        context.addIssue({ code: 'custom', message: 'must be a JSON object, such as {"age": "long"}' });
        return z.NEVER;
      }
    })
    .pipe(z.record(z.string(), z.string()))
    .optional()
    .describe(
      'Types of columns that shall not be inferred, as JSON: `boolean`, `int`, `long`, `float`, `double`, `date`, ' +
        '`timestamp`, `timestamptz`, `string` and `decimal(precision, scale)`.',
    )
    .meta({ wire: { type: 'string', contentMediaType: 'application/json', examples: ['{"customer_id": "long"}'] } }),
});

export const writeHeaders = z.looseObject({
  'idempotency-key': idempotencyKey
    .optional()
    .describe('A text of your own choice. A request with a key that this table was written with is not done again.'),
});

/** The body as it comes. */
export const tableBody = z
  .unknown()
  .transform((body, context): Readable => {
    if (body instanceof Readable) return body;
    context.addIssue({ code: 'custom', message: 'the body is empty: send rows as CSV or Parquet' });
    return z.NEVER;
  })
  .describe('The rows.')
  .meta({ wire: { type: 'string', format: 'binary' } });

const column = z
  .object({
    name: z.string(),
    type: z.string().describe('Iceberg’s word: `long`, `timestamptz`, `decimal(10, 2)`, `list<string>`.'),
    required: z.boolean().describe('Whether each row has a value.'),
    doc: z.string().nullable(),
  })
  .describe('A column of a table.')
  .register(components, { id: 'TableColumn' });

const snapshotId = z.string().describe('Of 64 bits, and so a text.');
const count = z.int().min(0).nullable();

const snapshot = z
  .object({
    snapshot_id: snapshotId,
    parent_id: snapshotId.nullable().describe('The one before it.'),
    created_at: time,
    operation: z.string().nullable().describe('`append`, `overwrite`, `delete` or `replace`.'),
    added_rows: count,
    deleted_rows: count,
    total_rows: count,
    total_files: count,
    total_bytes: count,
  })
  .describe('What a table was at a time. Counts are null where its writer says nothing of them.')
  .register(components, { id: 'TableSnapshot' });

const named = { schema: z.string(), name: z.string() };

export const tableList = z
  .array(z.object(named))
  .describe('All tables, by schema and name; at most 10,000.')
  .meta({ examples: [[{ schema: 'gold', name: 'customer_metrics' }]] })
  .register(components, { id: 'Tables' });

export const tableAnswer = z
  .object({
    ...named,
    columns: z.array(column),
    row_count: z.int().min(0),
    snapshot_id: snapshotId.nullable().describe('The snapshot that this is about; null when nothing was ever written.'),
    current_snapshot_id: snapshotId.nullable(),
    snapshots: z.array(snapshot).describe('The newest 100, the newest first.'),
    rows: z
      .array(z.record(z.string(), z.unknown()))
      .describe(
        'Some rows, in no order. Whole numbers beyond 2^53, decimals, NaN and infinities are texts; bytes are base64; ' +
          'of long texts and lists the beginning is shown.',
      ),
  })
  .describe('A table of the Iceberg catalog.')
  .register(components, { id: 'Table' });

export const tableWriteAnswer = z
  .object({
    ...named,
    created: z.boolean().describe('Whether there was no such table before.'),
    snapshot_id: snapshotId.describe('The snapshot that was made.'),
    added_rows: z.int().min(0),
    total_rows: z.int().min(0).describe('What the table has in that snapshot.'),
    columns: z.array(column),
  })
  .describe('What became of a table.')
  .meta({
    examples: [
      {
        schema: 'gold',
        name: 'customer_metrics',
        created: true,
        snapshot_id: '5820547617956690359',
        added_rows: 2,
        total_rows: 2,
        columns: [{ name: 'customer_id', type: 'long', required: false, doc: null }],
      },
    ],
  })
  .register(components, { id: 'TableWritten' });

export const tableDeletedAnswer = z
  .object({
    ...named,
    status: z.literal('deleted'),
    message: z.string(),
    removed_files: z.int().min(0),
    kept_files: z
      .int()
      .min(0)
      .describe('Those that lie outside of the table’s own folder, and those that could not be removed.'),
  })
  .describe('A table that is gone.')
  .register(components, { id: 'TableDeleted' });

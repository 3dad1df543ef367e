import { z } from 'zod';
import { tags } from '../models/naming.ts';
import { bounded } from '../platform/bounded.ts';
import { nameText, storableText } from '../platform/text.ts';
import { columnName, DTYPES, featureViewName } from './feature-names.ts';

const MAX_ENTITIES = 20;
const MAX_FEATURES = 500;
const SECONDS_A_DAY = 86_400;
/** Some 54 years. */
const MAX_TTL_DAYS = 20_000;

export const description = storableText(10_000).default('');
export const owner = storableText(250).default('');

const dtype = z.enum(DTYPES, {
  error: ({ input }) => `must be one of ${DTYPES.join(', ')}; it is ${String(JSON.stringify(input)).slice(0, 100)}`,
});

const feature = z.object({
  /** Of a column of the table. */
  name: columnName,
  dtype,
  description,
  tags: tags.default({}),
});

const source = z.object({
  tableName: nameText(255),
  catalog: nameText(255).default('iceberg'),
  schema: nameText(255).default('gold'),
  /** The column with the time of each row; null when it is to be found. */
  timestampField: columnName.nullish().transform((value) => value ?? null),
  /** The column that decides between rows of one time; null when none does. */
  createdTimestampColumn: columnName.nullish().transform((value) => value ?? null),
});

/** Of a definition as it is given, what each field holds. */
export const featureViewFields = z.object({
  name: featureViewName,
  /** Columns that tell whose features a row has. */
  entities: bounded(z.array(columnName).min(1).max(MAX_ENTITIES), MAX_ENTITIES),
  features: bounded(z.array(feature).min(1).max(MAX_FEATURES), MAX_FEATURES),
  source,
  /** How old a row may be to count: in days, or in seconds; 0 or neither: of any age. */
  ttlDays: z.number().min(0).max(MAX_TTL_DAYS).optional(),
  ttlSeconds: z
    .int()
    .min(0)
    .max(MAX_TTL_DAYS * SECONDS_A_DAY)
    .optional(),
  /** Whether its newest values are kept where they are read at once. */
  online: z.boolean().default(false),
  description,
  owner,
  tags: tags.default({}),
});

/** A feature view as somebody wants it, parsed. Whether it fits the table the bridge says. The one schema behind REST and GraphQL. */
export const featureViewInput = featureViewFields.transform((fields, context) => withTtl(fields, context));

export type FeatureViewInput = z.output<typeof featureViewInput>;

/** The two ways of saying a time to live, as one. */
export function withTtl<T extends { ttlDays?: number | undefined; ttlSeconds?: number | undefined }>(
  { ttlDays, ttlSeconds, ...rest }: T,
  context: z.RefinementCtx,
) {
  if (ttlDays !== undefined && ttlSeconds !== undefined) {
    context.addIssue({
      code: 'custom',
      path: ['ttlSeconds'],
      message: 'says what the time in days says too: give one of them',
    });
  }
  return { ...rest, ttlSeconds: ttlSeconds ?? Math.round((ttlDays ?? 0) * SECONDS_A_DAY) };
}

import { z } from 'zod';
import { nameText } from '../platform/text.ts';

/** PostgreSQL names an index of a view's online table `asgard_<view>_fts_idx`, in at most 63 characters. */
const MAX_VIEW_NAME = 48;
/** In REST these are paths of something else. */
const TAKEN = ['service', 'services'];

const NAME = /^[a-zA-Z][a-zA-Z0-9_]*$/;
const NAME_RULE = 'must begin with a letter and hold only letters, digits and "_"';

/** The name of a feature view. */
export const featureViewName = z
  .string()
  .max(MAX_VIEW_NAME)
  .regex(NAME, NAME_RULE)
  .refine((name) => !TAKEN.includes(name.toLowerCase()), `must not be one of ${TAKEN.join(', ')}`);

/** The name of a feature service. */
export const featureServiceName = z.string().max(255).regex(NAME, NAME_RULE);

/** The name of a column, as entities and features have it: `view:feature` and `view@version` name features. */
export const columnName = nameText(255)
  .regex(/^[^:@]+$/, 'must not contain ":" or "@"')
  .meta({ pattern: '^[^:@\\s]([^:@]*[^:@\\s])?$' });

/** The types that a feature can be declared with. */
export const DTYPES = [
  'int32',
  'int64',
  'float32',
  'float64',
  'string',
  'bytes',
  'bool',
  'unix_timestamp',
  'array_int32',
  'array_int64',
  'array_float32',
  'array_float64',
  'array_string',
  'array_bytes',
  'array_bool',
  'array_unix_timestamp',
] as const;

export type Dtype = (typeof DTYPES)[number];

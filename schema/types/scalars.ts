import { GraphQLError } from 'graphql';
import { z } from 'zod';
import { builder } from '../builder.ts';

/** Only this of what JavaScript would read as a date: "1" is one too. */
const isoText = z.iso.datetime({ offset: true });

/** As `serialize` writes it. */
const WRITTEN = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

builder.scalarType('DateTime', {
  description:
    'A moment as ISO 8601 in UTC with milliseconds, e.g. `2025-11-03T10:00:00.000Z`. As input any offset is taken, and ' +
    'milliseconds and seconds may be left out.',
  // Events hold it as it is written, and there are very many of them.
  serialize: (value) => (typeof value === 'string' && WRITTEN.test(value) ? value : new Date(value).toISOString()),
  parseValue: (value) => {
    const parsed = isoText.safeParse(value);
    if (parsed.success) return new Date(parsed.data);
    throw new GraphQLError('DateTime takes a text like 2025-11-03T10:00:00Z, with its offset from UTC');
  },
});

builder.scalarType('JSON', {
  description: 'Any JSON value.',
  serialize: (value) => value,
});

import { GraphQLError } from 'graphql';
import { builder } from '../builder.ts';

builder.scalarType('DateTime', {
  description: 'A moment as ISO 8601 in UTC with milliseconds, e.g. `2025-11-03T10:00:00.000Z`.',
  serialize: (value) => (typeof value === 'string' ? new Date(value) : value).toISOString(),
  parseValue: (value) => {
    const moment = typeof value === 'string' ? new Date(value) : undefined;
    if (moment === undefined || Number.isNaN(moment.getTime()))
      throw new GraphQLError('DateTime takes an ISO 8601 text');
    return moment;
  },
});

builder.scalarType('JSON', {
  description: 'Any JSON value.',
  serialize: (value) => value,
});

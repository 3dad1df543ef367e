import { GraphQLError, Kind, type ValueNode } from 'graphql';
import { z } from 'zod';
import { parseExactJson } from '../../src/platform/exact-json.ts';
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
  description: 'Any JSON value. Whole numbers keep all their digits, as values of variables and within the document.',
  serialize: (value) => value,
  parseValue: (value) => value,
  parseLiteral: (node, variables) => jsonOf(node, variables ?? {}),
});

/** What a literal says, with the digits of whole numbers beyond 2^53, which GraphQL's own reading of literals loses. */
function jsonOf(node: ValueNode, variables: Readonly<Record<string, unknown>>): unknown {
  switch (node.kind) {
    case Kind.NULL:
      return null;
    case Kind.INT:
      return parseExactJson(node.value);
    case Kind.FLOAT:
      return Number(node.value);
    case Kind.LIST:
      return node.values.map((item) => jsonOf(item, variables));
    case Kind.OBJECT:
      // Unlike an assignment it takes the name `__proto__` for a name.
      return Object.fromEntries(node.fields.map(({ name, value }) => [name.value, jsonOf(value, variables)]));
    case Kind.VARIABLE:
      return variables[node.name.value];
    default:
      return node.value;
  }
}

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assertEnumType, parse, validate } from 'graphql';
import { describe, expect, it } from 'vitest';
import { graphqlSchema } from '../../schema/index.ts';
import { PROJECT_ROOT } from '../../src/config.ts';
import { EXAMPLE } from '../../src/http/graphql.ts';

const text = await readFile(join(PROJECT_ROOT, 'docs', 'graphql.md'), 'utf8');
const operations = [...text.matchAll(/^```graphql\n(.*?)^```/gms)].map(([, operation]) => operation ?? '');

describe('docs/graphql.md', () => {
  it('has operations', () => expect(operations.length).toBeGreaterThan(3));

  it.each(operations)('shows an operation that the schema takes: %.40s', (operation) => {
    expect(validate(graphqlSchema(), parse(operation))).toEqual([]);
  });

  it('lists every code of an error', () => {
    const codes = assertEnumType(graphqlSchema().getType('ErrorCode'))
      .getValues()
      .map(({ name }) => name);
    expect(codes.filter((code) => !text.includes(`\`${code}\``))).toEqual([]);
  });
});

describe('what GraphiQL shows first', () => {
  it('is a mutation, a subscription and a query that the schema takes', () => {
    const document = parse(EXAMPLE);
    expect(validate(graphqlSchema(), document)).toEqual([]);
    const kinds = document.definitions.map((definition) => 'operation' in definition && definition.operation);
    expect(kinds).toEqual(['mutation', 'subscription', 'query']);
  });
});

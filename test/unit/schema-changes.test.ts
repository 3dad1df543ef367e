import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildSchema, parse } from 'graphql';
import { describe, expect, it } from 'vitest';
import { graphqlSchema } from '../../schema/index.ts';
import { PROJECT_ROOT } from '../../src/config.ts';
import { breakingChanges } from '../support/breaking-changes.ts';

describe('the GraphQL schema, against the one that was released last', () => {
  it('breaks no client: what went had been deprecated by a release', async () => {
    // docs/graphql.md says how to deprecate; a release writes the file: node scripts/print-schema.ts --release
    const released = await readFile(join(PROJECT_ROOT, 'schema', 'released.graphql'), 'utf8');
    expect(breakingChanges(parse(released), graphqlSchema())).toEqual([]);
  });
});

describe('the comparison', () => {
  const RELEASED = `
    type Query { job(id: ID!, old: Int @deprecated(reason: "Use id.")): Job  gone: Int @deprecated(reason: "Use job.") }
    type Job { id: ID! name: String! status: Status! }
    enum Status { DONE OLD @deprecated(reason: "Use DONE.") }
    input Filter { status: Status old: Int @deprecated(reason: "Use status.") }
    extend type Query { jobs(filter: Filter): [Job!]! }`;
  const changed = (...changes: [from: string, to: string][]) =>
    breakingChanges(parse(RELEASED), buildSchema(changes.reduce((sdl, [from, to]) => sdl.replace(from, to), RELEASED)));

  it('lets deprecated fields, arguments, input fields and enum values go, and others come', () => {
    const changes: [string, string][] = [
      [', old: Int @deprecated(reason: "Use id.")', ', new: Int'],
      ['gone: Int @deprecated(reason: "Use job.")', ''],
      ['OLD @deprecated(reason: "Use DONE.")', 'NEW'],
      ['old: Int @deprecated(reason: "Use status.")', 'new: Int'],
      ['name: String!', 'name: String! title: String'],
    ];
    expect(changed(...changes)).toEqual([]);
  });

  it.each([
    ['a field that goes', 'name: String!', ''],
    ['a field that becomes nullable', 'name: String!', 'name: String'],
    ['an enum value that goes', 'DONE', 'FINISHED'],
    ['an argument that goes', 'id: ID!,', ''],
    ['an argument that is now required', 'id: ID!,', 'id: ID!, key: ID!,'],
    ['an input field of another type', 'status: Status old', 'status: [Status] old'],
  ])('finds %s', (_name, from, to) => {
    expect(changed([from, to])).toHaveLength(1);
  });
});

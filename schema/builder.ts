import SchemaBuilder from '@pothos/core';
import DataloaderPlugin from '@pothos/plugin-dataloader';
import ErrorsPlugin from '@pothos/plugin-errors';
import PrismaPlugin from '@pothos/plugin-prisma';
import RelayPlugin from '@pothos/plugin-relay';
import type PrismaTypes from '../src/database/generated/pothos.ts';
import { getDatamodel } from '../src/database/generated/pothos.ts';
import type { Context } from './context.ts';

/** Items of a page when `first` and `last` are absent, and the most that can be asked for. */
export const DEFAULT_PAGE_SIZE = 20;
export const MAX_PAGE_SIZE = 100;

/** A value of the JSON scalar as it arrives: whatever JSON can hold. Parsed by a domain schema before use. */
type JsonInput = unknown;

/**
 * The one builder of the GraphQL schema. It holds no types: each file in `types/` adds its own, with the queries,
 * mutations and subscriptions that return them, and `index.ts` loads them all.
 */
export const builder = new SchemaBuilder<{
  Context: Context;
  DefaultFieldNullability: false;
  DefaultEdgesNullability: { list: false; items: false };
  DefaultNodeNullability: false;
  PrismaTypes: PrismaTypes;
  Scalars: {
    ID: { Input: string; Output: string };
    DateTime: { Input: Date; Output: Date | string };
    JSON: { Input: JsonInput; Output: unknown };
  };
}>({
  plugins: [ErrorsPlugin, RelayPlugin, DataloaderPlugin, PrismaPlugin],
  defaultFieldNullability: false,
  errors: {
    directResult: true,
    defaultUnionOptions: {
      name: ({ fieldName }) => `${fieldName.charAt(0).toUpperCase()}${fieldName.slice(1)}Result`,
    },
  },
  prisma: {
    client: ({ database }) => database,
    dmmf: getDatamodel(),
    exposeDescriptions: false,
    filterConnectionTotalCount: true,
    maxConnectionSize: MAX_PAGE_SIZE,
    defaultConnectionSize: DEFAULT_PAGE_SIZE,
  },
  relay: {
    cursorType: 'String',
    nodeQueryOptions: false,
    nodesQueryOptions: false,
    pageInfoTypeOptions: { description: 'Where a page lies in its list, and how to go on from it.' },
    hasNextPageFieldOptions: { description: 'Whether items follow this page.' },
    hasPreviousPageFieldOptions: { description: 'Whether items precede this page.' },
    startCursorFieldOptions: { description: 'The cursor of the first item; null when the list holds none here.' },
    endCursorFieldOptions: {
      description:
        'The cursor to go on from: of the last item, which in a list of what a job made may be gone and not shown; null ' +
        'when the list holds none here.',
    },
    edgesFieldOptions: { nullable: { list: false, items: false }, description: 'The items, each with its cursor.' },
    nodeFieldOptions: { nullable: false, description: 'The item itself.' },
    cursorFieldOptions: { description: 'Opaque; `after` and `before` take it.' },
    pageInfoFieldOptions: { description: 'Where this page lies in the list.' },
    firstArgOptions: { description: `How many items from the start of the rest, 1 to ${MAX_PAGE_SIZE}.` },
    lastArgOptions: {
      description: `Instead of \`first\`: how many items from the end of the rest, 1 to ${MAX_PAGE_SIZE}.`,
    },
    afterArgOptions: { description: 'Only what follows this cursor of the same list, in the same order.' },
    beforeArgOptions: { description: 'Only what precedes this cursor of the same list, in the same order.' },
  },
});

builder.queryType({ description: 'What can be read. A field that names one thing is null when there is none.' });
builder.mutationType({
  description: 'What can be done. An expected failure is a member of the result, not an error of the response.',
});
builder.subscriptionType({
  description:
    'What can be followed as it happens, over WebSockets (graphql-ws) or server-sent events. A stream that ends without completing was cut.',
});

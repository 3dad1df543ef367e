import type { YogaServerInstance } from 'graphql-yoga';
import type { Context } from '../../schema/context.ts';
import type { Transport } from './present-errors.ts';

export const GRAPHQL_PATH = '/graphql';

/** GraphQL Yoga over our schema; it holds nothing that must be disposed of. */
export type GraphqlServer = YogaServerInstance<Transport, Context>;

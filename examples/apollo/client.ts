import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { socket } from '../ui/connection.ts';
import schema from './generated/possible-types.ts';

/** Queries and mutations over HTTP, subscriptions over the WebSocket. */
export const client = new ApolloClient({
  cache: new InMemoryCache({ possibleTypes: schema.possibleTypes }),
  link: ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket),
    new HttpLink({ uri: '/graphql' }),
  ),
});

import { cacheExchange, createClient, fetchExchange, subscriptionExchange } from 'urql';
import { createSocket } from '../ui/connection.ts';

/** What subscriptions run over. */
export const socket = createSocket();

/** Queries and mutations over HTTP, subscriptions over the WebSocket. */
export const client = createClient({
  url: '/graphql',
  preferGetMethod: false,
  exchanges: [
    cacheExchange,
    fetchExchange,
    subscriptionExchange({
      forwardSubscription: ({ query = '', variables }) => ({
        subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
      }),
    }),
  ],
});

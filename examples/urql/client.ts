import { cacheExchange, createClient, fetchExchange, subscriptionExchange } from 'urql';
import { socket } from '../ui/connection.ts';

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

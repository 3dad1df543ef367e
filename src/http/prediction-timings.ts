import type { Plugin } from 'graphql-yoga';
import type { Context } from '../../schema/context.ts';
import { serverTiming } from '../rest/server-timing.ts';
import type { Transport } from './present-errors.ts';

/** Has answers over HTTP say in a header where the time of their predictions went, as REST's do. */
export function tellTimings(
  onSerialized: (modelName: string, milliseconds: number) => void,
): Plugin<Context, Transport> {
  return {
    onResponse: ({ response, serverContext }) => {
      const told = serverContext?.timings.end();
      if (told == null) return;
      response.headers.set('server-timing', serverTiming(told.parts));
      if (told.modelName !== null) onSerialized(told.modelName, told.serializeMs);
    },
  };
}

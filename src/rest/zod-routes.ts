import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyBaseLogger, FastifyInstance, FastifyTypeProvider, RawServerDefault } from 'fastify';
import type { z } from 'zod';
import { AsgardError } from '../platform/errors.ts';
import { fastApiMessage, toInputIssues } from './issues.ts';

/** What may be sent where a schema says `T`: lists and objects may be read-only. */
type Sent<T> = T extends readonly (infer Item)[]
  ? readonly Sent<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Sent<T[Key]> }
    : T;

/** A route's zod schemas give its handler's types: what was parsed, and what may be answered for each status. */
interface ZodTypes extends FastifyTypeProvider {
  validator: this['schema'] extends z.ZodType ? z.output<this['schema']> : unknown;
  serializer: this['schema'] extends z.ZodType ? Sent<z.output<this['schema']>> : unknown;
}

/** A server whose routes declare their `body`, `querystring`, `params` and `response` by zod schemas. */
export type ZodInstance = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypes
>;

/**
 * Makes `app` parse requests by the zod schemas of its routes. Answers are sent as handlers make them: their schemas hold
 * at compile time, and for the document.
 */
export function useZod(app: FastifyInstance): ZodInstance {
  app.setValidatorCompiler<z.ZodType>(({ schema, httpPart }) => (value) => {
    try {
      // Fastify gives null for a body that is not there.
      return { value: parse(schema, httpPart === 'body' && value === null ? undefined : value) };
    } catch (error) {
      return { error: error instanceof Error ? error : new Error(String(error)) };
    }
  });
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer));
  return app.withTypeProvider<ZodTypes>();
}

/** @throws AsgardError INVALID_INPUT with every problem at once, in FastAPI's words */
export function parse<Output>(schema: z.ZodType<Output>, value: unknown): Output {
  const parsed = schema.safeParse(value, { error: fastApiMessage, reportInput: true });
  if (parsed.success) return parsed.data;
  throw new AsgardError('INVALID_INPUT', 'the request is not valid', { issues: toInputIssues(parsed.error.issues) });
}

import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifyContextConfig, FastifyInstance, FastifySchema } from 'fastify';
import { z } from 'zod';
import { STATUS_MEANINGS } from './failures.ts';
import { components } from './wire-answers.ts';

const SCHEMAS = '#/components/schemas/';

const DESCRIPTION = `A Python training script goes in, a tracked, registered and served model comes out.

Unknown fields are ignored unless they look like a misspelt one, and \`null\` counts as absent. Errors have FastAPI's shape, \`{"detail": …}\`, with the id of
the request. Times are UTC. Subscriptions, exact times and everything else are in the GraphQL API, at \`/graphql\`.`;

const TAGS = [
  { name: 'training', description: 'Scripts and the jobs that run them' },
  { name: 'models', description: 'The registry and predictions' },
  {
    name: 'open inference',
    description: 'Predictions by the Open Inference Protocol V2, as KServe’s and Triton’s clients speak it',
  },
  { name: 'tables', description: 'The tables that features are made of' },
  { name: 'platform', description: 'How the platform is' },
  { name: 'feast', description: 'The feature store' },
];

/**
 * Of a schema that transforms what it parses, zod takes an example or default for one of the result, and leaves it out;
 * ours are always as on the wire. `wire` is the whole JSON Schema of what a preprocessing reads more widely.
 */
const TO_JSON_SCHEMA = {
  io: 'input',
  override: ({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodType; jsonSchema: z.core.JSONSchema.BaseSchema }) => {
    const { examples, default: fallback, description, wire } = z.globalRegistry.get(zodSchema) ?? {};
    if (typeof wire === 'object') {
      for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
      Object.assign(jsonSchema, wire, { description });
    }
    // These only say that JSON's whole numbers are JavaScript's.
    if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    if (examples !== undefined) jsonSchema.examples = [...(examples as unknown[])];
    if (fallback !== undefined) Object.assign(jsonSchema, { default: fallback });
  },
} as const;

type Headers = Readonly<Record<string, { readonly type: 'string' | 'integer'; readonly description: string }>>;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Of its answers with a status of 200 to 299, for the document. */
    readonly answerHeaders?: Headers;
    /** What these are, where that is not what their schema says. */
    readonly answerTypes?: readonly string[];
  }
}

/** On every answer. */
const REQUEST_ID = {
  'x-request-id': { type: 'string', description: 'The id of the request, which the log has too.' },
} as const;
const RETRY_AFTER = { 'retry-after': { type: 'integer', description: 'Ask again after so many seconds.' } } as const;
const HEADERS: Readonly<Record<string, Headers>> = {
  401: { 'www-authenticate': { type: 'string', description: 'How to show the key: `Bearer`.' } },
  429: RETRY_AFTER,
  503: RETRY_AFTER,
};

/**
 * Makes `app.swagger()` the OpenAPI document of the routes that are registered after this: from the zod schemas that parse
 * their requests and type their answers.
 */
export async function describeRoutes(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Asgard', version: '1.0.0', description: DESCRIPTION },
      tags: TAGS,
      // Its answer is text, which the declarations of the other routes have no word for.
      paths: { '/metrics': { get: metricsOperation() } },
      // A key is demanded only where the platform was given one.
      security: [{}, { apiKey: [] }],
      components: { securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } } },
    },
    convertConstToEnum: false,
    transform: ({ schema, url, route }) => ({ schema: documented(schema, route.config), url }),
    transformObject: (result) => {
      if (!('openapiObject' in result)) throw new Error('the document is no OpenAPI document');
      const { openapiObject } = result;
      return Object.assign(openapiObject, { components: { ...openapiObject.components, schemas: namedSchemas() } });
    },
  } satisfies FastifyDynamicSwaggerOptions);
}

/** A route's declaration with JSON Schema in place of zod; a route without one is none of the API's. */
function documented(schema: FastifySchema | undefined, config: FastifyContextConfig = {}): FastifySchema {
  if (schema === undefined || schema.hide === true) return { hide: true };
  const { body, querystring, params, headers, response, ...rest } = schema;
  const entries = Object.entries({ body, querystring, params, headers }).filter(([, part]) => part !== undefined);
  return {
    ...rest,
    ...Object.fromEntries(entries.map(([name, part]) => [name, jsonSchema(part)])),
    response: Object.fromEntries(
      Object.entries(response ?? {}).map(([status, answer]) => [
        status,
        {
          ...contentOf(answer, status.startsWith('2') ? config.answerTypes : undefined),
          description: STATUS_MEANINGS[status],
          headers: { ...headersOf(status), ...(status.startsWith('2') && config.answerHeaders) },
        },
      ]),
    ),
  };
}

/** An answer is JSON unless its route, or its schema by a `mediaType`, says otherwise. */
function contentOf(answer: unknown, types?: readonly string[]): object {
  const schema = jsonSchema(answer);
  if (types !== undefined) return { content: Object.fromEntries(types.map((type) => [type, { schema }])) };
  const mediaType = answer instanceof z.ZodType ? z.globalRegistry.get(answer)?.['mediaType'] : undefined;
  return typeof mediaType === 'string' ? { content: { [mediaType]: { schema } } } : schema;
}

function headersOf(status: string): Headers {
  return { ...REQUEST_ID, ...HEADERS[status] };
}

function metricsOperation() {
  const failure = { 'application/json': { schema: { $ref: `${SCHEMAS}HTTPError` } } };
  const metrics = { 'text/plain': { schema: { type: 'string' } } } as const;
  const answer = (status: string, content: typeof failure | typeof metrics) => {
    const headers = Object.entries(headersOf(status)).map(([name, { type, description }]) => [
      name,
      { description, schema: { type } },
    ]);
    return [status, { description: STATUS_MEANINGS[status] ?? '', headers: Object.fromEntries(headers), content }];
  };
  const failures = ['401', '403', '429', '500', '503'].map((status) => answer(status, failure));
  return {
    operationId: 'getMetrics',
    summary: 'What is counted and measured',
    description: 'In the text format of Prometheus.',
    tags: ['platform'],
    responses: Object.fromEntries([answer('200', metrics), ...failures]),
  };
}

function jsonSchema(schema: unknown): object {
  if (!(schema instanceof z.ZodType)) throw new Error('a route declares its parts by zod schemas');
  const id = components.get(schema)?.id;
  return id === undefined ? z.toJSONSchema(schema, TO_JSON_SCHEMA) : { $ref: `${SCHEMAS}${id}` };
}

/** zod's type of a JSON Schema is not the one of OpenAPI's, though 3.1 takes any. */
function namedSchemas(): Record<string, object> {
  const { schemas } = z.toJSONSchema(components, { ...TO_JSON_SCHEMA, uri: (id) => `${SCHEMAS}${id}` });
  const named = Object.entries(schemas).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(named.map(([id, { $id: _id, $schema: _dialect, ...schema }]) => [id, schema]));
}

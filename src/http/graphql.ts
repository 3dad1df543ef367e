import { Readable } from 'node:stream';
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { GraphQLError } from 'graphql';
import { createYoga, type Plugin } from 'graphql-yoga';
import { type Context, createContext, type Services } from '../../schema/context.ts';
import { presentError } from '../../schema/errors.ts';
import { graphqlSchema } from '../../schema/index.ts';
import { OperationTimings } from '../inference/operation-timings.ts';
import { departureOf } from '../platform/departure.ts';
import { AsgardError } from '../platform/errors.ts';
import { parseExactJson } from '../platform/exact-json.ts';
import type { Logger } from '../platform/logger.ts';
import { othersTurn } from '../platform/turn.ts';
import { refuseDubiousJson } from '../rest/strict-json.ts';
import { replyRefused } from './error-replies.ts';
import { graphqlLimits } from './graphql-limits.ts';
import { GRAPHQL_PATH, type GraphqlServer } from './graphql-server.ts';
import { type HeldOpen, onceClosed, tooManyHeld } from './held-open.ts';
import { tellTimings } from './prediction-timings.ts';
import { maskFault, presentErrors, type Transport } from './present-errors.ts';
import { isUpgrade } from './upgrade.ts';
import type { WebSockets } from './websocket.ts';

/** What GraphiQL shows who opens it for the first time. */
export const EXAMPLE = `# Hand in a script, follow what happens, look at what there is.
# Each runs by itself: with the cursor in it press Ctrl-Enter. Ctrl-Space shows what may stand where the cursor is.

mutation Submit {
  submitTrainingJob(
    input: { scriptName: "hello.py", script: "print('hello')", experimentName: "first_steps", modelName: "hello" }
  ) {
    ... on TrainingJob { id status }
    ... on Error { message }
  }
}

subscription Follow {
  jobStatusChanges { jobId status at reason }
}

query Jobs {
  trainingJobs(first: 10) {
    edges {
      node { id scriptName status error logText }
    }
  }
}
`;

export interface GraphqlServerOptions {
  readonly services: Services;
  readonly log: Logger;
  /** Whether browsers are shown GraphiQL; true when absent. */
  readonly hasGraphiql?: boolean;
  /** Whether the schema can be asked for; true when absent. */
  readonly hasIntrospection?: boolean;
  /** Others' plugins, which see results before errors are made presentable. */
  readonly plugins?: readonly Plugin[];
  /** Told what making an answer took, after the model's, over HTTP. */
  readonly onPredictionSerialized?: (modelName: string, milliseconds: number) => void;
}

/** The GraphQL API over HTTP (queries, mutations, SSE) and, through `getEnveloped`, over WebSockets. */
export function createGraphqlServer(options: GraphqlServerOptions): GraphqlServer {
  const { services, log, hasGraphiql = true, hasIntrospection = true, plugins = [] } = options;
  const { onPredictionSerialized = () => {} } = options;
  return createYoga<Transport, Context>({
    schema: graphqlSchema(),
    graphqlEndpoint: GRAPHQL_PATH,
    context: (transport) => createContext(services, transport),
    plugins: [
      ...plugins,
      tellTimings(onPredictionSerialized),
      presentErrors(log),
      ...graphqlLimits({ hasIntrospection }),
    ],
    batching: false,
    // What fails outside of an operation: a body that is no JSON, a document that cannot be parsed.
    maskedErrors: { maskError: (error) => presentError(error) ?? maskFault(error, log) },
    logging: false,
    cors: false,
    multipart: false,
    // Fastify bounds bodies. Yoga would make another request, which reads JSON in its own way.
    maxRequestBodySize: false,
    landingPage: false,
    graphiql: hasGraphiql && { title: 'Asgard', defaultQuery: EXAMPLE, subscriptionsProtocol: 'SSE' },
    // The whole page comes from here, not from a CDN; its 9 MB are loaded when someone first asks for them.
    renderGraphiQL: async (page) => (await import('@graphql-yoga/render-graphiql')).renderGraphiQL(page),
  });
}

/** Serves the API at `/graphql`. A caller that goes away ends its operation; so does a close of the server. */
export function graphqlRoutes(
  graphql: GraphqlServer,
  { sockets, held, log, maxBodyBytes }: { sockets: WebSockets; held: HeldOpen; log: Logger; maxBodyBytes: number },
): FastifyPluginAsync {
  return async (app) => {
    const streaming = new Set<FastifyReply>();
    app.removeAllContentTypeParsers();
    const parsing = { parseAs: 'string', bodyLimit: maxBodyBytes } as const;
    app.addContentTypeParser('*', parsing, (_request, body, done) => done(null, body));
    app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
      const isRefused = error.statusCode !== undefined && error.statusCode < 500;
      const { message, extensions } = isRefused
        ? {
            message: refusalMessage(error, maxBodyBytes),
            extensions: { ...refusalExtensions(error.statusCode), requestId: request.id },
          }
        : maskFault(error, log, request.id);
      return reply.code(isRefused ? (error.statusCode ?? 400) : 500).send({ errors: [{ message, extensions }] });
    });
    // A stream that is cut, not completed, tells its client to go on from where it is, elsewhere or later.
    app.addHook('preClose', async () => {
      for (const reply of streaming) reply.raw.destroy();
    });
    app.route({
      url: GRAPHQL_PATH,
      method: ['GET', 'POST', 'OPTIONS'],
      config: { face: 'graphql' },
      handler: async (request: FastifyRequest, reply: FastifyReply) => {
        if (isUpgrade(request.raw)) return sockets.accept(request, reply);
        const timings = new OperationTimings(performance.now() - reply.elapsedTime);
        const transport = { requestId: request.id, signal: departureOf(reply.raw), timings };
        const response = await graphql.handleRequest(fetchRequest(graphql, request), transport);
        const { body } = response;
        const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
        const release = isStream ? held.take(request.ip) : undefined;
        if (isStream && release === undefined) {
          await body?.cancel();
          return replyRefused(request, reply, tooManyHeld(request));
        }
        reply.code(response.status);
        for (const [name, value] of response.headers) reply.header(name, value);
        if (body === null) return reply.send();
        if (release === undefined) return reply.send(await response.text());
        streaming.add(reply);
        onceClosed(reply, () => {
          streaming.delete(reply);
          release();
        });
        return reply.send(Readable.from(chunksOf(body)));
      },
    });
  };
}

function refusalMessage({ message, statusCode }: Error & { statusCode?: number }, maxBodyBytes: number): string {
  if (statusCode !== 413) return message;
  return `the body is larger than ${maxBodyBytes} bytes: send fewer rows at once, or set ASGARD_REQUEST_LIMIT`;
}

function refusalExtensions(status: number | undefined) {
  return { code: status === 413 ? 'TOO_LARGE' : 'INVALID_INPUT', isRetryable: false };
}

/**
 * Yoga's own way from a Node request makes an array of the body's characters: 0.7 s for a script of 1 MiB. And its own reading of
 * JSON loses digits of rows to predict, and the first of two values of one column.
 */
function fetchRequest({ fetchAPI }: GraphqlServer, { method, url, headers, body }: FastifyRequest) {
  const pairs = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]);
  const made = new fetchAPI.Request(new URL(url, 'http://localhost').href, {
    method,
    headers: pairs,
    ...(typeof body === 'string' ? { body } : {}),
  });
  return typeof body === 'string' ? Object.defineProperty(made, 'json', { value: () => parseBody(body) }) : made;
}

/** @throws SyntaxError, and GraphQLError INVALID_INPUT for a key that is given twice */
async function parseBody(body: string): Promise<unknown> {
  const value = parseExactJson(body);
  await othersTurn(body.length);
  try {
    refuseDubiousJson(body, value);
  } catch (error) {
    if (!(error instanceof AsgardError)) throw error;
    const [issue] = error.issues;
    const place = issue === undefined || issue.path.length === 0 ? 'the body' : issue.path.join('.');
    const extensions = { ...refusalExtensions(400), http: { status: 400 } };
    throw new GraphQLError(`${place} ${error.message}`, { extensions });
  }
  await othersTurn(body.length);
  return value;
}

/** Fetch's type of a body does not say that it can be iterated. */
async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const reader = body.getReader();
  try {
    for (let read = await reader.read(); read.done === false; read = await reader.read()) yield read.value;
  } finally {
    await reader.cancel();
  }
}

import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { TABLE_MEDIA_TYPES, type TableWrite } from '../../features/tables.ts';
import { ANY, OF_BODY, OF_PATH } from '../failures.ts';
import { presentDeletedTable, presentTable, presentWritten } from '../present-tables.ts';
import type { RestServices } from '../services.ts';
import { httpError, httpValidationError } from '../wire-answers.ts';
import {
  newTablePath,
  tableAnswer,
  tableBody,
  tableDeletedAnswer,
  tableList,
  tablePath,
  tableQuery,
  tableWriteAnswer,
  writeHeaders,
  writeQuery,
} from '../wire-tables.ts';
import { useZod } from '../zod-routes.ts';
import { refuseOtherMethods } from './refuse.ts';

const PATH = '/iceberg/tables/:schema/:table';
const TAGS = ['tables'];
/** What a client still sends that was refused is thrown away for so long; then its connection is cut. */
const DRAIN_LIMIT_MS = 5_000;
const FILE_RULES =
  'CSV is UTF-8 with a header and commas; an empty field is null, a quoted one an empty text. A file that cannot be taken ' +
  'is refused with the row, counted from 1 below the header, and the column. One snapshot is made, or nothing is changed.';
const WRITE = {
  tags: TAGS,
  // What the document says that a body may be.
  consumes: [...TABLE_MEDIA_TYPES],
  params: newTablePath,
  querystring: writeQuery,
  headers: writeHeaders,
  body: tableBody,
};
const FAILURES = { ...ANY, ...OF_BODY, ...OF_PATH, 409: httpError, 504: httpError };

/** `/iceberg/tables`: the tables that features are made of. */
export function icebergRoutes({ tables }: Pick<RestServices, 'tables'>): FastifyPluginAsync {
  return async (server) => {
    takeFiles(server);
    const app = useZod(server);
    app.get(
      '/iceberg/tables',
      {
        schema: { tags: TAGS, operationId: 'listTables', summary: 'List tables', response: { ...ANY, 200: tableList } },
      },
      async () => await tables.list(),
    );
    app.get(
      PATH,
      {
        schema: {
          tags: TAGS,
          operationId: 'getTable',
          summary: 'Get a table with its columns, snapshots and some rows',
          params: tablePath,
          querystring: tableQuery,
          response: { ...ANY, ...OF_PATH, 200: tableAnswer, 404: httpError, 422: httpValidationError, 504: httpError },
        },
      },
      async ({ params: { schema, table: name }, query }, reply) =>
        presentTable(await tables.get({ schema, name }, query, untilClosed(reply))),
    );
    app.put(
      PATH,
      {
        config: { mediaTypes: TABLE_MEDIA_TYPES },
        schema: {
          ...WRITE,
          operationId: 'replaceTable',
          summary: 'Make a table, or replace its content',
          description: `The rows become all that the table has. Its columns become the file’s; one that it had before keeps its type where all values fit. Refused where it would take a column from a feature view. ${FILE_RULES}`,
          response: { ...FAILURES, 200: tableWriteAnswer, 201: tableWriteAnswer },
        },
      },
      async (request, reply) => {
        const { params, query, headers, body } = request;
        const name = { schema: params.schema, name: params.table };
        const written = await write(request, reply, {
          ...name,
          mode: 'replace',
          types: query.types,
          key: headers['idempotency-key'],
          body,
        });
        return reply.code(written.created ? 201 : 200).send(presentWritten(name, written));
      },
    );
    app.post(
      PATH,
      {
        config: { mediaTypes: TABLE_MEDIA_TYPES },
        schema: {
          ...WRITE,
          operationId: 'appendToTable',
          summary: 'Add rows to a table',
          description: `The file must have the table’s columns, in any order. ${FILE_RULES}`,
          response: { ...FAILURES, 200: tableWriteAnswer, 404: httpError },
        },
      },
      async (request, reply) => {
        const { params, query, headers, body } = request;
        const name = { schema: params.schema, name: params.table };
        const written = await write(request, reply, {
          ...name,
          mode: 'append',
          types: query.types,
          key: headers['idempotency-key'],
          body,
        });
        return presentWritten(name, written);
      },
    );
    app.delete(
      PATH,
      {
        schema: {
          tags: TAGS,
          operationId: 'deleteTable',
          summary: 'Delete a table',
          description:
            'With the files of all its snapshots, so that a job which is held to one of them fails. Refused while feature views read it.',
          params: tablePath,
          response: { ...ANY, ...OF_PATH, 200: tableDeletedAnswer, 404: httpError, 409: httpError, 504: httpError },
        },
      },
      async ({ params: { schema, table: name } }) =>
        presentDeletedTable({ schema, name }, await tables.delete({ schema, name })),
    );
    refuseOtherMethods(app, '/iceberg/tables', ['GET']);
    refuseOtherMethods(app, PATH, ['GET', 'PUT', 'POST', 'DELETE']);
  };

  function write(request: FastifyRequest, reply: FastifyReply, fields: Omit<TableWrite, 'mediaType' | 'signal'>) {
    const length = Number(request.headers['content-length'] ?? 0);
    tables.checkSize(length);
    const mediaType = TABLE_MEDIA_TYPES.find((type) => request.headers['content-type']?.toLowerCase().startsWith(type));
    return tables.write({ ...fields, mediaType: mediaType ?? 'text/csv', signal: untilClosed(reply) });
  }
}

/** Has bodies of these types, and of no other, handed on as they come. */
function takeFiles(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser([...TABLE_MEDIA_TYPES], (_request, body, done) => done(null, body));
  app.addHook('onResponse', async ({ raw }) => {
    if (raw.complete || raw.destroyed) return;
    const limit = setTimeout(() => raw.destroy(), DRAIN_LIMIT_MS);
    raw.once('close', () => clearTimeout(limit)).resume();
  });
}

/** Aborts when there is nobody left to answer. */
function untilClosed(reply: FastifyReply): AbortSignal {
  const closed = new AbortController();
  reply.raw.once('close', () => closed.abort());
  return closed.signal;
}

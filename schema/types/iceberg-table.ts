import { z } from 'zod';
import type { IcebergTable as Table, TableColumn, TableName, TableSnapshot } from '../../src/features/table.ts';
import { invalidInput } from '../../src/platform/errors.ts';
import { builder } from '../builder.ts';
import { forwardArgs, pageSize } from '../connection.ts';
import type { Context } from '../context.ts';
import { cursorsOf } from '../cursor.ts';
import { rowConnection } from '../row-connection.ts';

const DEFAULT_ROWS = 10;
const MAX_ROWS = 1_000;

const IcebergColumn = builder.objectRef<TableColumn>('IcebergColumn').implement({
  description: 'A column of a table.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Unique in its table.' }),
    type: t.exposeString('type', {
      description: 'Iceberg’s word for its type: `long`, `timestamptz`, `decimal(10, 2)`, `list<string>`.',
    }),
    required: t.exposeBoolean('required', { description: 'Whether each row has a value.' }),
    doc: t.exposeString('doc', { nullable: true, description: 'What is written of it; null when nothing is.' }),
  }),
});

const IcebergSnapshot = builder.objectRef<TableSnapshot>('IcebergSnapshot').implement({
  description: 'What a table was at a time. Counts are null where its writer says nothing of them.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'A whole number of 64 bits, as text.' }),
    parentId: t.exposeID('parentId', { nullable: true, description: 'The one before it; null for the first.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    operation: t.exposeString('operation', {
      nullable: true,
      description: 'What made it: `append`, `overwrite`, `delete` or `replace`.',
    }),
    addedRows: t.exposeFloat('addedRows', { nullable: true, description: 'How many rows it added.' }),
    deletedRows: t.exposeFloat('deletedRows', { nullable: true, description: 'How many rows it removed.' }),
    totalRows: t.exposeFloat('totalRows', { nullable: true, description: 'How many rows the table had then.' }),
    totalFiles: t.exposeFloat('totalFiles', { nullable: true, description: 'In how many files.' }),
    totalBytes: t.exposeFloat('totalBytes', { nullable: true, description: 'How large these were together.' }),
  }),
});

/** A field of this type may give a `tableKey` instead of a table. */
const IcebergTable = builder.loadableObjectRef('IcebergTable', {
  load: async (keys: string[], { tables }: Context) =>
    // As loaders.ts has it: null is right, since every field that names a table by its key is nullable.
    (await tables.describe(keys.map(parseKey))) as Table[],
  cacheResolved: (table: Table) => tableKey(table),
});

IcebergTable.implement({
  description: 'A table of the Iceberg catalog, from which feature views are made.',
  fields: (t) => ({
    schema: t.exposeString('schema', { description: 'The schema that it is in, such as `gold`.' }),
    name: t.exposeString('name', { description: 'Its name, unique in its schema.' }),
    columns: t.field({
      type: [IcebergColumn],
      description: 'Its columns, in their order.',
      resolve: ({ columns }) => columns,
    }),
    rowCount: t.exposeFloat('rowCount', { description: 'How many rows it has.' }),
    currentSnapshotId: t.exposeID('currentSnapshotId', {
      nullable: true,
      description: 'The snapshot that is read unless another is asked for; null when nothing was ever written.',
    }),
    snapshots: t.field({
      type: [IcebergSnapshot],
      description: 'Its newest 100 snapshots, the newest first.',
      resolve: ({ snapshots }) => snapshots,
    }),
    preview: t.field({
      type: ['JSON'],
      nullable: true,
      description:
        'Some of its rows in no order, each an object of values by column. Whole numbers beyond 2^53, decimals, NaN and ' +
        'infinities are texts; bytes are base64; of long texts and lists the beginning is shown. Null beside an error.',
      args: {
        rows: t.arg.int({ defaultValue: DEFAULT_ROWS, description: `How many, 0 to ${MAX_ROWS}.` }),
        snapshotId: t.arg.id({ description: 'Of which snapshot; the current one when absent.' }),
      },
      resolve: async (table, { rows: asked, snapshotId }, { tables, signal }) => {
        const rows = asked ?? DEFAULT_ROWS;
        if (rows < 0 || rows > MAX_ROWS) throw invalidInput(['rows'], `"rows" must be 0 to ${MAX_ROWS}, it is ${rows}`);
        return [...(await tables.get(table, { rows, snapshot: snapshotId }, signal)).rows];
      },
    }),
  }),
});

const IcebergTableConnection = builder.connectionObject(
  { type: IcebergTable, name: 'IcebergTableConnection', description: 'A page of tables.' },
  { name: 'IcebergTableEdge', description: 'A table in a page.' },
);

const tableName: z.ZodType<TableName> = z.object({ schema: z.string().max(1_000), name: z.string().max(1_000) });
const cursors = cursorsOf(['iceberg tables'], tableName);

builder.queryFields((t) => ({
  icebergTable: t.field({
    type: IcebergTable,
    nullable: true,
    description: 'The table of this schema and name; null when there is none.',
    args: {
      schema: t.arg.string({ required: true, description: 'The schema that it is in.' }),
      name: t.arg.string({ required: true, description: 'What it is called in that schema.' }),
    },
    resolve: (_root, name) => tableKey(name),
  }),
  icebergTables: t.field({
    type: IcebergTableConnection,
    description: 'All tables, by schema and name. `PUT /iceberg/tables/{schema}/{table}` makes one from a file.',
    args: forwardArgs,
    resolve: async (_root, args, context) => {
      const first = pageSize(args.first);
      const after = cursors.decode(args.after, 'after');
      const names = await context.tables.list();
      const rest = after === undefined ? names : names.filter((each) => isBehind(each, after));
      const load = (each: TableName) => IcebergTable.getDataloader(context).load(tableKey(each));
      return rowConnection(args, rest.slice(0, first + 1), cursors.encode, load);
    },
  }),
}));

function isBehind(table: TableName, place: TableName): boolean {
  return table.schema === place.schema ? table.name > place.name : table.schema > place.schema;
}

function tableKey({ schema, name }: TableName): string {
  return JSON.stringify([schema, name]);
}

function parseKey(key: string): TableName {
  const [schema, name] = JSON.parse(key) as [string, string]; // as tableKey writes it
  return { schema, name };
}

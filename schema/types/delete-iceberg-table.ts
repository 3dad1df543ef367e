import type { TableDeleted, TableName } from '../../src/features/table.ts';
import { builder } from '../builder.ts';
import { failures, withFailures } from '../errors.ts';

const Deleted = builder.objectRef<TableName & TableDeleted>('DeletedIcebergTable').implement({
  description: 'A table that is gone.',
  fields: (t) => ({
    schema: t.exposeString('schema', { description: 'The schema that it was in.' }),
    name: t.exposeString('name', { description: 'What it was called.' }),
    removedFiles: t.exposeFloat('removedFiles', { description: 'How many files went with it.' }),
    keptFiles: t.exposeFloat('keptFiles', {
      description: 'How many stay: those outside of its own folder, and those that could not be removed.',
    }),
  }),
});

builder.mutationField('deleteIcebergTable', (t) =>
  t.field({
    type: Deleted,
    errors: {
      types: [failures.notFound, failures.conflict, failures.unavailable],
      union: { description: 'What became of a request to delete a table.' },
    },
    description:
      'Deletes a table with the files of all its snapshots, so that a job which is held to one of them fails. A ConflictError ' +
      'while feature views read it.',
    args: {
      schema: t.arg.string({ required: true, description: 'The schema that it is in.' }),
      name: t.arg.string({ required: true, description: 'What it is called in that schema.' }),
    },
    resolve: (_root, table, { tables }) => withFailures(async () => ({ ...table, ...(await tables.delete(table)) })),
  }),
);

import type { z } from 'zod';
import type {
  IcebergTable,
  TableDeleted,
  TableName,
  TableRow,
  TableSnapshot,
  TableWritten,
} from '../features/table.ts';
import { naiveTime } from './present.ts';
import type { tableAnswer, tableDeletedAnswer, tableWriteAnswer } from './wire-tables.ts';

/** A table with some of its rows. */
export function presentTable(
  table: IcebergTable & { readonly rows: readonly TableRow[] },
): Omit<z.infer<typeof tableAnswer>, 'rows'> & { rows: readonly TableRow[] } {
  return {
    schema: table.schema,
    name: table.name,
    columns: table.columns,
    row_count: table.rowCount,
    snapshot_id: table.snapshotId,
    current_snapshot_id: table.currentSnapshotId,
    snapshots: table.snapshots.map(presentSnapshot),
    rows: table.rows,
  };
}

function presentSnapshot(snapshot: TableSnapshot) {
  return {
    snapshot_id: snapshot.id,
    parent_id: snapshot.parentId,
    created_at: naiveTime(snapshot.createdAt),
    operation: snapshot.operation,
    added_rows: snapshot.addedRows,
    deleted_rows: snapshot.deletedRows,
    total_rows: snapshot.totalRows,
    total_files: snapshot.totalFiles,
    total_bytes: snapshot.totalBytes,
  };
}

/** What a write came to. */
export function presentWritten(
  { schema, name }: TableName,
  { created, columns, snapshot }: TableWritten,
): z.infer<typeof tableWriteAnswer> {
  return {
    schema,
    name,
    created,
    snapshot_id: snapshot.id,
    added_rows: snapshot.addedRows ?? 0,
    total_rows: snapshot.totalRows ?? 0,
    columns,
  };
}

export function presentDeletedTable(
  { schema, name }: TableName,
  { removedFiles, keptFiles }: TableDeleted,
): z.infer<typeof tableDeletedAnswer> {
  const kept = keptFiles === 0 ? '' : `; ${keptFiles} files were kept`;
  return {
    schema,
    name,
    status: 'deleted',
    message: `the table ${schema}.${name} was deleted${kept}`,
    removed_files: removedFiles,
    kept_files: keptFiles,
  };
}

import { z } from 'zod';

/** Which table: its schema (a namespace of Iceberg's) and its name in it. */
export interface TableName {
  readonly schema: string;
  readonly name: string;
}

const column = z.object({
  name: z.string(),
  /** Iceberg's word: `long`, `decimal(10, 2)`, `list<string>`. */
  type: z.string(),
  required: z.boolean(),
  doc: z.string().nullable(),
});

export type TableColumn = z.infer<typeof column>;

const snapshot = z
  .object({
    id: z.string(),
    parent_id: z.string().nullable(),
    timestamp_ms: z.int(),
    operation: z.string().nullable(),
    added_rows: z.int().nullable(),
    deleted_rows: z.int().nullable(),
    total_rows: z.int().nullable(),
    total_files: z.int().nullable(),
    total_bytes: z.int().nullable(),
  })
  .transform((wire) => ({
    /** Of 64 bits, and so a text. */
    id: wire.id,
    parentId: wire.parent_id,
    createdAt: new Date(wire.timestamp_ms),
    /** `append`, `overwrite`, `delete` or `replace`. */
    operation: wire.operation,
    // Null where the snapshot's writer says nothing of it.
    addedRows: wire.added_rows,
    deletedRows: wire.deleted_rows,
    totalRows: wire.total_rows,
    totalFiles: wire.total_files,
    totalBytes: wire.total_bytes,
  }));

export type TableSnapshot = z.infer<typeof snapshot>;

const described = z.object({
  schema: z.string(),
  name: z.string(),
  columns: z.array(column),
  row_count: z.int(),
  snapshot_id: z.string().nullable(),
  current_snapshot_id: z.string().nullable(),
  snapshots: z.array(snapshot),
});

function toTable({ row_count, snapshot_id, current_snapshot_id, ...rest }: z.output<typeof described>) {
  return {
    ...rest,
    rowCount: row_count,
    /** The one that `columns` and `rowCount` are of; null when nothing was ever written. */
    snapshotId: snapshot_id,
    currentSnapshotId: current_snapshot_id,
  };
}

/** A table. `snapshots`: the newest 100, the newest first. */
export type IcebergTable = ReturnType<typeof toTable>;

/** A row: JSON values by column. Whole numbers beyond 2^53, decimals, NaN and infinities are texts. */
export type TableRow = Readonly<Record<string, unknown>>;

/** What the bridge answers to `tables.list`. */
export const tableNames = z.object({ tables: z.array(z.object({ schema: z.string(), name: z.string() })) });

/** What the bridge answers to `tables.describe`. */
export const tablesDescribed = z.object({ tables: z.array(described.transform(toTable).nullable()) });

/** What the bridge answers to `tables.get`. */
export const tableWithRows = described
  .extend({ rows: z.array(z.record(z.string(), z.unknown())) })
  .transform(({ rows, ...table }) => ({ ...toTable(table), rows }));

/** What the bridge answers to `tables.write`. */
export const tableWritten = z.object({ created: z.boolean(), columns: z.array(column), snapshot });

/** What became of a write. `created`: there was no such table before. */
export type TableWritten = z.infer<typeof tableWritten>;

/** What the bridge answers to `tables.delete`. */
export const tableDeleted = z
  .object({ removed_files: z.int(), kept_files: z.int() })
  .transform((wire) => ({ removedFiles: wire.removed_files, keptFiles: wire.kept_files }));

/** What became of a deleted table's files. Those that lie outside of its folder, or could not be removed, are kept. */
export type TableDeleted = z.output<typeof tableDeleted>;

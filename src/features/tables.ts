import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { FeastBridge } from '../feast/bridge.ts';
import { hasCode } from '../platform/errors.ts';
import { Turns } from '../platform/turns.ts';
import {
  type IcebergTable,
  type TableDeleted,
  type TableName,
  type TableRow,
  type TableWritten,
  tableDeleted,
  tableNames,
  tablesDescribed,
  tableWithRows,
  tableWritten,
} from './table.ts';
import { UploadFolder } from './upload-folder.ts';

/** Reading a gigabyte, and writing it to a store that is far away. */
const WRITE_LIMIT_MS = 20 * 60_000;

/** What a table can be written from. */
export const TABLE_MEDIA_TYPES = ['text/csv', 'application/vnd.apache.parquet'] as const;

export interface TableWrite extends TableName {
  /** `replace` makes the rows all that the table has, and the table where there is none. */
  readonly mode: 'replace' | 'append';
  readonly mediaType: (typeof TABLE_MEDIA_TYPES)[number];
  /** Iceberg's types of columns, where they shall not be inferred. */
  readonly types?: Readonly<Record<string, string>> | undefined;
  /** A write that repeats an earlier one's is answered with what that did; absent: this is a new one. */
  readonly key?: string | undefined;
  readonly body: Readable;
  /** Calls it off, as long as nothing was committed. */
  readonly signal?: AbortSignal | undefined;
}

export interface TableServiceOptions {
  readonly bridge: Pick<FeastBridge, 'request'>;
  /** For uploads alone. */
  readonly folder: string;
  readonly uploadLimitBytes: number;
}

/** The tables of the Iceberg catalog. */
export class TableService {
  readonly #bridge: TableServiceOptions['bridge'];
  readonly #uploads: UploadFolder;
  readonly #limitBytes: number;
  readonly #arriving = new Turns('too many tables are being uploaded', { atOnce: 8, maxWaiting: 64 });
  // Each takes some hundred megabytes of memory and a core.
  readonly #writing = new Turns('too many tables are waiting to be written', { atOnce: 2, maxWaiting: 64 });
  // A page of GraphQL's may ask for the rows of a hundred tables.
  readonly #reading = new Turns('too many tables are being read', { atOnce: 4, maxWaiting: 1_000 });

  constructor({ bridge, folder, uploadLimitBytes }: TableServiceOptions) {
    this.#bridge = bridge;
    this.#uploads = new UploadFolder(folder, uploadLimitBytes);
    this.#limitBytes = uploadLimitBytes;
  }

  /** All tables, at most 10,000, by schema and name. */
  async list(): Promise<TableName[]> {
    const { tables } = await this.#bridge.request('tables.list', {}, tableNames);
    return tables;
  }

  /** Tables as they are now, in the order of their names; null for one that is not there. */
  async describe(names: readonly TableName[]): Promise<(IcebergTable | null)[]> {
    const { tables } = await this.#bridge.request('tables.describe', { tables: names }, tablesDescribed);
    return tables;
  }

  /**
   * A table with some of its rows, up to 1,000, in no particular order.
   * @param snapshot the id of the one whose columns and rows are meant; absent: the current one
   * @throws AsgardError NOT_FOUND for a table, with the names that are like it, or a snapshot
   */
  get(
    { schema, name }: TableName,
    { rows, snapshot }: { readonly rows: number; readonly snapshot?: string | null | undefined },
    signal?: AbortSignal,
  ): Promise<IcebergTable & { readonly rows: readonly TableRow[] }> {
    const params = { schema, name, rows, snapshot: snapshot ?? null };
    const read = () => this.#bridge.request('tables.get', params, tableWithRows, { signal });
    return this.#reading.run(read, signal);
  }

  /**
   * Writes a table: one snapshot, or nothing at all. When the bridge dies in the middle of it, it is done again by the next
   * one, unless it had been done.
   * @throws AsgardError INVALID_INPUT with the row and the column that cannot be taken; NOT_FOUND when there is nothing to
   * append to; CONFLICT when others kept changing the table; TOO_LARGE; UNAVAILABLE and TIMEOUT, after which a repeated
   * request with the same key is safe
   */
  write({ body, signal, ...write }: TableWrite): Promise<TableWritten> {
    return this.#arriving.run(async () => {
      await using upload = await this.#uploads.save(body);
      return await this.#writing.run(() => this.#write(write, upload.path, signal), signal);
    }, signal);
  }

  /**
   * Deletes a table with the files of all its snapshots, which jobs may have read and be held to. Not called off: the table
   * is gone before its files are.
   * @throws AsgardError NOT_FOUND, with the names that are like it; CONFLICT naming the feature views that read it, or when
   * others kept changing it
   */
  delete({ schema, name }: TableName): Promise<TableDeleted> {
    const timeoutMs = WRITE_LIMIT_MS;
    return this.#writing.run(() =>
      this.#bridge.request('tables.delete', { schema, name }, tableDeleted, { timeoutMs }),
    );
  }

  /** @throws AsgardError TOO_LARGE when a body of this size would be refused */
  checkSize(sizeBytes: number): void {
    if (sizeBytes > this.#limitBytes) throw this.#uploads.tooLarge();
  }

  async #write(write: Omit<TableWrite, 'body' | 'signal'>, path: string, signal: AbortSignal | undefined) {
    const { schema, name, mode, mediaType, types = {}, key = randomUUID() } = write;
    const params = { schema, name, mode, media_type: mediaType, types, write_id: key, path };
    const ask = () => this.#bridge.request('tables.write', params, tableWritten, { signal, timeoutMs: WRITE_LIMIT_MS });
    try {
      return await ask();
    } catch (error) {
      if (!hasCode(error, 'UNAVAILABLE')) throw error;
      return await ask();
    }
  }
}

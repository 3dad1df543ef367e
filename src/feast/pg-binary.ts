/*
 * What PostgreSQL's functions for its binary protocol take and make, where a value passes through `pg`, which writes and reads
 * text. All numbers are big-endian.
 */

/** PostgreSQL's number of the type `bytea`. */
const BYTEA_OID = 17;
/** Dimensions, whether it holds nulls, the type of the elements; then, for its one dimension, length and lower bound. */
const ARRAY_HEAD_BYTES = 20;

/** Milliseconds from 1970 to 2000, from which PostgreSQL counts. */
const EPOCH_MS = 946_684_800_000;

/** A `bytea[]` for a parameter: `pg` sends a Buffer as it is, and PostgreSQL takes it by `array_recv`. */
export function byteaArray(items: readonly Buffer[]): Buffer {
  const size = items.reduce((sum, { length }) => sum + 4 + length, ARRAY_HEAD_BYTES);
  const array = Buffer.allocUnsafe(size);
  let at = 0;
  for (const number of [1, 0, BYTEA_OID, items.length, 1]) at = array.writeInt32BE(number, at);
  for (const item of items) {
    at = array.writeInt32BE(item.length, at);
    at += item.copy(array, at);
  }
  return array;
}

/**
 * Reads rows that `record_send` wrote one after the other: `for (const rows = new RecordReader(bytes); rows.next(); )`, and then
 * the row's columns in their order, all of them.
 * @throws RangeError when they are not what is read
 */
export class RecordReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Whether there is another row. */
  next(): boolean {
    if (this.#at >= this.#bytes.length) return false;
    this.#at += 4; // the number of its columns
    return true;
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#column().start);
  }

  text(): string {
    const { start, end } = this.#column();
    return this.#bytes.toString('utf8', start, end);
  }

  /** They share memory with the rows. */
  bytes(): Buffer {
    const { start, end } = this.#column();
    return this.#bytes.subarray(start, end);
  }

  /** A `timestamptz` in milliseconds since 1970, with microseconds as fraction. */
  timestampMs(): number {
    const { start } = this.#column();
    const micros = this.#bytes.readInt32BE(start) * 2 ** 32 + this.#bytes.readUInt32BE(start + 4);
    return EPOCH_MS + micros / 1000;
  }

  #column(): { start: number; end: number } {
    const start = this.#at + 8; // after its type and its length
    const length = this.#bytes.readInt32BE(start - 4);
    if (length < 0) throw new RangeError('a column of a record is null');
    this.#at = start + length;
    return { start, end: this.#at };
  }
}

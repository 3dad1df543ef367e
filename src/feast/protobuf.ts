/** The wire types of protobuf that a Value holds. https://protobuf.dev/programming-guides/encoding/ */
export const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/**
 * Reads one protobuf message, field by field:
 * `for (const reader = new ProtobufReader(bytes); reader.nextField(); ) switch (reader.field) { … reader.int64() … }`.
 * What the reader of a field does not take, `skip` passes over.
 * @throws RangeError when the message ends in the middle of a field
 */
export class ProtobufReader {
  readonly #bytes: Buffer;
  #position = 0;
  field = 0;
  wireType = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#bytes.length;
  }

  /** Whether there is another field: then `field` is its number and `wireType` how it is written. */
  nextField(): boolean {
    if (this.isAtEnd) return false;
    const tag = this.#small();
    this.field = tag >>> 3;
    this.wireType = tag & 7;
    return true;
  }

  /** An int32, int64 or enum: negative ones are ten bytes in two's complement. */
  int64(): bigint {
    let low = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      low += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return BigInt(low);
    }
    let value = BigInt(low);
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
    throw new RangeError('a number of a protobuf message has more than ten bytes');
  }

  bool(): boolean {
    return this.int64() !== 0n;
  }

  double(): number {
    return this.#bytes.readDoubleLE(this.#advance(8));
  }

  float(): number {
    return this.#bytes.readFloatLE(this.#advance(4));
  }

  /** The bytes of a string, a bytes field, a message or a packed list; they share memory with the message. */
  bytes(): Buffer {
    const length = this.#small();
    const start = this.#advance(length);
    return this.#bytes.subarray(start, start + length);
  }

  text(): string {
    return this.bytes().toString('utf8');
  }

  skip(): void {
    if (this.wireType === WIRE.varint) this.int64();
    else if (this.wireType === WIRE.bytes) this.bytes();
    else if (this.wireType === WIRE.fixed64) this.#advance(8);
    else if (this.wireType === WIRE.fixed32) this.#advance(4);
    else throw new RangeError(`a field of a protobuf message has wire type ${this.wireType}`);
  }

  /** A tag or a length: a number that fits 32 bits. */
  #small(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError('a length of a protobuf message has more than 32 bits');
  }

  #byte(): number {
    return this.#bytes.readUInt8(this.#advance(1));
  }

  #advance(length: number): number {
    const start = this.#position;
    if (start + length > this.#bytes.length) throw new RangeError('a protobuf message ends in the middle of a field');
    this.#position = start + length;
    return start;
  }
}

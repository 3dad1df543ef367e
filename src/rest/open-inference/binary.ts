import { invalidInput } from '../../platform/errors.ts';
import { exactInteger } from '../../platform/exact-json.ts';
import { type Datatype, type Element, LAYOUTS } from './datatypes.ts';

/** Before each element of BYTES stands its length. */
const LENGTH_BYTES = 4;

/**
 * Reads the elements of a tensor from its bytes, as the protocol's binary data extension has them: little-endian, in the order of rows.
 * NaN becomes null.
 * @param path of the tensor, for errors
 * @param count how many there must be
 * @throws AsgardError INVALID_INPUT when there are other bytes than so many elements take
 */
export function readElements(
  bytes: Uint8Array,
  datatype: Datatype,
  count: number,
  path: readonly (string | number)[],
): Element[] {
  if (datatype === 'BYTES') return readTexts(bytes, count, path);
  const { bytes: size, read } = LAYOUTS[datatype];
  if (bytes.length !== count * size) {
    throw invalidInput(path, `has ${bytes.length} bytes, but its shape takes ${count} elements of ${size} bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const elements: Element[] = [];
  for (let index = 0; index < count; index += 1) {
    const value = read(view, index * size);
    if (datatype === 'BOOL') elements.push(value !== 0);
    else if (typeof value === 'bigint') elements.push(exactInteger(value));
    else elements.push(Number.isNaN(value) ? null : value);
  }
  return elements;
}

function readTexts(bytes: Uint8Array, count: number, path: readonly (string | number)[]): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const texts: string[] = [];
  let at = 0;
  while (at + LENGTH_BYTES <= bytes.length && texts.length < count) {
    const end = at + LENGTH_BYTES + view.getUint32(at, true);
    if (end > bytes.length) break;
    try {
      texts.push(decoder.decode(bytes.subarray(at + LENGTH_BYTES, end)));
    } catch {
      throw invalidInput([...path, texts.length], 'is not UTF-8 text');
    }
    at = end;
  }
  if (texts.length === count && at === bytes.length) return texts;
  throw invalidInput(path, `has ${bytes.length} bytes, which are not the ${count} elements that its shape takes`);
}

/** Writes elements as `readElements` reads them: null becomes NaN, or a text of no characters. */
export function writeElements(elements: readonly Element[], datatype: Datatype): Buffer {
  if (datatype === 'BYTES') {
    return Buffer.concat(
      elements.flatMap((element) => {
        const text = Buffer.from(String(element ?? ''));
        const length = Buffer.alloc(LENGTH_BYTES);
        length.writeUInt32LE(text.length);
        return [length, text];
      }),
    );
  }
  const { bytes: size, write } = LAYOUTS[datatype];
  const buffer = Buffer.alloc(elements.length * size);
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  for (const [index, element] of elements.entries()) {
    write(view, index * size, element ?? Number.NaN);
  }
  return buffer;
}

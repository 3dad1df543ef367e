import { createInterface, type Interface } from 'node:readline';
import type { Readable } from 'node:stream';

const LINE_FEED = 10;

/**
 * The lines of a stream that another program writes. readline keeps what has no line feed yet, however much that is: at
 * `maxBytes` the stream is given up.
 * @param onTooLong is called then, once
 */
export function boundedLines(stream: Readable, maxBytes: number, onTooLong: () => void): Interface {
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    const lineFeed = chunk.lastIndexOf(LINE_FEED);
    bytes = lineFeed === -1 ? bytes + chunk.length : chunk.length - lineFeed - 1;
    if (bytes <= maxBytes) return;
    stream.destroy();
    onTooLong();
  });
  // Whoever reads is told by the end of the program.
  return createInterface({ input: stream }).on('error', () => {});
}

import { pipeline, type Readable, Transform } from 'node:stream';
import type { TransferMeter } from '../platform/transfer.ts';

/** A body is longer than the gateway takes. */
export class BodyTooLargeError extends Error {
  constructor(limitBytes: number) {
    super(`the body is larger than ${limitBytes} bytes`);
    this.name = 'BodyTooLargeError';
  }
}

/** The whole of a body, in memory. @throws BodyTooLargeError as soon as it is known to exceed `limitBytes` */
export async function readBody(body: Readable, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  // the caller decides what becomes of the rest: a request that is destroyed could not be answered
  for await (const chunk of body.iterator({ destroyOnReturn: false })) {
    const bytes = Buffer.from(chunk);
    sizeBytes += bytes.length;
    if (sizeBytes > limitBytes) throw new BodyTooLargeError(limitBytes);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks, sizeBytes);
}

/** The body as it comes, measured. Destroying it destroys `body`, whose failure is its own. */
export function meteredBody(body: Readable, meter: TransferMeter): Readable {
  const passing = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      meter.add(chunk.length);
      done(null, chunk);
    },
  });
  pipeline(body, passing, (error) => meter.end(error === undefined || error === null));
  return passing;
}

/**
 * The body as it comes, failing with BodyTooLargeError once it exceeds `limitBytes` (Infinity: never). Destroying it
 * leaves `body` whole, so that the request it belongs to can still be answered.
 * @param meter is told what passes
 */
export function boundedBody(body: Readable, limitBytes: number, meter?: TransferMeter): Transform {
  let sizeBytes = 0;
  return body.pipe(
    new Transform({
      transform(chunk: Buffer, _encoding, done) {
        sizeBytes += chunk.length;
        meter?.add(chunk.length);
        if (sizeBytes > limitBytes) done(new BodyTooLargeError(limitBytes));
        else done(null, chunk);
      },
    }),
  );
}

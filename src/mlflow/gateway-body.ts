import { type Readable, Transform } from 'node:stream';

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

/**
 * The body as it comes, failing with BodyTooLargeError once it exceeds `limitBytes` (Infinity: never). Destroying it
 * leaves `body` whole, so that the request it belongs to can still be answered.
 */
export function boundedBody(body: Readable, limitBytes: number): Transform {
  let sizeBytes = 0;
  return body.pipe(
    new Transform({
      transform(chunk: Buffer, _encoding, done) {
        sizeBytes += chunk.length;
        if (sizeBytes > limitBytes) done(new BodyTooLargeError(limitBytes));
        else done(null, chunk);
      },
    }),
  );
}

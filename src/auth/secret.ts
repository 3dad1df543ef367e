import { createHash, hkdfSync, timingSafeEqual } from 'node:crypto';

/** A text that opens something. The text itself is not kept. */
export class Secret {
  readonly #hash: Buffer;

  constructor(text: string) {
    this.#hash = hashOf(text);
  }

  /** Whether a text is this one, in a time that does not tell how much of it is right. */
  matches(candidate: string): boolean {
    return timingSafeEqual(hashOf(candidate), this.#hash);
  }

  /** 32 bytes for one purpose: the same wherever the text is the same, and of no use for finding it. */
  derive(purpose: string): Uint8Array {
    return new Uint8Array(hkdfSync('sha256', this.#hash, '', purpose, 32));
  }
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

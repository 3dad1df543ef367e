import { randomUUID } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { AsgardError, invalidInput } from '../platform/errors.ts';
import { makeFolder } from '../platform/folder.ts';

/** A client from which nothing comes for so long is taken for gone. */
const IDLE_LIMIT_MS = 60_000;

/** A file that was uploaded. Disposing removes it. */
export interface Upload extends AsyncDisposable {
  readonly path: string;
  readonly sizeBytes: number;
}

/** Where uploads are while they are looked at. */
export class UploadFolder {
  readonly #folder: string;
  readonly #limitBytes: number;
  #isReady: Promise<void> | undefined;

  /** @param folder of its own: what a platform that was killed left there is removed before the first upload */
  constructor(folder: string, limitBytes: number) {
    this.#folder = folder;
    this.#limitBytes = limitBytes;
  }

  /**
   * Stores a body, as it comes. Whatever goes wrong, nothing of it stays.
   * @throws AsgardError TOO_LARGE as soon as it exceeds the limit, INVALID_INPUT when it stops coming, UNAVAILABLE when the
   * disk is full; the body's own error when its sender is gone
   */
  async save(body: Readable): Promise<Upload> {
    this.#isReady ??= this.#makeReady();
    await this.#isReady;
    const path = join(this.#folder, randomUUID());
    try {
      const sizeBytes = await this.#store(body, path);
      return { path, sizeBytes, [Symbol.asyncDispose]: () => rm(path, { force: true }) };
    } catch (error) {
      await rm(path, { force: true });
      throw isDiskFull(error) ? new AsgardError('UNAVAILABLE', 'the disk of the data folder is full') : error;
    }
  }

  async #store(body: Readable, path: string): Promise<number> {
    await using file = await open(path, 'wx', 0o600);
    const idle = setTimeout(() => {
      body.destroy(invalidInput([], `nothing of the body came for ${IDLE_LIMIT_MS / 1000} seconds`));
    }, IDLE_LIMIT_MS);
    try {
      let sizeBytes = 0;
      // A body that is destroyed takes its connection with it, by which the refusal goes.
      for await (const chunk of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        idle.refresh();
        sizeBytes += chunk.length;
        if (sizeBytes > this.#limitBytes) throw this.tooLarge();
        await file.writeFile(chunk);
      }
      return sizeBytes;
    } finally {
      clearTimeout(idle);
    }
  }

  /** What refuses a body that is, or is said to be, larger than the limit. */
  tooLarge(): AsgardError {
    const limit = Math.floor(this.#limitBytes / 1024 / 1024);
    return new AsgardError('TOO_LARGE', `a table is written from at most ${limit} MiB at once: append it in parts`);
  }

  async #makeReady(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
    await makeFolder(this.#folder, 0o700);
  }
}

function isDiskFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}

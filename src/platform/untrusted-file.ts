import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/**
 * Reads a file in a folder that a script's or a model's code can write to.
 * @returns null when there is no plain file of at most `maxBytes`
 */
export async function readUntrusted(path: string, maxBytes: number): Promise<Buffer | null> {
  try {
    // A link would be followed with the platform's rights, and a pipe waited for.
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = await file.stat();
    if (!stat.isFile() || stat.size > maxBytes) return null;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(stat.size), 0, stat.size, 0);
    return buffer.subarray(0, bytesRead);
  } catch {
    return null;
  }
}

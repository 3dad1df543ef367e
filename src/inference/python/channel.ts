import { type FileHandle, open } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

const NAME = 'channel';
/** What the system takes for the address of a UNIX socket, on Linux 107 bytes and on macOS 103. */
const MAX_ADDRESS_BYTES = 100;

/**
 * A UNIX socket in a folder that takes one connection, and none after it: the program that is started in the folder connects
 * before it runs any code that is not ours.
 */
export class Channel implements AsyncDisposable {
  /** Resolves with the connection. */
  readonly connection: Promise<Socket>;
  readonly #server: Server;
  readonly #folder: FileHandle | undefined;

  /** @param path an existing folder */
  static async listen(path: string): Promise<Channel> {
    const isLong = Buffer.byteLength(join(path, NAME)) > MAX_ADDRESS_BYTES;
    const folder = isLong ? await open(path, 'r') : undefined;
    // Through its descriptor the folder has a short name; on Linux, that is.
    const address = join(folder === undefined ? path : `/proc/self/fd/${folder.fd}`, NAME);
    const server = createServer();
    const channel = new Channel(server, folder);
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(address, resolve);
      });
    } catch (error) {
      await folder?.close();
      throw error;
    }
    return channel;
  }

  private constructor(server: Server, folder: FileHandle | undefined) {
    this.#server = server;
    this.#folder = folder;
    this.connection = new Promise((resolve) => {
      server.once('connection', (socket) => {
        server.on('connection', (other) => other.destroy());
        server.close();
        resolve(socket);
      });
    });
  }

  /** Takes no connection any more; the one that it took goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    await this.#folder?.close();
  }
}

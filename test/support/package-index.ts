import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A package index that knows names, versions and metadata, and no files: enough to resolve, not to install. */
export class PackageIndex implements AsyncDisposable {
  /** Versions by name; may be changed at any time. */
  readonly versions: Record<string, string[]>;
  readonly #server: Server;
  readonly #port: number;

  static async serve(versions: Record<string, string[]>): Promise<PackageIndex> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new PackageIndex(versions, server);
  }

  private constructor(versions: Record<string, string[]>, server: Server) {
    this.versions = versions;
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port; // a server that listens on TCP has one
    server.on('request', ({ url = '' }, response) => {
      response.setHeader('cache-control', 'no-store');
      const [, folder, name = ''] = url.split('/');
      const file = /^(.+)-([\d.]+)-py3-none-any\.whl\.metadata$/.exec(name);
      if (folder === 'files' && file !== null) {
        response.end(`Metadata-Version: 2.1\nName: ${file[1]}\nVersion: ${file[2]}\n`);
        return;
      }
      const links = (this.versions[name] ?? []).map((version) => {
        const wheel = `${name.replaceAll('-', '_')}-${version}-py3-none-any.whl`;
        return `<a href="/files/${wheel}" data-core-metadata="true">${wheel}</a>`;
      });
      response.writeHead(links.length === 0 ? 404 : 200, { 'content-type': 'text/html' }).end(links.join('\n'));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/simple`;
  }

  /** From then on nobody answers at its address. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import { poll } from './poll.ts';
import { uniqueName } from './unique-name.ts';

const { toolchain } = parseConfig(inheritedEnvironment(), false);

/** A server of one tiny wheel, which can make whoever asks for it wait. Every lock has a URL, and so a hash, of its own. */
export class Wheels implements AsyncDisposable {
  readonly url: string;
  readonly #server: Server;
  readonly #wheel: Buffer;
  readonly #held = new Map<string, { waiting: ServerResponse[]; asked: number }>();

  /** @param home a folder for its files */
  static async serve(home: string): Promise<Wheels> {
    const path = join(home, 'tiny-1.0-py3-none-any.whl');
    await writeFile(join(home, 'make_wheel.py'), MAKE_WHEEL);
    await promisify(execFile)(toolchainPython(toolchain), [join(home, 'make_wheel.py'), path]);
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Wheels(server, await readFile(path));
  }

  private constructor(server: Server, wheel: Buffer) {
    this.#server = server;
    this.#wheel = wheel;
    const { port } = server.address() as AddressInfo; // a server that listens on TCP has one
    this.url = `http://127.0.0.1:${port}`;
    server.on('request', ({ url = '' }, response) => {
      const [, name = ''] = url.split('/');
      const held = this.#held.get(name);
      if (held === undefined) return this.#answer(name, response);
      held.asked += 1;
      held.waiting.push(response);
    });
  }

  /** A lock of the wheel under a new address. */
  lock(name = uniqueName('wheel')): string {
    return `tiny @ ${this.url}/${name}/tiny-1.0-py3-none-any.whl\n`;
  }

  /** A lock, and an index, whose requests are not answered until `release`. */
  hold() {
    const name = uniqueName('held');
    const held = { waiting: [] as ServerResponse[], asked: 0 };
    this.#held.set(name, held);
    const release = () => {
      this.#held.delete(name);
      for (const response of held.waiting.splice(0)) this.#answer(name, response);
    };
    return {
      lock: this.lock(name),
      index: `${this.url}/${name}/simple`,
      /** Resolves once so many requests have come. */
      asked: (count: number) =>
        poll(
          () => held.asked,
          (asked) => asked >= count,
        ),
      release,
      [Symbol.asyncDispose]: async () => release(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  #answer(name: string, response: ServerResponse): void {
    if (name === 'missing') response.writeHead(404).end();
    else
      response
        .writeHead(200, { 'content-type': 'application/zip', 'content-length': this.#wheel.length })
        .end(this.#wheel);
  }
}

const MAKE_WHEEL = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("tiny.py", "ANSWER = 42\\n")
    wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n")
    wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr("tiny-1.0.dist-info/RECORD", "tiny.py,,\\ntiny-1.0.dist-info/METADATA,,\\ntiny-1.0.dist-info/WHEEL,,\\ntiny-1.0.dist-info/RECORD,,\\n")
`;

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Stands between a client and a server of 127.0.0.1, so that the way between them can be cut or held. */
export interface TcpProxy extends AsyncDisposable {
  readonly url: string;
  /** How many connections were made through it. */
  readonly connections: number;
  /** Breaks every connection without a word; new ones can be made. */
  cut(): void;
  /** Lets nothing of the server's through, and takes nothing from it: its sends fill up and wait. */
  hold(): void;
  /** Breaks every connection, and each new one at once, as soon as so many bytes more have come, from whichever side. */
  breakAfter(bytes: number): void;
  /** Ends `hold` and `breakAfter`. */
  release(): void;
}

/** Resolves when it listens, on a free port. */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const { hostname, port } = new URL(target);
  const pairs = new Map<Socket, Socket>();
  let connections = 0;
  let isHeld = false;
  let bytesLeft = Number.POSITIVE_INFINITY;
  const cut = () => {
    for (const client of pairs.keys()) client.resetAndDestroy();
  };
  const count = (chunk: Buffer) => {
    bytesLeft -= chunk.length;
    if (bytesLeft <= 0) cut();
  };
  const server = createServer((client) => {
    connections += 1;
    if (bytesLeft <= 0) return void client.resetAndDestroy();
    const upstream = connect(Number(port), hostname);
    pairs.set(client, upstream);
    const end = () => {
      client.destroy();
      upstream.destroy();
      pairs.delete(client);
    };
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end).on('data', count);
    client.pipe(upstream);
    upstream.on('data', (chunk) => {
      if (!client.write(chunk)) upstream.pause();
    });
    client.on('drain', () => {
      if (!isHeld) upstream.resume();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as AddressInfo; // a server that listens on TCP has one
  return {
    url: `http://127.0.0.1:${address.port}`,
    get connections() {
      return connections;
    },
    cut,
    hold: () => {
      isHeld = true;
      for (const upstream of pairs.values()) upstream.pause();
    },
    breakAfter: (bytes) => {
      bytesLeft = bytes;
    },
    release: () => {
      isHeld = false;
      bytesLeft = Number.POSITIVE_INFINITY;
      for (const upstream of pairs.values()) upstream.resume();
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const client of pairs.keys()) client.destroy();
      await closed;
    },
  };
}

import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readBody } from '../../src/mlflow/gateway-body.ts';

/** What becomes of a request: the connection breaks before the server has it, or when it has answered. */
export type Loss = 'none' | 'request' | 'answer';

/** Stands before an MLflow server and loses what it is told to. */
export interface LossyUpstream extends AsyncDisposable {
  readonly url: string;
  /** Of each request that comes; `held` lets it wait before that. */
  onRequest: (method: string, path: string) => { readonly loss: Loss; readonly held?: Promise<void> };
}

/** Resolves when it listens, on a free port. */
export async function startLossyUpstream(target: string): Promise<LossyUpstream> {
  const server = createServer((request, response) => {
    void pass(
      request.method ?? '',
      request.url ?? '',
      request.headers['content-type'],
      readBody(request, 1e8),
      response,
    );
  });
  const pass = async (
    method: string,
    url: string,
    type: string | undefined,
    reading: Promise<Buffer>,
    response: ServerResponse,
  ) => {
    const body = await reading;
    const { loss, held } = upstream.onRequest(method, url);
    if (loss === 'request') return void response.destroy();
    const answer = await fetch(`${target}${url}`, {
      method,
      headers: type === undefined ? {} : { 'content-type': type },
      ...(body.length === 0 ? {} : { body: new Uint8Array(body) }),
    });
    const text = await answer.text();
    await held;
    if (loss === 'answer') return void response.destroy();
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' }).end(text);
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const upstream: LossyUpstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, // a server that listens on TCP has one
    onRequest: () => ({ loss: 'none' }),
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
  return upstream;
}

import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readBody } from '../../src/mlflow/gateway-body.ts';

/** Where a call is lost: the connection breaks before the server has it, or when the server has answered. */
export type Stage = 'request' | 'answer';

/** One that comes by. */
export interface PassingCall {
  readonly method: string;
  readonly path: string;
  readonly body: string;
}

/** Stands before an MLflow server and loses what it is told to. */
export interface LossyUpstream extends AsyncDisposable {
  readonly url: string;
  /** Asked twice for each call, which waits for the answer: whether it is lost here. At first nothing is. */
  isLost: (stage: Stage, call: PassingCall) => boolean | Promise<boolean>;
}

/** Resolves when it listens, on a free port. */
export async function startLossyUpstream(target: string): Promise<LossyUpstream> {
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    const type = headers['content-type'];
    pass(method, url, type, readBody(request, 1e8), response).catch(() => response.destroy());
  });
  const pass = async (
    method: string,
    url: string,
    type: string | undefined,
    reading: Promise<Buffer>,
    response: ServerResponse,
  ) => {
    const body = await reading;
    const call = { method, path: url.split('?', 1)[0] ?? '', body: body.toString() };
    if (await upstream.isLost('request', call)) return void response.destroy();
    const answer = await fetch(`${target}${url}`, {
      method,
      headers: type === undefined ? {} : { 'content-type': type },
      ...(body.length === 0 ? {} : { body: new Uint8Array(body) }),
    });
    const content = Buffer.from(await answer.arrayBuffer());
    if (await upstream.isLost('answer', call)) return void response.destroy();
    response
      .writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' })
      .end(content);
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const upstream: LossyUpstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, // a server that listens on TCP has one
    isLost: () => false,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
  return upstream;
}

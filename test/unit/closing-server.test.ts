import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Face } from '../../src/auth/access.ts';
import { buildHttpServer, listen } from '../../src/http/server.ts';
import { createLogger } from '../../src/platform/logger.ts';

const MESSAGE = 'the platform is shutting down; try again';

test.each<[Face, object]>([
  ['rest', { detail: MESSAGE }],
  ['mlflow', { error_code: 'TEMPORARILY_UNAVAILABLE', message: MESSAGE }],
  ['graphql', { errors: [{ message: MESSAGE, extensions: { code: 'UNAVAILABLE', isRetryable: true } }] }],
])(
  'while a server closes, what was begun is answered, and what comes after it is refused for a moment: %s',
  async (face, body) => {
    const begun = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const app = await buildHttpServer({
      log: createLogger('silent', false),
      routes: [
        (server) => {
          server.get('/slow', { config: { face } }, async () => {
            begun.resolve();
            await goOn.promise;
            return { is: 'done' };
          });
        },
      ],
    });
    const port = await listen(app, '127.0.0.1', 0);
    const socket = connect(port, '127.0.0.1');
    const request = `GET /slow HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
    socket.write(request);
    await begun.promise;
    const closing = once(app.server, 'close');
    const closed = app.close();
    // No connection is taken any more: from now on it is closing, for a second at most, of which nothing is slept away here.
    while (app.server.listening) await turn();
    socket.write(request);
    const answers = text(socket);
    goOn.resolve();
    await Promise.all([closed, closing]);
    const [first = '', second = ''] = (await answers).split(/(?=HTTP\/1\.1 )/);
    expect(first).toMatch(/^HTTP\/1\.1 200 /);
    expect(first).toContain('{"is":"done"}');
    expect(second).toMatch(/^HTTP\/1\.1 503 /);
    expect(second).toMatch(/^retry-after: \d+\r$/m);
    expect(JSON.parse(second.split('\r\n\r\n')[1] ?? '')).toMatchObject(body);
  },
);

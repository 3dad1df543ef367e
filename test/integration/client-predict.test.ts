import { afterAll, beforeAll, expect, test } from 'vitest';
import { AsgardClient } from '../../src/client/client.ts';
import { type GraphqlForTests, startGraphql } from '../support/graphql-for-tests.ts';
import { poll } from '../support/poll.ts';

const INPUT = { modelName: 'churn', inputs: { age: [31] } };

/** Nothing answers where its MLflow should be. */
let api: GraphqlForTests;
let client: AsgardClient;

beforeAll(async () => {
  api = await startGraphql();
  client = new AsgardClient({ url: api.url });
});
afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
});

/** The server's log has a request once it was answered, which may be after its client has the answer. */
const requests = () => api.log.filter(({ msg, path }) => msg === 'http.request' && path === '/graphql').length;

test('a prediction is asked for again after the time that the platform says, so many times and no more', async () => {
  const before = requests();
  await expect(client.predict(INPUT, { retries: 1 })).rejects.toMatchObject({
    name: 'AsgardRequestError',
    code: 'UNAVAILABLE',
    isRetryable: true,
    retryAfterSeconds: 2,
    message: expect.stringContaining('MLflow'),
  });
  await expect.poll(() => requests() - before).toBe(2);
  await expect(client.predict(INPUT, { retries: 0 })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await expect.poll(() => requests() - before).toBe(3);
});

test('what is wrong with a request is said at once, by its code and field', async () => {
  const before = requests();
  await expect(client.predict({ modelName: 'churn', inputs: { a: [1], b: [] } })).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    isRetryable: false,
    retryAfterSeconds: undefined,
    issues: [{ path: ['inputs', 'b'] }],
  });
  await expect.poll(() => requests() - before).toBe(1);
});

test('whoever gives up waits no longer, and nothing more is asked', async () => {
  const before = requests();
  const caller = new AbortController();
  const asked = client.predict(INPUT, { signal: caller.signal });
  const outcome = expect(asked).rejects.toThrow('the caller left');
  await poll(requests, (count) => count === before + 1);
  caller.abort(new Error('the caller left'));
  await outcome;
  expect(requests()).toBe(before + 1);
  await expect(client.predict(INPUT, { signal: caller.signal })).rejects.toThrow('the caller left');
  expect(requests()).toBe(before + 1);
});

test('a platform that nobody reaches is UNAVAILABLE, also after its retries', async () => {
  await using nobody = new AsgardClient({ url: 'http://127.0.0.1:1' });
  await expect(nobody.predict(INPUT, { retries: 1 })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    retryAfterSeconds: undefined,
    message: expect.stringContaining('cannot reach http://127.0.0.1:1'),
  });
});

import { describe, expect, test } from 'vitest';
import { answerHeaders, requestHeaders } from '../../src/mlflow/gateway-headers.ts';

const upstream = new URL('http://10.1.2.3:5001');

describe('what goes upstream', () => {
  const sent = (headers: Record<string, string>, isKeyDemanded = true) =>
    requestHeaders({ host: 'asgard.example', ...headers }, upstream, isKeyDemanded);

  test('holds nothing that opens this platform: no key, no session, no job’s token', () => {
    expect(sent({ authorization: 'Bearer correct-horse-battery' })).toEqual({ host: '10.1.2.3:5001' });
    expect(sent({ authorization: 'Basic abc' })).toEqual({ host: '10.1.2.3:5001' });
    expect(sent({ authorization: 'Bearer asgard-job-1' }, false)).not.toHaveProperty('authorization');
    for (const isKeyDemanded of [true, false]) {
      expect(sent({ cookie: 'asgard_session=a.b.c' }, isKeyDemanded)).not.toHaveProperty('cookie');
      expect(sent({ cookie: 'a=1; asgard_session=a.b.c;b=2; asgard_session=d' }, isKeyDemanded)['cookie']).toBe(
        'a=1;b=2',
      );
    }
  });

  test('holds what is between the client and the upstream, when no key is demanded here', () => {
    const headers = { authorization: 'Basic abc', cookie: 'session=1' };
    expect(sent(headers, false)).toEqual({ host: '10.1.2.3:5001', ...headers });
  });

  test('comes from a page of the upstream’s own, since whose page may call was judged here', () => {
    for (const origin of ['http://asgard.example', 'https://app.example']) {
      expect(sent({ origin })).toMatchObject({ origin: 'http://10.1.2.3:5001' });
    }
    expect(sent({})).not.toHaveProperty('origin');
  });
});

test('what comes back says nothing of which pages may read it, nor another id', () => {
  const headers = {
    'access-control-allow-origin': '*',
    'access-control-allow-credentials': 'true',
    'x-request-id': 'x',
  };
  expect(answerHeaders({ ...headers, etag: '1' }, upstream)).toEqual({ etag: '1' });
});

import { describe, expect, test, vi } from 'vitest';
import { Access } from '../../src/auth/access.ts';
import { siteRefusal } from '../../src/auth/cross-site.ts';
import { Guesses } from '../../src/auth/guesses.ts';
import { issueSession, SESSION_SECONDS } from '../../src/auth/session.ts';
import { HeldOpen } from '../../src/http/held-open.ts';
import { localPath } from '../../src/http/pages.ts';

const KEY = 'correct-horse-battery';

describe('a caller', () => {
  const access = new Access(KEY);

  test.each([
    ['nothing', undefined, 'anyone'],
    ['the key', `Bearer ${KEY}`, 'owner'],
    ['the key after another spelling of Bearer', `bEARER   ${KEY} `, 'owner'],
    ['the key and more', `Bearer ${KEY} more`, 'anyone'],
    ['a part of the key', `Bearer ${KEY.slice(1)}`, 'stranger'],
    ['a job’s token', 'Bearer asgard-job-x', 'job'],
    ['another scheme', 'Basic OnNlY3JldA==', 'anyone'],
  ])('who shows %s is known as such', async (_name, authorization, kind) => {
    expect(await access.callerOf(authorization, undefined)).toMatchObject({ kind });
  });

  test('with a job’s token is held to MLflow’s API also where no key is set', () => {
    for (const each of [access, new Access()]) {
      expect(each.refusalOf({ kind: 'job' }, 'mlflow')).toBeUndefined();
      for (const face of ['rest', 'graphql'] as const) {
        expect(each.refusalOf({ kind: 'job' }, face)).toMatchObject({ code: 'FORBIDDEN' });
      }
    }
  });

  test('without a key set may do everything, whatever else it shows', () => {
    const open = new Access();
    for (const caller of [{ kind: 'anyone' }, { kind: 'stranger', credential: 'x' }] as const) {
      expect(open.refusalOf(caller, 'graphql')).toBeUndefined();
      expect(access.refusalOf(caller, 'graphql')).toMatchObject({ code: 'UNAUTHORIZED' });
    }
  });
});

describe('a session', () => {
  test('is good wherever the key is the same, and nowhere else', async () => {
    const session = (await new Access(KEY).signIn(KEY)) ?? '';
    expect(await new Access(KEY).callerOf(undefined, session)).toEqual({ kind: 'owner', by: 'session' });
    expect(await new Access(`${KEY}-2`).callerOf(undefined, session)).toEqual({ kind: 'anyone' });
    expect(session).not.toContain(KEY);
  });

  test('is not given for another key, or where there is none', async () => {
    expect(await new Access(KEY).signIn(`${KEY}-2`)).toBeNull();
    expect(await new Access().signIn('')).toBeNull();
  });

  test('ends', async () => {
    vi.useFakeTimers();
    try {
      const access = new Access(KEY);
      const session = (await access.signIn(KEY)) ?? '';
      vi.advanceTimersByTime((SESSION_SECONDS - 1) * 1000);
      expect(await access.callerOf(undefined, session)).toMatchObject({ kind: 'owner' });
      vi.advanceTimersByTime(2000);
      expect(await access.callerOf(undefined, session)).toEqual({ kind: 'anyone' });
    } finally {
      vi.useRealTimers();
    }
  });

  test('that was signed by somebody else, or not at all, is none', async () => {
    const access = new Access(KEY);
    const forged = await issueSession(new TextEncoder().encode(KEY));
    const [, payload] = forged.split('.');
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`;
    for (const session of [forged, unsigned, '', 'x', KEY]) {
      expect(await access.callerOf(undefined, session)).toEqual({ kind: 'anyone' });
    }
  });
});

describe('a page', () => {
  const rules = { isHostChecked: false, allowedOrigins: new Set(['https://app.example']) };
  const refusal = (headers: Record<string, string>, host = 'asgard.example:8000', method = 'GET') =>
    siteRefusal({ method, headers: { host, ...headers }, host }, rules)?.code;

  test.each([
    ['http://asgard.example:8000', 'asgard.example:8000'],
    ['https://asgard.example:8000', 'asgard.example:8000'],
    ['https://asgard.example', 'asgard.example'],
    ['https://asgard.example', 'asgard.example:443'],
    ['http://asgard.example', 'asgard.example:80'],
    ['http://[::1]:8000', '[::1]:8000'],
    ['http://asgard.example:8000', 'ASGARD.example:8000'],
    ['https://app.example', 'asgard.example:8000'],
  ])('of %s may call %s', (origin, host) => {
    expect(refusal({ origin }, host, 'POST')).toBeUndefined();
  });

  test.each([
    ['http://asgard.example', 'asgard.example:8000'],
    ['http://asgard.example:5000', 'asgard.example:8000'],
    ['http://asgard.example', 'asgard.example:443'],
    ['https://sub.asgard.example:8000', 'asgard.example:8000'],
    ['https://app.example.evil.example', 'asgard.example:8000'],
    ['http://app.example', 'asgard.example:8000'],
    ['https://app.example:8443', 'asgard.example:8000'],
    ['null', 'null'],
    ['', ''],
    ['chrome-extension://asgard.example', 'asgard.example'],
  ])('of %j may not call %s', (origin, host) => {
    expect(refusal({ origin }, host)).toBe('FORBIDDEN');
  });

  test('is judged by what the browser says of it when it names no origin', () => {
    expect(refusal({ 'sec-fetch-site': 'same-origin', 'sec-fetch-dest': 'image' })).toBeUndefined();
    for (const site of ['cross-site', 'same-site']) {
      const page = { 'sec-fetch-site': site, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
      expect(refusal(page)).toBeUndefined();
      expect(refusal(page, undefined, 'POST')).toBe('FORBIDDEN');
      for (const destination of ['iframe', 'embed', 'object', 'image', 'script', 'empty']) {
        expect(refusal({ ...page, 'sec-fetch-dest': destination })).toBe('FORBIDDEN');
      }
      expect(refusal({ ...page, 'sec-fetch-mode': 'no-cors' })).toBe('FORBIDDEN');
    }
  });
});

describe('guessing', () => {
  const guess = (guesses: Guesses, count: number) => {
    for (let index = 0; index < count; index += 1) guesses.note('10.0.0.1', `guess ${index}`);
  };

  test('is stopped for a minute after ten different keys, for that client', () => {
    vi.useFakeTimers();
    try {
      const guesses = new Guesses();
      guess(guesses, 9);
      expect(guesses.blockedSeconds('10.0.0.1')).toBe(0);
      guess(guesses, 10);
      expect(guesses.blockedSeconds('10.0.0.1')).toBe(60);
      expect(guesses.blockedSeconds('10.0.0.2')).toBe(0);
      vi.advanceTimersByTime(60_000);
      expect(guesses.blockedSeconds('10.0.0.1')).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  test('is not what a program does that was left with an old key', () => {
    const guesses = new Guesses();
    for (let index = 0; index < 1000; index += 1) guesses.note('10.0.0.1', 'old');
    expect(guesses.blockedSeconds('10.0.0.1')).toBe(0);
  });
});

test('a client holds a thousand connections open and no more, until it closes one', () => {
  const held = new HeldOpen();
  const releases = Array.from({ length: 1000 }, () => held.take('10.0.0.1'));
  expect(held.take('10.0.0.1')).toBeUndefined();
  expect(held.take('10.0.0.2')).toBeTypeOf('function');
  releases[0]?.();
  expect(held.take('10.0.0.1')).toBeTypeOf('function');
  expect(held.take('10.0.0.1')).toBeUndefined();
});

test.each([
  ['/graphql?query=%7B%7D#x', '/graphql?query=%7B%7D#x'],
  ['/a/../b', '/b'],
  ['//evil.example', '/home'],
  ['/\\evil.example', '/home'],
  ['/\n/evil.example', '/home'],
  ['/.//evil.example', '/home'],
  ['/..//evil.example/', '/home'],
  ['http://evil.example', '/home'],
  ['evil', '/home'],
  ['', '/home'],
])('%j leads to %s of this server', (given, path) => {
  expect(localPath(given, '/home')).toBe(path);
});

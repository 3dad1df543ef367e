import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { VersionLookup } from '../../src/inference/version-lookup.ts';
import type { ModelVersion } from '../../src/mlflow/wire.ts';
import { AsgardError } from '../../src/platform/errors.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

function versionOf(source: string): ModelVersion {
  const at = new Date(0);
  const names = { name: 'model', version: '1', stage: 'None', runId: null, source };
  const rest = { status: 'READY', statusMessage: null, description: null, tags: {}, aliases: [] } as const;
  return { ...names, ...rest, createdAt: at, updatedAt: at };
}

/** Stands for an MLflow whose answers the test gives: how slow the real one is cannot be chosen. */
function fakeModels() {
  const asked: PromiseWithResolvers<ModelVersion>[] = [];
  const getVersion = () => {
    const answer = Promise.withResolvers<ModelVersion>();
    asked.push(answer);
    return answer.promise;
  };
  const never = () => Promise.reject(new Error('is not asked'));
  const models = { getVersion, getVersionByAlias: never, versions: never, latestVersion: never };
  const lookup = new VersionLookup(models);
  const source = async () => (await lookup.find('model', '1')).version.source;
  return { asked, source };
}

test('while requests come none of them waits for MLflow, and its answer is no older than a second', async () => {
  const { asked, source } = fakeModels();
  const first = source();
  asked[0]?.resolve(versionOf('before'));
  expect(await first).toBe('before');
  vi.advanceTimersByTime(600);
  expect(await source()).toBe('before');
  expect(asked).toHaveLength(1);
  vi.advanceTimersByTime(200);
  expect(await Promise.all([source(), source()])).toEqual(['before', 'before']);
  expect(asked).toHaveLength(2);
  asked[1]?.resolve(versionOf('after'));
  await turn();
  expect(await source()).toBe('after');

  vi.advanceTimersByTime(1_000);
  const waits = source();
  expect(asked).toHaveLength(3);
  asked[2]?.resolve(versionOf('much later'));
  expect(await waits).toBe('much later');
});

test('what MLflow refuses meanwhile is told to whoever asks next', async () => {
  const { asked, source } = fakeModels();
  const first = source();
  asked[0]?.resolve(versionOf('before'));
  await first;
  vi.advanceTimersByTime(800);
  expect(await source()).toBe('before');
  asked[1]?.reject(new AsgardError('NOT_FOUND', 'it was deleted'));
  await turn();
  const next = source();
  asked[2]?.reject(new AsgardError('NOT_FOUND', 'it was deleted'));
  await expect(next).rejects.toThrow('it was deleted');
});

test('an answer that came too late does not take the place of a newer one', async () => {
  const { asked, source } = fakeModels();
  const first = source();
  asked[0]?.resolve(versionOf('first'));
  await first;
  vi.advanceTimersByTime(800);
  await source();
  vi.advanceTimersByTime(300);
  const third = source();
  asked[2]?.resolve(versionOf('third'));
  expect(await third).toBe('third');
  asked[1]?.resolve(versionOf('second'));
  await turn();
  expect(await source()).toBe('third');
});

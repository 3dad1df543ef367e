import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { RequestProgress } from '../../src/inference/request-progress.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

test('what is neither reading features nor predicting is waiting', async () => {
  const progress = new RequestProgress(3);
  vi.advanceTimersByTime(10);
  await progress.readFeatures(async () => void vi.advanceTimersByTime(20));
  progress.onTurn('python', null);
  vi.advanceTimersByTime(30);
  progress.onTurn('python', performance.now());
  vi.advanceTimersByTime(40);
  progress.answered();
  vi.advanceTimersByTime(5);
  const timings = progress.timings(progress.totalMs);
  expect(timings).toEqual({ parse: 3, queue: 45, features: 20, predict: 40 });
  expect(Object.keys(timings)).toEqual(['parse', 'queue', 'features', 'predict']);
});

test('a request that failed while its features were read has not predicted anything', async () => {
  const progress = new RequestProgress(0);
  const read = async () => {
    vi.advanceTimersByTime(20);
    throw new Error('too old');
  };
  await expect(progress.readFeatures(read)).rejects.toThrow('too old');
  expect(progress.timings(progress.totalMs)).toEqual({ parse: 0, queue: 0, features: 20 });
});

test('a request that is begun anew has waited until then, by what begins it', () => {
  const progress = new RequestProgress(0);
  progress.onTurn('onnx', performance.now());
  vi.advanceTimersByTime(10);
  progress.onTurn('python', null);
  vi.advanceTimersByTime(10);
  expect(progress.timings(progress.totalMs)).toEqual({ parse: 0, queue: 20 });
  progress.onTurn('python', performance.now());
  vi.advanceTimersByTime(1);
  expect(progress.timings(progress.totalMs)).toEqual({ parse: 0, queue: 20, predict: 1 });
  expect(progress.engine).toBe('python');
});

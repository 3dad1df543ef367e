import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ProcessAnswer, WorkerRequest } from '../../src/inference/protocol.ts';
import { ProcessMemory } from '../../src/inference/python/process-memory.ts';
import { PythonModel } from '../../src/inference/python/python-model.ts';

const FAKED = ['performance', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] as const;
beforeEach(() => void vi.useFakeTimers({ toFake: [...FAKED] }));
afterEach(() => void vi.useRealTimers());

const CALL_MS = 20;
const BUSY_MS = 1_000;
const GATHER_MS = 3;

/** Stands for a process whose calls take as long as the test says: how long a real one takes cannot be chosen. */
function fakeProcess() {
  const calls: unknown[][] = [];
  let asked: { batch: readonly WorkerRequest[]; resolve: (answers: readonly ProcessAnswer[]) => void } | undefined;
  const ended = Promise.withResolvers<void>();
  return {
    calls,
    /** The values of the requests that it is at. */
    get now() {
      return asked === undefined ? [] : calls.at(-1);
    },
    answer: async () => {
      vi.advanceTimersByTime(CALL_MS);
      const { batch = [], resolve } = asked ?? {};
      asked = undefined;
      resolve?.(batch.map(() => ({ predictions: [0], probabilities: null })));
      await turn();
    },
    ready: { ready: true, flavor: 'pickle', columns: null, is_row_wise: true, load_seconds: 0 } as const,
    rootPid: null,
    ended: ended.promise,
    ask: (batch: readonly WorkerRequest[]) => {
      calls.push(batch.map(({ inputs }) => inputs['x']?.[0]));
      return new Promise<readonly ProcessAnswer[]>((resolve) => {
        asked = { batch, resolve };
      });
    },
    kill: () => ended.resolve(),
  };
}

async function load(maxProcesses: number, hasRoomFor: (bytes: number) => boolean = () => true) {
  const processes: ReturnType<typeof fakeProcess>[] = [];
  const start = async () => {
    const process = fakeProcess();
    processes.push(process);
    return process;
  };
  const memory = new ProcessMemory();
  memory[Symbol.dispose]();
  const options = { start, memory, hasRoomFor, maxProcesses };
  const model = await PythonModel.load(options, new AbortController().signal);
  /** Requests that come in turns of their own. */
  const ask = async (...values: number[]) => {
    for (const value of values) {
      model.predict({ inputs: { x: [value] }, return_probabilities: false }).catch(() => {});
      await turn();
    }
  };
  return { model, processes, ask };
}

test('a request that finds a process idle goes at once, also right after a merged call', async () => {
  const { model, processes, ask } = await load(1);
  await using _model = model;
  const [process] = processes;
  await ask(0, 1, 2);
  await process?.answer();
  expect(process?.now).toEqual([1, 2]);
  await process?.answer();
  await ask(3);
  expect(process?.calls).toEqual([[0], [1, 2], [3]]);
});

test('those who come back together share their calls; when they do not any more nobody waits for them', async () => {
  const { model, processes, ask } = await load(1);
  await using _model = model;
  const [process] = processes;
  await ask(0, 1, 2);
  await process?.answer();
  await process?.answer();
  // Both come back at once: the first of them goes alone, and it is known from now on.
  await ask(3, 4);
  expect(process?.now).toEqual([3]);
  await process?.answer();
  await ask(5, 6);
  await process?.answer();
  await process?.answer();
  await ask(7);
  expect(process?.now).toEqual([]);
  await ask(8);
  expect(process?.now).toEqual([7, 8]);
  await process?.answer();
  // Of these one comes back.
  await ask(9);
  expect(process?.now).toEqual([]);
  vi.advanceTimersByTime(GATHER_MS);
  await turn();
  expect(process?.now).toEqual([9]);
  await process?.answer();
  await ask(10, 11, 12);
  await process?.answer();
  expect(process?.now).toEqual([11, 12]);
  await process?.answer();
  await ask(13);
  expect(process?.now).toEqual([13]);
});

test('a process that waits for those who come back keeps no other one from a request', async () => {
  const { model, processes, ask } = await load(2);
  await using _model = model;
  await ask(0, 1);
  vi.advanceTimersByTime(BUSY_MS);
  await turn();
  await turn();
  const [one, other] = processes;
  expect([one?.now, other?.now]).toEqual([[0], [1]]);
  // The call that took a second has made the model take one at a time for now, and this one two.
  await one?.answer();
  await other?.answer();
  await ask(2, 3, 4, 5);
  await one?.answer();
  expect(one?.now).toEqual([4, 5]);
  await other?.answer();
  await one?.answer();
  // It is seen that two come back.
  await ask(6, 7);
  expect([one?.now, other?.now]).toEqual([[6], [7]]);
  await one?.answer();
  await ask(8, 9, 10);
  await one?.answer();
  expect(one?.now).toEqual([9, 10]);
  await other?.answer();
  await one?.answer();
  await ask(11);
  expect([one?.now, other?.now]).toEqual([[], [11]]);
  await ask(12);
  expect(one?.now).toEqual([]);
  vi.advanceTimersByTime(GATHER_MS);
  await turn();
  expect(one?.now).toEqual([12]);
});

test('no other process is started when there is no room for it in the memory', async () => {
  let isFull = true;
  const { model, processes, ask } = await load(2, () => !isFull);
  await using _model = model;
  await ask(0, 1);
  for (let times = 0; times < 5; times += 1) {
    vi.advanceTimersByTime(BUSY_MS);
    await turn();
    await turn();
  }
  expect(processes.map(({ now }) => now)).toEqual([[0]]);
  isFull = false;
  vi.advanceTimersByTime(BUSY_MS);
  await turn();
  await turn();
  expect(processes.map(({ now }) => now)).toEqual([[0], [1]]);
});

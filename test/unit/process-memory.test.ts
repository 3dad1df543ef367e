import { expect, test } from 'vitest';
import { ProcessMemory } from '../../src/inference/python/process-memory.ts';
import { ChildProcess } from '../../src/platform/process.ts';
import { poll } from '../support/poll.ts';

const MIB = 2 ** 20;
/** Takes 64 MiB at its start, and as much again with each SIGUSR2. */
const HOG = `
const held = [];
const take = () => { held.push(Buffer.alloc(64 * 2 ** 20, 1)); console.log('took'); };
process.on('SIGUSR2', take);
take();
setInterval(() => {}, 1000);
`;

test('a process is measured at once, and anew when it has grown', async () => {
  const { promise: isUp, resolve } = Promise.withResolvers<void>();
  await using hog = await ChildProcess.start({
    argv: [process.execPath, '-e', HOG],
    env: {},
    cwd: '/',
    onLine: () => resolve(),
  });
  await isUp;
  using memory = new ProcessMemory(20);
  expect(memory.bytesOf(hog.pid)).toBe(0);
  await memory.add(hog.pid);
  const first = memory.bytesOf(hog.pid);
  expect(first).toBeGreaterThan(64 * MIB);
  expect(first).toBeLessThan(400 * MIB);
  process.kill(hog.pid, 'SIGUSR2');
  await poll(
    () => memory.bytesOf(hog.pid),
    (bytes) => bytes > first + 48 * MIB,
  );
  memory.remove(hog.pid);
  expect(memory.bytesOf(hog.pid)).toBe(0);
});

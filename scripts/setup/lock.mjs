import { randomUUID } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SetupError } from './errors.mjs';

const POLL_MS = 200;
const LONGEST_WAIT_MS = 15 * 60_000;
const held = new Set();

/**
 * Does `work` while no other set-up holds the same lock: two npm scripts started at once do not fight. `onWait` is called
 * once when another holds it. `work` gets a function that adds a process to the holders: the lock is taken over only when all
 * of them have ended, so that a tool which outlives its killed set-up is not joined by another.
 */
export async function withLock(path, onWait, work) {
  mkdirSync(dirname(path), { recursive: true });
  const deadline = Date.now() + LONGEST_WAIT_MS;
  let hasWaited = false;
  while (!take(path)) {
    if (Date.now() > deadline)
      throw new SetupError(1, `another set-up has held ${path} for 15 minutes: end it and try again`);
    if (!hasWaited) onWait();
    hasWaited = true;
    await delay(POLL_MS);
  }
  held.add(path);
  const holders = [holder(process.pid)];
  const addHolder = (pid) => {
    holders.push(...[holder(pid)].filter(Boolean));
    writeFileSync(`${path}.new`, JSON.stringify(holders));
    renameSync(`${path}.new`, path);
  };
  try {
    return await work(addHolder);
  } finally {
    held.delete(path);
    rmSync(path, { force: true });
  }
}

/** For an exit that does not unwind. */
export function releaseLocks() {
  for (const path of held) rmSync(path, { force: true });
}

function take(path) {
  const draft = `${path}.${randomUUID()}`;
  writeFileSync(draft, JSON.stringify([holder(process.pid)]));
  try {
    linkSync(draft, path); // whole or not at all, and only for one
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  const text = read(path);
  if (text !== undefined && !isAlive(text)) moveAway(path, text);
  return false;
}

/** What was moved is looked at again: another set-up may have taken the lock meanwhile, and then gets it back. */
function moveAway(path, staleText) {
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
    if (read(aside) !== staleText) linkSync(aside, path);
  } catch {
    // Another set-up was faster; the next look shows.
  } finally {
    rmSync(aside, { force: true });
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function isAlive(text) {
  try {
    return JSON.parse(text).some(({ pid, started }) => holder(pid)?.started === started);
  } catch {
    return false;
  }
}

/** A process and what tells it from a later one with the same number; `null` when it has ended. */
function holder(pid) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== 'EPERM') return null;
  }
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
  // A process that has ended and was not yet collected.
  if (fields[0] === 'Z') return null;
  return { pid, started: fields[19] ?? '' };
}

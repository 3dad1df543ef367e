import { spawn } from 'node:child_process';
import { releaseLocks } from './lock.mjs';

const TAIL_CHARACTERS = 16_000;
const TOOL_GRACE_MS = 5_000;
const running = new Set();
let isEnding = false;

/**
 * Runs a program to its end without showing its output. `onStart` gets its process id. Never resolves once this process
 * was told to end: a tool that was interrupted must not be taken for one that failed, and another way tried.
 * @returns {Promise<{ ok: boolean, stdout: string, tail: string }>} `tail`: the end of what it wrote, without addresses
 */
export function runTool(argv, { cwd, env = process.env, onStart = () => undefined } = {}) {
  return new Promise((settle) => {
    const resolve = (outcome) => {
      if (!isEnding) settle(outcome);
    };
    if (isEnding) return;
    // In a group of its own, which is ended as a whole: installers start others.
    const child = spawn(argv[0], argv.slice(1), { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    running.add(child);
    if (child.pid !== undefined) onStart(child.pid);
    let stdout = '';
    let tail = '';
    const keep = (chunk) => {
      tail = (tail + chunk).slice(-TAIL_CHARACTERS);
    };
    child.stdout.on('data', (chunk) => {
      stdout = (stdout + chunk).slice(-TAIL_CHARACTERS);
      keep(chunk);
    });
    child.stderr.on('data', keep);
    child.once('error', (error) => {
      running.delete(child);
      resolve({ ok: false, stdout: '', tail: error.message });
    });
    child.once('close', (code) => {
      running.delete(child);
      resolve({ ok: code === 0, stdout, tail: withoutAddresses(tail, env).trim() });
    });
  });
}

/** Ctrl-C and the like end the tools first and then this process, and leave no lock. @returns stops watching */
export function endToolsOnSignals() {
  const codes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };
  const end = async (signal) => {
    if (isEnding) return;
    isEnding = true;
    const ends = [...running].map((child) => new Promise((resolve) => child.once('exit', resolve)));
    const tools = [...running];
    for (const tool of tools) signalGroup(tool, 'SIGTERM');
    const timer = setTimeout(() => {
      for (const tool of tools) signalGroup(tool, 'SIGKILL');
    }, TOOL_GRACE_MS);
    await Promise.all(ends);
    clearTimeout(timer);
    // What a tool had started may take longer than the tool itself.
    for (const tool of tools) signalGroup(tool, 'SIGKILL');
    releaseLocks();
    process.exit(codes[signal]);
  };
  for (const signal of Object.keys(codes)) process.on(signal, end);
  return () => {
    for (const signal of Object.keys(codes)) process.off(signal, end);
  };
}

function signalGroup({ pid }, signal) {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // All of it has ended.
  }
}

/** Messages of package managers name the registry; where a machine gets its packages from is its own affair. */
function withoutAddresses(text, env) {
  const addresses = /[a-z][a-z+]*:\/\/[^\s'"`<>)\]]+/gi;
  const settings = Object.entries(env).flatMap(([name, value]) => (/^(npm_config|pip|uv)_/i.test(name) ? [value] : []));
  const hosts = [...`${text}\n${settings.join('\n')}`.matchAll(addresses)].flatMap(([address]) => {
    const host = URL.canParse(address) ? new URL(address).hostname : '';
    return host === '' ? [] : [host];
  });
  const bare = text.replace(addresses, '<address>').replace(/\bhost='[^']*'/g, "host='<host>'");
  const lookups = bare.replace(/\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT) \S+/g, '$1 <host>');
  return hosts.reduce((rest, host) => rest.replaceAll(host, '<host>'), lookups);
}

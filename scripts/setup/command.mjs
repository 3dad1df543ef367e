import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';

/** Signals of one kind that come within this time count as one. */
const SAME_SIGNAL_MS = 500;

/**
 * Runs the command in the project's environment and ends this process as the command ends.
 *
 * A Ctrl-C comes here twice when npm is above: from the terminal, and from npm, which passes signals on. The command is
 * therefore in a session of its own, out of the terminal's reach, and is given each signal once.
 */
export function runCommand(root, command) {
  const env = {
    // Node keeps what it compiled of our TypeScript and of the libraries: half of the CPU time of a start.
    NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'node'),
    ...process.env,
    PATH: [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter),
  };
  const child = spawn(command[0], command.slice(1), { stdio: 'inherit', env, detached: true });
  const lastSent = new Map();
  const pass = (signal) => {
    const now = Date.now();
    if (now - (lastSent.get(signal) ?? 0) < SAME_SIGNAL_MS) return;
    lastSent.set(signal, now);
    child.kill(signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, pass);
  // A closed terminal, or Ctrl-\\: few programs end in order on these.
  for (const signal of ['SIGHUP', 'SIGQUIT']) process.on(signal, () => pass('SIGTERM'));
  child.once('error', (error) => {
    process.stderr.write(`set-up: ${command[0]} cannot be run: ${error.message}\n`);
    process.exit(error.code === 'ENOENT' ? 127 : 126);
  });
  child.once('exit', (code, signal) => {
    process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
  });
}

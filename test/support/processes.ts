import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';

/** A process that belongs to a test's data folder. */
export interface FoundProcess {
  readonly pid: number;
  /** Its arguments, with spaces between them. */
  readonly command: string;
}

/** The processes (zombies and this one apart) with `folder` in their arguments, environment or working directory. */
export function processesOf(folder: string): FoundProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      // A zombie's arguments are empty, as are those of what has just ended.
      const command = text(`/proc/${name}/cmdline`).replaceAll('\0', ' ').trim();
      const places = [command, text(`/proc/${name}/environ`), workingDirectory(name)];
      return command !== '' && places.some((place) => place.includes(folder)) ? [{ pid: Number(name), command }] : [];
    });
}

/** Whether nothing listens on a port of 127.0.0.1. */
export function isPortFree(port: string | number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(Number(port), '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function workingDirectory(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}

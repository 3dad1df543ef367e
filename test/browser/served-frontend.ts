import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inheritedEnvironment, PROJECT_ROOT } from '../../src/config.ts';
import { ChildProcess } from '../../src/platform/process.ts';
import { quietPort } from '../support/quiet-port.ts';

const VITE = join(PROJECT_ROOT, 'node_modules', 'vite', 'bin', 'vite.js');
const START_LIMIT_MS = 120_000;

/** One of `examples/`. */
export type FrontendName = 'apollo' | 'urql';

/** A frontend as a page server of its own gives it, which hands the API's requests on. Disposing ends the server. */
export interface ServedFrontend extends AsyncDisposable {
  readonly url: string;
}

/** As developers run it: `vite examples/<name>`. */
export function serveInDevelopment(name: FrontendName, platformUrl: string): Promise<ServedFrontend> {
  return serve([join('examples', name)], platformUrl);
}

/** As it would be built, in a folder of its own: `vite build`, then `vite preview`. */
export async function serveBuilt(name: FrontendName, platformUrl: string): Promise<ServedFrontend> {
  const outDir = await mkdtemp(join(tmpdir(), 'asgard-frontend-'));
  const remove = () => rm(outDir, { recursive: true, force: true });
  try {
    await build(name, outDir);
    const served = await serve(['preview', join('examples', name), '--outDir', outDir], platformUrl);
    return {
      url: served.url,
      [Symbol.asyncDispose]: async () => {
        await served[Symbol.asyncDispose]();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function build(name: FrontendName, outDir: string): Promise<void> {
  const args = ['build', join('examples', name), '--outDir', outDir, '--emptyOutDir'];
  await using child = await startVite(args);
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`vite build of ${name} ended with exit code ${code}:\n${child.tail}`);
}

async function serve(args: readonly string[], platformUrl: string): Promise<ServedFrontend> {
  const listening = Promise.withResolvers<string>();
  const port = String(await quietPort());
  const child = await startVite(
    [...args, '--host', '127.0.0.1', '--port', port, '--strictPort'],
    platformUrl,
    (line) => {
      const url = /Local:\s+(http:\S+?)\/?$/.exec(line)?.[1];
      if (url !== undefined) listening.resolve(url);
    },
  );
  const fail = () => listening.reject(new Error(`vite ${args.join(' ')} does not listen:\n${child.tail}`));
  void child.exited.then(fail);
  const limit = setTimeout(fail, START_LIMIT_MS);
  try {
    return { url: await listening.promise, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  } finally {
    clearTimeout(limit);
  }
}

function startVite(
  args: readonly string[],
  platformUrl?: string,
  onLine?: (line: string) => void,
): Promise<ChildProcess> {
  return ChildProcess.start({
    argv: [process.execPath, VITE, ...args],
    cwd: PROJECT_ROOT,
    env: {
      PATH: inheritedEnvironment()['PATH'],
      HOME: inheritedEnvironment()['HOME'],
      NO_COLOR: '1',
      ASGARD_URL: platformUrl,
    },
    onLine: (_stream, line) => onLine?.(line),
  });
}

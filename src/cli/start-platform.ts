import { join } from 'node:path';
import { PROJECT_ROOT } from '../config.ts';
import { ChildProcess } from '../platform/process.ts';

/** A platform that runs in a process of its own. Disposing asks it to shut down and waits. */
export interface StartedPlatform extends AsyncDisposable {
  /** `http://127.0.0.1:<PORT>` */
  readonly url: string;
  /** `http://127.0.0.1:<MLFLOW_PORT>` */
  readonly mlflowUrl: string;
  readonly pid: number;
  /** Settles when the process has ended. */
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
}

/**
 * Starts `src/main.ts` and waits until it says where it listens.
 * @param onLog called for each line of its log
 * @param signal ends it while it starts, in order
 * @throws Error with the last lines of its output when it ends before that
 */
export async function startPlatform(
  variables: NodeJS.ProcessEnv,
  onLog: (line: string) => void = () => {},
  signal?: AbortSignal,
): Promise<StartedPlatform> {
  const addresses = Promise.withResolvers<{ url: string; mlflowUrl: string }>();
  let url: string | undefined;
  const child = await ChildProcess.start({
    argv: [process.execPath, join(PROJECT_ROOT, 'src', 'main.ts')],
    env: variables,
    onLine: (stream, line) => {
      if (stream === 'stderr') return onLog(line);
      url ??= /Graphi?QL\s+(http:\S+)\/graphql/.exec(line)?.[1];
      const mlflowUrl = /MLflow UI\s+(http:\S+)/.exec(line)?.[1];
      if (url !== undefined && mlflowUrl !== undefined) addresses.resolve({ url, mlflowUrl });
    },
  });
  addresses.promise.catch(() => {}); // it is awaited below, which of a start that was called off is after its end
  void child.exited.then(() => addresses.reject(new Error(`the platform ended while starting:\n${child.tail}`)));
  const end = async () => void (await child.terminate({ graceMs: 15_000 }));
  signal?.addEventListener('abort', end);
  if (signal?.aborted === true) await end();
  try {
    const { pid, exited } = child;
    return { ...(await addresses.promise), pid, exited, [Symbol.asyncDispose]: end };
  } finally {
    signal?.removeEventListener('abort', end);
  }
}

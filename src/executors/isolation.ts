import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { PROJECT_ROOT } from '../config.ts';
import { AsgardError, messageOf } from '../platform/errors.ts';

const PROGRAM = join(PROJECT_ROOT, 'python', 'asgard', 'isolation.py');
const LIMIT_MS = 30_000;

/** `off`: not at all; `required`: in namespaces or the platform does not start; `auto`: as far as the system allows. */
export type IsolationSetting = 'auto' | 'off' | 'required';

const found = z.object({ level: z.enum(['namespaces', 'account', 'none']), reason: z.string().nullable() });

/**
 * How far scripts are kept from the platform. `namespaces`: each sees its own processes and files alone. `account`: each
 * runs under a user number of its own. `none`: each runs as the platform does. `reason` says why it is not more.
 */
export type Isolation = z.infer<typeof found>;

/**
 * Tries what this system allows.
 * @param options.python an interpreter of the platform's own
 * @param options.dataFolder an existing folder
 * @throws AsgardError UNAVAILABLE when namespaces are required and cannot be had
 */
export async function findIsolation(options: {
  setting: IsolationSetting;
  python: string;
  dataFolder: string;
}): Promise<Isolation> {
  const { setting, python, dataFolder } = options;
  if (setting === 'off') return { level: 'none', reason: 'ASGARD_ISOLATION is off' };
  const isolation = await tryOut(python, dataFolder);
  if (setting === 'required' && isolation.level !== 'namespaces') {
    const hint = 'allow user namespaces to this account, or set ASGARD_ISOLATION=auto';
    throw new AsgardError('UNAVAILABLE', `scripts cannot be set apart (${isolation.reason}): ${hint}`);
  }
  return isolation;
}

/** One line for whoever runs the platform; null when nothing is amiss. */
export function isolationTrouble({ level, reason }: Isolation): string | null {
  if (level === 'namespaces') return null;
  if (level === 'account')
    return `scripts run under an account of their own, but not in namespaces, and are started cold (${reason})`;
  return `scripts are not set apart: each can do what the platform's own account can (${reason})`;
}

async function tryOut(python: string, dataFolder: string): Promise<Isolation> {
  try {
    const options = { env: {}, timeout: LIMIT_MS };
    const { stdout } = await promisify(execFile)(python, ['-I', '-S', PROGRAM, dataFolder], options);
    return found.parse(JSON.parse(stdout));
  } catch (error) {
    return { level: 'none', reason: messageOf(error) };
  }
}

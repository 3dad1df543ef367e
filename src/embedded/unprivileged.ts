import { chmod, chown, lstat, readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { AsgardError } from '../platform/errors.ts';
import { ChildProcess } from '../platform/process.ts';

const PROBE_TIMEOUT_MS = 10_000;
/** Used in this order; any other account that is not root serves too. */
const PREFERRED_ACCOUNTS = ['postgres', 'nobody', 'daemon'];

/** What PostgreSQL's programs and those that start them get: nothing of the caller's own variables. */
export const SYSTEM_ENVIRONMENT: NodeJS.ProcessEnv = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
};

interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** How a program that refuses to run as root is started. */
export interface Unprivileged {
  /** Goes before the program in its argument list. It executes the program in its own place, so the process id stays. */
  readonly prefix: readonly string[];
  readonly uid?: number;
  readonly gid?: number;
  /** Gives a folder and what is in it to whom the program runs as. Does nothing when the folder is theirs already. */
  own(folder: string): Promise<void>;
}

/**
 * Finds how `program` can be run by whoever runs Asgard. An ordinary user runs it directly. For root, in this order:
 * 1. a user namespace in which root has another number (it still enters folders that only root can enter);
 * 2. another account that keeps root's right to pass through such folders (containers forbid the first, not this);
 * 3. another account without it.
 * @param program an executable that answers `--version`
 * @param folder where the program will write; for 3. both must be reachable by the account
 * @throws AsgardError `UNAVAILABLE` that says which folder stands in the way and what to do
 */
export async function unprivileged(program: string, folder: string): Promise<Unprivileged> {
  if (process.getuid?.() !== 0) return { prefix: [], own: async () => undefined };
  const account = chooseAccount(await readFile('/etc/passwd', 'utf8'));
  if (account === undefined) throw unavailable('/etc/passwd names no account other than root');
  const { uid, gid } = account;

  const namespace = ['unshare', '--user', `--map-user=${uid}`, `--map-group=${gid}`, '--'];
  if (await answers([...namespace, program])) return { prefix: namespace, own: (path) => ownTree(path, 0, 0) };

  const own = (path: string) => ownTree(path, uid, gid);
  const setpriv = [
    'setpriv',
    `--reuid=${uid}`,
    `--regid=${gid}`,
    '--clear-groups',
    '--inh-caps=+dac_override',
    '--ambient-caps=+dac_override',
    // Without it access(2), by which initdb looks for its companions, goes by the account alone.
    '--securebits=+no_setuid_fixup',
    '--',
  ];
  if (await answers([...setpriv, program])) return { prefix: setpriv, own };

  await allowPassing(dirname(resolve(folder)));
  for (const path of [program, folder]) {
    const blocked = await firstClosedFolder(dirname(resolve(path)), account);
    if (blocked !== undefined) throw unavailable(`the account ${account.name} cannot enter ${blocked}`);
  }
  return { prefix: [], uid, gid, own };
}

function unavailable(reason: string): AsgardError {
  return new AsgardError(
    'UNAVAILABLE',
    `PostgreSQL does not run as root, and ${reason}: run Asgard as an ordinary user, or set DATABASE_URL`,
  );
}

/** Exported for its test. */
export function chooseAccount(passwd: string): Account | undefined {
  const accounts = passwd.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':');
    const account = { name: name ?? '', uid: Number(uid), gid: Number(gid) };
    return account.uid > 0 && account.gid > 0 ? [account] : [];
  });
  const preferred = PREFERRED_ACCOUNTS.flatMap((name) => accounts.filter((account) => account.name === name));
  return preferred[0] ?? accounts[0];
}

async function answers(argv: readonly string[]): Promise<boolean> {
  const [first = '', ...rest] = argv;
  const start = ChildProcess.start({ argv: [first, ...rest, '--version'], env: SYSTEM_ENVIRONMENT });
  const child = await start.catch(() => undefined); // util-linux is missing
  if (child === undefined) return false;
  const timer = setTimeout(() => child.kill('SIGKILL'), PROBE_TIMEOUT_MS);
  const { code } = await child.exited;
  clearTimeout(timer);
  return code === 0;
}

async function firstClosedFolder(folder: string, account: Account): Promise<string | undefined> {
  const parent = dirname(folder);
  const above = parent === folder ? undefined : await firstClosedFolder(parent, account);
  if (above !== undefined) return above;
  const { mode, uid, gid } = await stat(folder);
  const mask = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
  return (mode & mask) === 0 ? folder : undefined;
}

/** The data folder is closed to others when it is made; here they may pass through it, and still not list it. */
async function allowPassing(folder: string): Promise<void> {
  const { mode } = await stat(folder);
  if ((mode & 0o011) !== 0o011) await chmod(folder, (mode & 0o777) | 0o011);
}

async function ownTree(path: string, uid: number, gid: number): Promise<void> {
  const found = await lstat(path);
  if (found.uid === uid) return;
  if (found.isDirectory()) {
    for (const name of await readdir(path)) await ownTree(join(path, name), uid, gid);
  }
  // The folder itself comes last: its owner says that all within is done.
  if (!found.isSymbolicLink()) await chown(path, uid, gid);
}

import { join } from 'node:path';
import { inheritedEnvironment } from '../config.ts';

/**
 * Variables of the machine that a Python process gets when they are set: language, certificates, and what decides which
 * kernels numerical libraries run. Everything else stays out: no secret of the platform's own environment reaches a script.
 */
const PASSED_ON =
  /^(LANG|LC_[A-Z]+|TZ|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|(OMP|OPENBLAS|MKL|NUMEXPR|NVPL)_[A-Z_0-9]+)$/;

const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The allow-listed environment of a Python process in an environment folder: a script, or a model worker.
 * @param home the folder that is its HOME and holds its temporary files
 */
export function pythonVariables(environmentFolder: string, home: string): Record<string, string> {
  return {
    LANG: 'C.UTF-8',
    ...passedOn(PASSED_ON),
    PATH: `${join(environmentFolder, 'bin')}:${SYSTEM_PATH}`,
    VIRTUAL_ENV: environmentFolder,
    HOME: home,
    TMPDIR: home,
    // The account of a script need not have a name.
    USER: 'asgard',
    LOGNAME: 'asgard',
    PYTHONUNBUFFERED: '1',
    MPLBACKEND: 'Agg',
    GIT_PYTHON_REFRESH: 'quiet',
    MLFLOW_DISABLE_TELEMETRY: 'true',
    DO_NOT_TRACK: 'true',
  };
}

/** What `uv` needs of the caller's environment: where packages come from, how to get there, and where its cache is. */
const FOR_UV =
  /^(PATH|HOME|TMPDIR|LANG|LC_[A-Z]+|XDG_[A-Z_]+|UV_(?!PYTHON$)[A-Z_]+|SSL_CERT_FILE|SSL_CERT_DIR|(ALL|HTTP|HTTPS|NO)_PROXY)$/i;

/** pip's names of the settings that uv calls otherwise: a machine that is set up for pip serves uv too. */
const PIP_NAMES = { PIP_INDEX_URL: 'UV_DEFAULT_INDEX', PIP_EXTRA_INDEX_URL: 'UV_INDEX', PIP_CERT: 'SSL_CERT_FILE' };

/** The environment of `uv`. No code of a package runs in it: only wheels are installed. */
export function uvVariables(): Record<string, string> {
  const given = inheritedEnvironment();
  const fromPip = Object.entries(PIP_NAMES).flatMap(([pip, uv]) => {
    const value = given[pip];
    return value === undefined ? [] : [[uv, value] as const];
  });
  return {
    ...Object.fromEntries(fromPip),
    ...passedOn(FOR_UV),
    UV_NO_PROGRESS: '1',
    UV_PYTHON_DOWNLOADS: 'never',
  };
}

function passedOn(pattern: RegExp): Record<string, string> {
  const entries = Object.entries(inheritedEnvironment());
  return Object.fromEntries(
    entries.filter((entry): entry is [string, string] => entry[1] !== undefined && pattern.test(entry[0])),
  );
}

import { describe, expect, test } from 'vitest';
import { jobSubmission } from '../../src/jobs/submission.ts';

const whole = { scriptName: 'train.py', script: 'print(1)\n', experimentName: 'churn', modelName: 'churn_predictor' };

/** The paths of what is wrong, each once; empty when it is taken. */
function problemsOf(changes: object): string[] {
  const parsed = jobSubmission.safeParse({ ...whole, ...changes });
  return parsed.success ? [] : [...new Set(parsed.error.issues.map(({ path }) => path.join('.')))];
}

test('a submission without its optional fields gets their defaults', () => {
  expect(jobSubmission.parse(whole)).toEqual({
    ...whole,
    requirements: [],
    environmentVars: {},
    timeoutSeconds: 300,
    graceSeconds: 10,
    priority: 0,
    retries: 0,
    retryOn: 'INFRASTRUCTURE',
    tags: {},
  });
});

test.each(['scriptName', 'script', 'experimentName', 'modelName'])('%s must be there', (field) => {
  expect(problemsOf({ [field]: undefined })).toEqual([field]);
});

test('every problem is told at once', () => {
  const wrong = {
    scriptName: 'a/b.py',
    script: '',
    experimentName: '',
    modelName: 'a:b',
    requirements: ['ok', '-e .', 'x @ file:///etc/passwd'],
    environmentVars: { PATH: '/x', 'A-B': '1', FINE: 'a\0b' },
    timeoutSeconds: 10,
    graceSeconds: 61,
    priority: 101,
    retries: 11,
    retryOn: 'NEVER',
    idempotencyKey: 'two words',
    tags: { 'not/fine?': 'x' },
  };
  expect(problemsOf(wrong).toSorted()).toEqual(
    [
      'environmentVars.A-B',
      'environmentVars.FINE',
      'environmentVars.PATH',
      'experimentName',
      'graceSeconds',
      'idempotencyKey',
      'modelName',
      'priority',
      'requirements.1',
      'requirements.2',
      'retries',
      'retryOn',
      'script',
      'scriptName',
      'tags.not/fine?',
      'timeoutSeconds',
    ].toSorted(),
  );
});

describe('a script name', () => {
  test.each(['train.py', 'Train Model 2.py', '_.py', 'ünïcode-名前.py', '9'])('%j is taken', (scriptName) => {
    expect(problemsOf({ scriptName })).toEqual([]);
  });

  test.each([
    '',
    '.',
    '..',
    '.hidden',
    '-c',
    '../train.py',
    'a/b.py',
    '/etc/passwd',
    'a\\b.py',
    'a\n.py',
    'a\0.py',
    'a\ud800.py',
    ' train.py',
    'train.py ',
    'a;rm.py',
    '$(id).py',
  ])('%j is refused', (scriptName) => {
    expect(problemsOf({ scriptName })).toEqual(['scriptName']);
  });

  test('may have as many bytes as the name of a file', () => {
    expect(problemsOf({ scriptName: 'a'.repeat(255) })).toEqual([]);
    expect(problemsOf({ scriptName: 'a'.repeat(256) })).toEqual(['scriptName']);
    expect(problemsOf({ scriptName: `${'ü'.repeat(126)}.py` })).toEqual([]);
    expect(problemsOf({ scriptName: `${'ü'.repeat(127)}.py` })).toEqual(['scriptName']);
  });
});

describe('a script', () => {
  const limit = 1024 * 1024;

  test.each([
    ['as large as may be', 'x'.repeat(limit)],
    ['as large as may be in UTF-8', 'ä'.repeat(limit / 2)],
    ['of odd characters', '# \u2028 \ufeff \x7f ✅ 🐍\r\n'],
  ])('%s is taken as it is', (_what, script) => {
    expect(jobSubmission.parse({ ...whole, script }).script).toBe(script);
  });

  test.each([
    ['that is empty', ''],
    ['of white space', ' \n\t\r\n'],
    ['with a NUL', 'print("\0")'],
    ['with half a character', 'print("\udc00")'],
    ['that is too large', 'x'.repeat(limit + 1)],
    ['that is too large in UTF-8', `${'ä'.repeat(limit / 2)}x`],
  ])('%s is refused', (_what, script) => {
    expect(problemsOf({ script })).toEqual(['script']);
  });
});

describe('a requirement', () => {
  test.each([
    'pandas',
    'scikit-learn',
    'ruamel.yaml',
    'zope.interface',
    'A',
    'pandas==2.2.3',
    'pandas>=2,<3',
    'pandas >= 2, < 3',
    'pandas (>=2,<3)',
    'pandas~=2.2',
    'pandas!=2.2.1',
    'pandas===2.2.1+local.1',
    'torch==2.4.0+cpu',
    'x==1!2.0.post1',
    'x==1.0-1',
    'x==2.*',
    'pandas[parquet]',
    'pandas[parquet, excel]>=2',
    'uvicorn[standard]==0.30.1 ; python_version >= "3.11"',
    "tomli; python_version < '3.11'",
    'x ; sys_platform == "linux" and (python_version > "3.8" or extra == "y")',
    '  pandas  ',
  ])('%j is taken', (requirement) => {
    expect(problemsOf({ requirements: [requirement] })).toEqual([]);
  });

  test.each([
    '',
    ' ',
    '-r x',
    '-r/etc/passwd',
    '--requirement=x',
    '-e .',
    '--index-url http://example.com',
    '--index-url=http://example.com',
    '-i http://example.com',
    '--no-binary :all:',
    'pkg @ http://example.com/pkg.whl',
    'pkg@http://example.com/pkg.whl',
    'pkg @ file:///etc/passwd',
    'pkg @ git+https://example.com/x.git',
    'git+https://example.com/x.git',
    'http://example.com/x.whl',
    'file:///etc/passwd',
    './local',
    '../local',
    '/etc/passwd',
    'C:\\local',
    'local.whl/',
    'a\n--index-url x',
    'a\r--index-url x',
    'a\r\n-r x',
    'a==1\n-r x',
    'a ; python_version > "3"\n-r x',
    'a \\\n-r x',
    'a>=1 -r x',
    'a<1 --index-url x',
    'a==1 --hash=sha256:0000',
    'a==1 --config-settings=x',
    'a --pre',
    'a # comment',
    'a==1 # comment',
    'pandas=2',
    'a b',
    '[extra]',
    'a\0',
    'a\ud800',
    'ä',
  ])('%j is refused', (requirement) => {
    expect(problemsOf({ requirements: ['pandas', requirement] })).toEqual(['requirements.1']);
  });

  test.each([
    ['', 'is empty'],
    ['-r /etc/passwd', 'option'],
    ['a==1 --hash=sha256:0000', 'option'],
    ['a\n--index-url x', 'line break'],
    ['pkg @ https://example.com/pkg.whl', 'URL'],
    ['git+https://example.com/x.git', 'URL'],
    ['./local', 'path'],
    ['C:\\local', 'path'],
    ['dist/model-1.0.whl', 'path'],
    ['model-1.0-py3-none-any.whl', 'path'],
    ['model-1.0.tar.gz', 'path'],
    ['a # comment', 'comment'],
    ['pandas=2', '"=="'],
    ['two words', 'PEP 508'],
  ])('%j is refused with the reason: %s', (requirement, reason) => {
    const { error } = jobSubmission.safeParse({ ...whole, requirements: [requirement] });
    expect(error?.issues.map(({ message }) => message)).toEqual([expect.stringContaining(reason)]);
  });

  test.each([
    ['spaces', `a${' '.repeat(490)}@`],
    ['more spaces than a requirement may have', `a${' '.repeat(1_500)}@`],
    ['tabs and spaces', `a${' \t'.repeat(240)}\\`],
    ['names', `${'a-'.repeat(240)}@`],
    ['versions', `a${'>=1,'.repeat(110)}@`],
    ['brackets', `a${'['.repeat(490)}`],
    ['markers', `a;${' ;'.repeat(240)}@`],
  ])('is judged without much ado, also one of very many %s', (_what, requirement) => {
    // What it costs, rather than how long it takes: others may be at the CPU meanwhile.
    const before = process.cpuUsage();
    expect(problemsOf({ requirements: [requirement] })).toEqual(['requirements.0']);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(1000);
  });

  test('may have 500 characters', () => {
    expect(problemsOf({ requirements: ['x'.repeat(500)] })).toEqual([]);
    expect(problemsOf({ requirements: ['x'.repeat(501)] })).toEqual(['requirements.0']);
  });

  test('may have 199 others beside it, not 200', () => {
    const list = (length: number) => Array.from({ length }, (_, index) => `package-${index}`);
    expect(problemsOf({ requirements: list(200) })).toEqual([]);
    expect(problemsOf({ requirements: list(201) })).toEqual(['requirements']);
  });
});

describe('a variable', () => {
  const named = (name: string) => problemsOf({ environmentVars: Object.fromEntries([[name, 'x']]) });

  test.each([
    'A',
    '_a9',
    'DATA_PATH',
    'USE_FEAST',
    'AWS_SECRET_ACCESS_KEY',
    'PATHS',
    'MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING',
    'PYTHONHASHSEED',
    'OMP_NUM_THREADS',
    'constructor',
  ])('%s may be set', (name) => {
    expect(named(name)).toEqual([]);
  });

  test.each([
    'MLFLOW_TRACKING_URI',
    'MLFLOW_TRACKING_TOKEN',
    'MLFLOW_TRACKING_USERNAME',
    'MLFLOW_EXPERIMENT_NAME',
    'MLFLOW_EXPERIMENT_ID',
    'MLFLOW_RUN_ID',
    'MLFLOW_REGISTRY_URI',
    'ASGARD_JOB_ID',
    'ASGARD_ANYTHING',
    'FEAST_REPO_PATH',
    'FEAST_FS_YAML_FILE_PATH',
    'PATH',
    'HOME',
    'TMPDIR',
    'VIRTUAL_ENV',
    'LD_PRELOAD',
    'LD_LIBRARY_PATH',
    'DYLD_INSERT_LIBRARIES',
    'PYTHONHOME',
    'PYTHONPATH',
    'PYTHONSTARTUP',
    'PYTHONUNBUFFERED',
    'PYTHONUSERBASE',
    'PYTHONPLATLIBDIR',
    'PYTHONINSPECT',
  ])('%s is the platform’s and cannot be set', (name) => {
    expect(named(name)).toEqual([`environmentVars.${name}`]);
  });

  test.each(['', 'a b', 'A-B', '9A', 'A=B', 'ä', 'A\n', 'A\0'])('%j is no name', (name) => {
    expect(named(name)).toEqual([`environmentVars.${name}`]);
  });

  test('are counted before they are looked at', () => {
    const many = Object.fromEntries(Array.from({ length: 50_000 }, (_, index) => [`!${index}`, 0]));
    const { error } = jobSubmission.safeParse({ ...whole, environmentVars: many, tags: many });
    expect(error?.issues.map(({ path, code }) => `${path.join('.')} ${code}`)).toEqual([
      'environmentVars too_big',
      'tags too_big',
    ]);
  });

  test('is kept as it is or refused, whatever its name means to JavaScript', () => {
    const environmentVars: unknown = JSON.parse('{"__proto__":"x","constructor":"y","toString":"z"}');
    const parsed = jobSubmission.safeParse({ ...whole, environmentVars });
    if (parsed.success) {
      expect(JSON.stringify(parsed.data.environmentVars)).toBe(JSON.stringify(environmentVars));
    } else {
      expect(parsed.error.issues.map(({ path }) => path)).toEqual([['environmentVars', '__proto__']]);
    }
  });

  test('may have any value that PostgreSQL and a process can hold', () => {
    for (const value of ['', ' ', 'a=b', '\n', '"\'`$\\', '✅', 'x'.repeat(32_768)])
      expect(problemsOf({ environmentVars: { A: value } })).toEqual([]);
    for (const value of ['a\0', '\ud800', 'x'.repeat(32_769), 5, null])
      expect(problemsOf({ environmentVars: { A: value } })).toEqual(['environmentVars.A']);
  });
});

test.each([
  [60, true],
  [3600, true],
  [59, false],
  [3601, false],
  [60.5, false],
  [Number.NaN, false],
  [Number.POSITIVE_INFINITY, false],
  ['300', false],
  [null, false],
])('a time limit of %s seconds: %s', (timeoutSeconds, isTaken) => {
  expect(problemsOf({ timeoutSeconds })).toEqual(isTaken ? [] : ['timeoutSeconds']);
});

test.each([
  ['experimentName', 'x'.repeat(500), true],
  ['experimentName', 'x'.repeat(501), false],
  ['experimentName', 'teams/churn: 2025 ✅', true],
  ['experimentName', ' churn', false],
  ['experimentName', 'churn\n', false],
  ['experimentName', 'a\0', false],
  ['experimentName', 'a\u001b[31m', false],
  ['experimentName', 'a\nb', false],
  ['modelName', 'x'.repeat(250), true],
  ['modelName', 'x'.repeat(251), false],
  ['modelName', 'churn predictor', true],
  ['modelName', "it's 50% ünï ✅ #1 & co", true],
  ['modelName', '.x', true],
  // MLflow takes these two for names of files, and cannot say the others in a `models:/` address.
  ['modelName', '.', false],
  ['modelName', '..x', false],
  ['modelName', 'a?b', false],
  ['modelName', 'me@home', false],
  ['modelName', 'a/b', false],
  ['modelName', 'a:b', false],
  ['modelName', '\ud800', false],
])('%s %j: %s', (field, value, isTaken) => {
  expect(problemsOf({ [field]: value })).toEqual(isTaken ? [] : [field]);
});

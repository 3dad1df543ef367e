import { afterAll, describe, expect, inject, test } from 'vitest';
import { Gate, JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { processesWith } from '../support/processes-by-argument.ts';
import { uniqueName } from '../support/unique-name.ts';

const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

const { url, home } = inject('platform');

describe.concurrent('a script', { timeout: JOB_LIMIT_MS }, () => {
  test('shows a line before it goes on to the next', async () => {
    await using gate = await Gate.create();
    const id = await jobs.submit(`${gate.python}\nprint("before")\nwait()\nprint("after")\n`);
    const before = await jobs.line(id, 'before');
    await expect(jobs.client.job(id)).resolves.toMatchObject({ status: 'RUNNING' });
    expect(await jobs.client.logText(id)).not.toContain('after');
    await gate.open();
    const ended = await jobs.end(id);
    expect(ended.stdout).toEqual(['before', 'after']);
    expect(ended.of('LogLine').find(({ text }) => text === 'before')).toEqual(before);
  });

  test('shows part of a line only when it is whole, or at its end', async () => {
    await using gate = await Gate.create();
    const id = await jobs.submit(
      `${gate.python}\nprint("half", end="", flush=True)\ntell("half")\nwait()\nprint(" whole")\nprint("no end", end="")\n`,
    );
    await gate.told('half');
    expect(await jobs.client.logText(id)).not.toContain('half');
    await gate.open();
    expect((await jobs.end(id)).stdout).toEqual(['half whole', 'no end']);
  });

  test('has each line with its stream and its time', async () => {
    const started = Date.now();
    const { output, job } = await jobs.run(`
import sys
print("to stdout")
print("to stderr", file=sys.stderr)
`);
    const streams = Object.fromEntries(output.map(({ text, stream }) => [text, stream]));
    expect(streams).toEqual({ 'to stdout': 'STDOUT', 'to stderr': 'STDERR' });
    for (const { at } of output) {
      expect(Date.parse(at)).toBeGreaterThanOrEqual(started);
      expect(Date.parse(at)).toBeLessThanOrEqual(Date.parse(job.completedAt ?? ''));
    }
  });

  test('goes through exactly QUEUED, PREPARING, RUNNING, COMPLETED, in one sequence without holes', async () => {
    const ended = await jobs.run('print("a")\nprint("b")\n');
    expect(ended.events.map(({ sequence }) => sequence)).toEqual(ended.events.map((_, index) => index + 1));
    expect(ended.of('StatusChanged').map(({ status, attempt }) => [status, attempt])).toEqual([
      ['QUEUED', 0],
      ['PREPARING', 1],
      ['RUNNING', 1],
      ['COMPLETED', 1],
    ]);
    const times = ended.of('StatusChanged').map(({ at }) => Date.parse(at));
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(ended.ending).toMatchObject({ status: 'COMPLETED', exitCode: 0, signal: null });
    expect(ended.job).toMatchObject({ status: 'COMPLETED', error: null, lastSequence: ended.events.length });
  });

  test('without requirements runs at once in the base environment', async () => {
    const [first, second] = await Promise.all([jobs.run('print(1)\n'), jobs.run('print(2)\n')]);
    expect(first.of('EnvironmentLine')).toEqual([]);
    expect(first.job.environmentHash).toMatch(/^[0-9a-f]{16}$/);
    expect(second.job.environmentHash).toBe(first.job.environmentHash);
  });

  test('ends with a record that proves its output, whatever was printed', async () => {
    const ended = await jobs.run(`
import sys
print("plain")
print("")
print("ünïcode ✅ \\u2028 \\u2029 \\x85 \\x0b")
print("tab\\there, return\\rthere")
sys.stdout.buffer.write(b"no utf-8: \\xff\\xfe, a nul: \\x00\\n")
sys.stdout.flush()
print("x" * 200_000)
print("to stderr", file=sys.stderr)
print("no line feed", end="")
`);
    expect(ended.ending).toMatchObject({ status: 'COMPLETED', ...ended.proof });
    expect(ended.stdout).toContain('ünïcode ✅ \u2028 \u2029 \x85 \x0b');
    expect(ended.stdout).toContain('no utf-8: \ufffd\ufffd, a nul: \ufffd');
    expect(ended.stdout.filter((text) => /^x+$/.test(text)).join('')).toHaveLength(200_000);
    expect(ended.stdout.at(-1)).toBe('no line feed');
  });

  test('that prints nothing has the record of nothing', async () => {
    const ended = await jobs.run('pass\n');
    expect(ended.ending).toMatchObject(ended.proof);
    expect(ended.proof).toMatchObject({ lines: 0, bytes: 0 });
  });

  test('that fails ends as FAILED with its exit code and its exception, and its traceback is in the log', async () => {
    const ended = await jobs.run('print("first")\nraise ValueError("no such thing")\n');
    const error = 'the script ended with exit code 1: ValueError: no such thing';
    expect(ended.job).toMatchObject({ status: 'FAILED', error });
    expect(ended.ending).toMatchObject({ status: 'FAILED', exitCode: 1, signal: null, ...ended.proof });
    const stderr = ended.output.filter(({ stream }) => stream === 'STDERR').map(({ text }) => text);
    expect(stderr[0]).toBe('Traceback (most recent call last):');
    expect(stderr.at(-1)).toBe('ValueError: no such thing');
    expect(ended.job.modelVersion).toBeNull();
  });

  test('that exits with another code than 0 fails with that code', async () => {
    const ended = await jobs.run('raise SystemExit(42)\n');
    expect(ended.job).toMatchObject({ status: 'FAILED', error: expect.stringContaining('42') });
    expect(ended.ending).toMatchObject({ exitCode: 42, signal: null });
  });

  test('whose encoding is unknown until it runs fails then and shows why', async () => {
    const ended = await jobs.run('# coding: no-such-encoding\nprint("never")\n');
    expect(ended.job.status).toBe('FAILED');
    expect(ended.output.at(-1)?.text).toMatch(/^SyntaxError/);
  });

  test('that is killed by a signal fails and names it', async () => {
    const ended = await jobs.run('import os, signal\nprint("soon")\nos.kill(os.getpid(), signal.SIGKILL)\n');
    expect(ended.job).toMatchObject({ status: 'FAILED', error: expect.stringContaining('SIGKILL') });
    expect(ended.ending).toMatchObject({ exitCode: null, signal: 'SIGKILL', ...ended.proof });
  });

  test('runs under its own name, as text of its own encoding, with an empty standard input', async () => {
    const scriptName = `mein Skript ${uniqueName('ü')}.py`;
    const ended = await jobs.run('import sys\nprint(sys.argv, repr(sys.stdin.read()), "ä✅")\n', { scriptName });
    expect(ended.stdout).toEqual([`['${scriptName}'] '' ä✅`]);
  });

  test('gets its variables as they are', async () => {
    const values = {
      QUOTES: `it's "quoted" '''thrice''' """again"""`,
      LINES: 'one\ntwo\r\nthree\n',
      DOLLAR: '$HOME $(id) %PATH% `id` $$ $',
      BACKSLASH: '\\n \\\\ \\x41 C:\\temp\\',
      UNICODE: 'ä ✅ 🐍 \u2028 ﷽ \u200b',
      EQUALS: 'a=b==c=',
      EMPTY: '',
      SPACES: '  leading and trailing  ',
      BRACES: '{x} #{x} %s %(x)s {{x}}',
      LONG: 'x'.repeat(32_768),
      _lower_9: 'a name with every kind of character',
    };
    const environmentVariables = Object.entries(values).map(([name, value]) => ({ name, value }));
    const { stdout } = await jobs.run(
      `import json, os\nprint(json.dumps({name: os.environ[name] for name in ${JSON.stringify(Object.keys(values))}}))\n`,
      { environmentVariables },
    );
    expect(JSON.parse(stdout.join(''))).toEqual(values);
  });

  test('sees no variable but its own and those of the allow-list, and no secret of the platform', async () => {
    const mine = { name: 'MINE', value: 'mine' };
    const { stdout, job } = await jobs.run(
      `
import json, os
print(json.dumps(dict(os.environ)))
try:
    print(json.dumps(open(f"/proc/{os.getppid()}/environ", "rb").read().decode()))
except OSError:
    print('""')  # there is no such file, or no right to it
print(json.dumps([open(f"/proc/{pid}/cmdline", "rb").read().decode() for pid in (os.getpid(), os.getppid())]) if os.path.exists("/proc") else "[]")
`,
      { environmentVariables: [mine] },
    );
    const seen: Record<string, string> = JSON.parse(stdout[0] ?? '{}');
    const allowed =
      /^(PATH|HOME|USER|LOGNAME|TMPDIR|VIRTUAL_ENV|PYTHONUNBUFFERED|MPLBACKEND|GIT_PYTHON_REFRESH|MLFLOW_DISABLE_TELEMETRY|DO_NOT_TRACK|MLFLOW_TRACKING_URI|MLFLOW_TRACKING_TOKEN|MLFLOW_EXPERIMENT_NAME|FEAST_REPO_PATH|ASGARD_JOB_ID|ASGARD_MODEL_NAME|ASGARD_RUN|_?MLFLOW_HTTP_REQUEST_[A-Z_]+|MINE|LANG|LC_[A-Z]+|TZ|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE|(OMP|OPENBLAS|MKL|NUMEXPR|NVPL)_[A-Z_0-9]+)$/;
    expect(Object.keys(seen).filter((name) => !allowed.test(name))).toEqual([]);
    expect(seen).toMatchObject({
      MINE: 'mine',
      ASGARD_JOB_ID: job.id,
      ASGARD_MODEL_NAME: job.modelName,
      MLFLOW_EXPERIMENT_NAME: job.experimentName,
      FEAST_REPO_PATH: expect.any(String),
    });
    expect(new URL(seen['MLFLOW_TRACKING_URI'] ?? '').hostname).toBe('127.0.0.1');
    const everything = stdout.join('\n');
    for (const secret of ['SECRET_OF_THE_PLATFORM', 'must not reach a script', 'DATABASE_URL', 'postgresql:', 'PGPASS'])
      expect(everything).not.toContain(secret);
    // Neither its runner's environment nor an argument list is a way to the token or to the platform's own variables.
    expect(stdout.slice(1).join('\n')).not.toContain(seen['MLFLOW_TRACKING_TOKEN']);
    expect(seen['HOME']?.startsWith(home)).toBe(true);
    expect(seen['HOME']).not.toBe(home);
  });

  test('has a working folder and a home of its own that are gone when it has ended', async () => {
    const { stdout } = await jobs.run(`
import os, tempfile
open("made-here", "w").close()
open(os.path.expanduser("~/made-there"), "w").close()
print(os.getcwd())
print(os.path.expanduser("~"))
print(tempfile.gettempdir())
`);
    const other = await jobs.run(`import os\nprint([os.path.exists(path) for path in ${JSON.stringify(stdout)}])\n`);
    expect(new Set(stdout).size).toBeGreaterThan(1);
    expect(other.stdout).toEqual(['[False, False, False]']);
  });

  test('that leaves a process behind ends, and the process with it', async () => {
    const marker = uniqueName('left-behind');
    const ended = await jobs.run(`
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "${marker}"], start_new_session=True)
print("done")
`);
    expect(ended.job.status).toBe('COMPLETED');
    expect(ended.stdout).toEqual(['done']);
    expect(await processesWith(marker)).toEqual([]);
  });

  test('shows in REST with the words of the guide and the same log', async () => {
    const ended = await jobs.run('print("one")\nimport sys\nprint("two", file=sys.stderr)\n');
    const answer = await fetch(`${url}/mlops/training/jobs/${ended.job.id}`);
    const logs = ended.events.flatMap((event) =>
      'text' in event && event.__typename !== 'MetricLogged' ? [event.text] : [],
    );
    expect(await answer.json()).toMatchObject({
      job_id: ended.job.id,
      status: 'completed',
      logs: logs.map((text) => `${text}\n`).join(''),
    });
  });
});

import { type PythonEnvironment, PythonEnvironments } from '../../src/python/environments.ts';
import { type Asgard, environmentsFolder, type Script, untilCompleted, upload } from './asgard.ts';
import type { Bench } from './bench.ts';
import type { Ray } from './ray.ts';

/** One job, from its submission to its end being seen. Milliseconds. */
export interface JobTimes {
  /** Until the script was accepted. */
  readonly uploadMs: number;
  /** From the acceptance to the script's first statement. */
  readonly queueMs: number;
  /** From the submission until the good end was seen. */
  readonly totalMs: number;
  /** Of `totalMs`, what was not between the script's first statement and its last. */
  readonly overheadMs: number;
}

/** A script that tells when its first and its last statement ran. */
export function timed(text: string): string {
  return `import time as _time
print("@first", _time.time(), flush=True)
${text}
print("@last", _time.time(), flush=True)
`;
}

/** The environment of jobs that name no requirement; made when it is not there yet. */
export function baseEnvironment(bench: Bench): Promise<PythonEnvironment> {
  const environments = new PythonEnvironments({ folder: environmentsFolder(bench), toolchain: bench.toolchain });
  return environments.prepare({ requirements: [], signal: bench.signal });
}

/** Runs a `timed` script as a job of Asgard: uploaded by REST, followed by a subscription. */
export async function asgardJob(asgard: Asgard, script: Script): Promise<JobTimes> {
  const submittedAt = Date.now();
  const id = await upload(asgard, script);
  const acceptedAt = Date.now();
  let output = '';
  await untilCompleted(asgard, id, (event) => {
    if (event.__typename === 'LogLine') output += `${event.text}\n`;
  });
  return timesOf(output, { submittedAt, acceptedAt, endedAt: Date.now() });
}

/**
 * Runs a `timed` script as a job of Ray, by the same interpreter. The script goes in the command line, which spares Ray the
 * package that its users upload; its end is asked for every 20 ms.
 */
export async function rayJob(ray: Ray, python: string, script: Script, signal: AbortSignal): Promise<JobTimes> {
  const submittedAt = Date.now();
  const id = await ray.submit(rayEntrypoint(python, script));
  const acceptedAt = Date.now();
  await ray.untilStatus(id, 'SUCCEEDED', signal);
  const endedAt = Date.now();
  return timesOf(await ray.logs(id), { submittedAt, acceptedAt, endedAt });
}

/** A shell's command line that runs a script which is in no file. */
export function rayEntrypoint(python: string, script: Script): string {
  const variables = Object.entries(script.variables ?? {}).map(([name, value]) => `${name}='${value}' `);
  const encoded = Buffer.from(script.text).toString('base64');
  return `${variables.join('')}${python} -u -c "import base64; exec(base64.b64decode('${encoded}'))"`;
}

/** What a `timed` script's own output and its observer saw. */
export function timesOf(
  output: string,
  seen: { readonly submittedAt: number; readonly acceptedAt: number; readonly endedAt: number },
): JobTimes {
  const { submittedAt, acceptedAt, endedAt } = seen;
  const [first, last] = [markIn(output, 'first'), markIn(output, 'last')];
  const totalMs = endedAt - submittedAt;
  return {
    uploadMs: acceptedAt - submittedAt,
    queueMs: first - acceptedAt,
    totalMs,
    overheadMs: totalMs - (last - first),
  };
}

function markIn(output: string, mark: string): number {
  const found = new RegExp(`^@${mark} ([0-9.]+)$`, 'm').exec(output)?.[1];
  if (found === undefined) throw new Error(`the script did not print @${mark}:\n${output}`);
  return Number(found) * 1000;
}

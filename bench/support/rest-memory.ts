import { setTimeout as delay } from 'node:timers/promises';
import { type Asgard, startAsgard, upload } from './asgard.ts';
import type { Bench, Measured } from './bench.ts';
import type { Figure } from './figures.ts';
import { memoryOf, type ProcessMemory, totalMib } from './memory.ts';
import { startMlflowServer } from './mlflow.ts';
import { baseEnvironment, rayEntrypoint } from './python-jobs.ts';
import { Ray } from './ray.ts';

const SLEEPER = { name: 'sleeper', text: 'import time\nprint("sleeping", flush=True)\ntime.sleep(600)\n' };

/** What Asgard and its peers take at rest and for each running job; one at a time, so that none shares pages with another. */
export async function restMemory(bench: Bench): Promise<Measured> {
  const jobs = bench.size(2, 8);
  const manyJobs = bench.size(4, 50);
  const settleMs = bench.size(1_000, 10_000);
  const settled = async (pid: number) => {
    await delay(settleMs, undefined, { signal: bench.signal });
    return memoryOf(pid);
  };
  bench.say('memory of Asgard');
  const ours = await ofAsgard(bench, jobs, settled);
  const ofMany = await ofWarmAsgard(bench, manyJobs, settled);
  bench.say('memory of mlflow server and of Ray');
  const mlflow = await ofMlflow(bench, settled);
  const ray = await ofRay(bench, jobs, settled);
  const perJob = ({ rest, busy }: Memory) => (totalMib(busy) - totalMib(rest)) / jobs;
  const row = (what: string, value: number, name: string, theirs: number): Figure => {
    return { what, unit: 'MiB', better: 'lower', ours: value, peer: { name, value: theirs } };
  };
  const mlflowOfOurs = partsOf(ours.rest).find(({ name }) => name === 'MLflow')?.mib ?? Number.NaN;
  const parts = partsOf(ours.rest).map(({ name, mib, residentMib, count }) => {
    return `${name} ${mib.toFixed(0)} MiB in ${count === 1 ? 'one process' : `${count} processes`} (resident ${residentMib.toFixed(0)})`;
  });
  const growth = (ownMib(ofMany.busy) - ownMib(ofMany.rest)) / manyJobs;
  return {
    figures: [
      row('memory at rest: all of Asgard', totalMib(ours.rest), 'mlflow server', totalMib(mlflow)),
      row('memory at rest: all of Asgard', totalMib(ours.rest), 'ray start --head', totalMib(ray.rest)),
      row('memory at rest: its MLflow', mlflowOfOurs, 'mlflow server', totalMib(mlflow)),
      row('memory for each running job, a sleeping script', perJob(ours), 'Ray Jobs', perJob(ray)),
      {
        what: `memory for each of ${manyJobs} running jobs, without runner and script, after as many`,
        unit: 'MiB',
        better: 'lower',
        ours: growth,
        promise: '< 1 MiB',
      },
    ],
    notes: [
      `Memory: proportional set size, in which a page that several processes share counts once; ${settleMs / 1000} s after the start or the last of ${jobs} jobs.`,
      `Asgard at rest: ${parts.join('; ')}.`,
    ],
  };
}

interface Memory {
  readonly rest: readonly ProcessMemory[];
  /** While the jobs run. */
  readonly busy: readonly ProcessMemory[];
}

type Settled = (pid: number) => Promise<ProcessMemory[]>;

async function ofAsgard(bench: Bench, jobs: number, settled: Settled): Promise<Memory> {
  await using asgard = await startAsgard(bench, { ASGARD_WORKER_SLOTS: String(jobs) });
  const rest = await settled(asgard.pid);
  return { rest, busy: await whileAsleep(asgard, jobs, () => settled(asgard.pid)) };
}

/** When as many jobs have been there before: heaps and connections that are kept for whatever comes next count for none. */
async function ofWarmAsgard(bench: Bench, jobs: number, settled: Settled): Promise<Memory> {
  await using asgard = await startAsgard(bench, { ASGARD_WORKER_SLOTS: String(jobs) });
  await whileAsleep(asgard, jobs, async () => {});
  const rest = await settled(asgard.pid);
  return { rest, busy: await whileAsleep(asgard, jobs, () => settled(asgard.pid)) };
}

/** Does something while so many jobs sleep. */
async function whileAsleep<T>(asgard: Asgard, jobs: number, work: () => Promise<T>): Promise<T> {
  const ids = await Promise.all(Array.from({ length: jobs }, () => upload(asgard, SLEEPER)));
  try {
    await Promise.all(ids.map((id) => untilAsleep(asgard, id)));
    return await work();
  } finally {
    // Their scripts would outlive the platform.
    await Promise.allSettled(ids.map((id) => endJob(asgard, id)));
  }
}

async function untilAsleep({ client }: Asgard, id: string): Promise<void> {
  for await (const { text } of client.jobLog(id)) if (text === 'sleeping') return;
  throw new Error(`job ${id} ended before it slept`);
}

async function endJob({ client }: Asgard, id: string): Promise<void> {
  await client.cancel(id);
  await Array.fromAsync(client.jobEvents(id));
}

async function ofMlflow(bench: Bench, settled: Settled): Promise<ProcessMemory[]> {
  await using server = await startMlflowServer(bench);
  return await settled(server.pid);
}

async function ofRay(bench: Bench, jobs: number, settled: Settled): Promise<Memory> {
  const { python } = await baseEnvironment(bench);
  await using ray = await Ray.start(bench);
  const rest = await settled(ray.pid);
  for (let count = 0; count < jobs; count += 1) {
    const id = await ray.submit(rayEntrypoint(python, SLEEPER));
    await ray.untilStatus(id, 'RUNNING', bench.signal);
  }
  return { rest, busy: await settled(ray.pid) };
}

/** By what they are. */
function partsOf(processes: readonly ProcessMemory[]) {
  const kindOf = ({ command }: ProcessMemory) => {
    if (command.includes('mlflow_server.py')) return 'MLflow';
    if (command.includes('src/main.ts')) return 'Node';
    return /postgres/.test(command) ? 'PostgreSQL' : 'Python that is kept warm for jobs';
  };
  return [...Map.groupBy(processes, kindOf)].map(([name, members]) => {
    const residentMib = members.reduce((sum, each) => sum + each.residentMib, 0);
    return { name, mib: totalMib(members), residentMib, count: members.length };
  });
}

/** What is Asgard's own: Node, PostgreSQL and MLflow, without the Python of runners, scripts and launchers. */
function ownMib(processes: readonly ProcessMemory[]): number {
  return totalMib(processes.filter(({ command }) => /src\/main\.ts|postgres|mlflow_server\.py/.test(command)));
}

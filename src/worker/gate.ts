import type { ServableVersion, TrainingJob } from '../database/generated/client.ts';
import type { ExampleSource } from '../database/generated/enums.ts';
import { appendEvents } from '../jobs/event-store.ts';
import type { Claim } from '../jobs/queue.ts';
import type { JobEnd } from '../jobs/transitions.ts';
import type { ModelVersion } from '../mlflow/wire.ts';
import type { Check } from '../models/servable-versions.ts';
import { messageOf } from '../platform/errors.ts';
import type { SupervisorContext } from './supervisor-context.ts';

/** Of more the last ones: whoever uses another has it tried then. */
const MAX_VERSIONS = 10;

type Attempt = Pick<Claim, 'id' | 'workerId' | 'jobId'>;

/**
 * After a job's registration, before its end: each model version that its attempt made is tried, and the end's last lines say what
 * came of it. The job has completed whatever that is. Safe to repeat.
 * @throws the signal's reason when that aborts
 */
export async function passGate(
  context: SupervisorContext,
  job: Pick<TrainingJob, 'id'>,
  claim: Attempt,
  end: JobEnd,
  signal: AbortSignal,
): Promise<JobEnd> {
  if (end.status !== 'COMPLETED') return end;
  const said: { text: string; isGood: boolean }[] = [];
  try {
    for (const group of await versionsBySource(context, claim)) {
      for (const line of await tryGroup(context, job.id, claim, group, signal)) said.push(line);
    }
  } catch (error) {
    signal.throwIfAborted();
    context.logger.warn({ jobId: job.id, err: error }, 'job.models_not_checked');
    said.push({ text: `⚠️ ${messageOf(error)}; the model is tried when it is first used`, isGood: false });
  }
  const lines = (isGood: boolean) => said.filter((line) => line.isGood === isGood).map(({ text }) => text);
  // What is wrong comes last, where nobody overlooks it.
  const before = end.lastLines ?? [];
  return { ...end, lastLines: [...before.slice(0, -1), ...lines(true), ...before.slice(-1), ...lines(false)] };
}

/** Versions with the same files are one model. */
async function versionsBySource({ database, models }: SupervisorContext, { jobId, id: attemptId }: Attempt) {
  const made = await database.jobModelVersion.findMany({
    where: { jobId, attemptId },
    orderBy: [{ createdAt: 'desc' }, { name: 'asc' }],
    take: MAX_VERSIONS,
  });
  const versions = await models.versionsByKeys(made);
  const there = versions.filter((version) => version !== null);
  return [...Map.groupBy(there, ({ source }) => source).values()];
}

async function tryGroup(
  { checks }: SupervisorContext,
  jobId: string,
  claim: Attempt,
  [first, ...others]: readonly ModelVersion[],
  signal: AbortSignal,
) {
  if (first === undefined) return [];
  const onRecord = async (transaction: Parameters<typeof appendEvents>[0], version: ModelVersion, check: Check) => {
    await appendEvents(transaction, jobId, [eventOf(version, check)], claim);
  };
  const record = await checks.check(first, { jobId, signal, onRecord });
  for (const version of others) await checks.copy(record, version, { jobId, signal, onRecord });
  return [first, ...others].map((version) => ({
    text: lineOf(version, record),
    isGood: record.status === 'SERVABLE',
  }));
}

function eventOf({ name: modelName, version }: ModelVersion, check: Check) {
  const {
    refusal,
    warning = null,
    exampleSource = null,
    loadSeconds = null,
    p50Ms = null,
    peakMemoryBytes = null,
  } = check;
  const facts = { refusal, warning, exampleSource, loadSeconds, p50Ms, peakMemoryBytes };
  return { type: 'check', at: new Date().toISOString(), modelName, version, ...facts } as const;
}

const TRIED_WITH: Record<ExampleSource, string> = {
  INPUT_EXAMPLE: 'its input example',
  TRAINING_ROWS: 'rows of its training data',
  SIGNATURE: 'a row made of its signature',
  FEATURE_NAMES: 'a row made of its feature names',
};

function lineOf({ name, version }: ModelVersion, record: ServableVersion): string {
  const model = `Model ${name} version ${version}`;
  if (record.status !== 'SERVABLE') return `✗ ${model} is registered, but cannot be served: ${record.refusal}`;
  const loaded = `loaded in ${record.loadSeconds?.toFixed(2)} s`;
  if (record.p50Ms === null || record.exampleSource === null) {
    return `✓ ${model} can be served: ${loaded}; ${record.warning ?? 'no row to try it with is known'}`;
  }
  return `✓ ${model} can be served: ${loaded}, predicts ${TRIED_WITH[record.exampleSource]} in ${record.p50Ms.toFixed(1)} ms`;
}

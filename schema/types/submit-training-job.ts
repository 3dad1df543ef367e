import { jobSubmission } from '../../src/jobs/submission.ts';
import { builder } from '../builder.ts';
import { failures, parseInput, withFailures } from '../errors.ts';
import { recordOf, withoutNulls } from '../input.ts';
import { FeaturePinsInput, type FeatureSnapshotInput } from './feature-pins.ts';
import { TrainingJob } from './job.ts';
import { RetryOnType } from './job-attempt.ts';
import { TagInput, tagRecord } from './tag.ts';

const EnvironmentVariableInput = builder.inputType('EnvironmentVariableInput', {
  description: 'A variable that a script shall see.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'Its name: letters, digits and `_`, not beginning with a digit.' }),
    value: t.string({
      required: true,
      description: 'The text that the script shall see; it may hold quotes and line feeds.',
    }),
  }),
});

export const SubmitTrainingJobInput = builder.inputType('SubmitTrainingJobInput', {
  description: 'A Python training script and how to run it.',
  fields: (t) => ({
    scriptName: t.string({ required: true, description: 'The file name of the script, without a folder.' }),
    script: t.string({ required: true, description: 'The source text of the script, at most 1 MiB in UTF-8.' }),
    experimentName: t.string({ required: true, description: 'The MLflow experiment that its runs go to.' }),
    modelName: t.string({ required: true, description: 'The registered model that its model becomes a version of.' }),
    requirements: t.stringList({
      description: 'Python packages beside the ones that are always there, as PEP 508 names them.',
    }),
    environmentVariables: t.field({
      type: [EnvironmentVariableInput],
      description:
        'Variables that the script sees, each name once, at most 200; the platform’s own cannot be replaced.',
    }),
    graceSeconds: t.int({
      description:
        'How many seconds the script may take to end when it is asked to, before it is killed: 0 to 60; 10 when absent.',
    }),
    retries: t.int({
      description:
        'How many attempts may follow the first, each with the whole time again: 0 to 10; 0 when absent. The pauses between ' +
        'them double from 2 s on.',
    }),
    retryOn: t.field({
      type: RetryOnType,
      description: 'Which failures are tried again; INFRASTRUCTURE when absent. A cancelled job never is.',
    }),
    priority: t.int({
      description: 'Jobs of a higher one start first, of equal ones the oldest: -100 to 100; 0 when absent.',
    }),
    idempotencyKey: t.string({
      description:
        'A text of your own choice, 1 to 255 letters, digits and signs of ASCII. Handing in with a key that a job has gives that ' +
        'job as it is now, whatever else is handed in: so a hand-in whose answer was lost can be repeated.',
    }),
    features: t.field({
      type: FeaturePinsInput,
      description: 'What its reads of the feature store are held to; absent: it reads what is current.',
    }),
    timeoutSeconds: t.int({ description: 'How long the job may take, 60 to 3600; 300 when absent.' }),
    tags: t.field({
      type: [TagInput],
      description: 'Tags of the job, which its runs and model version get too; each key once, at most 100.',
    }),
  }),
});

builder.mutationField('submitTrainingJob', (t) =>
  t.field({
    type: TrainingJob,
    errors: {
      types: [failures.invalidInput, failures.queueFull, failures.unavailable],
      union: { description: 'What became of a hand-in.' },
    },
    description: 'Hands in a training script. Returns at once, with the job queued; its events tell the rest.',
    args: {
      input: t.arg({ type: SubmitTrainingJobInput, required: true, description: 'The script and how to run it.' }),
    },
    resolve: (_root, { input }, { jobs }) => withFailures(() => jobs.submit(parseSubmission(input))),
  }),
);

/** @throws AsgardError INVALID_INPUT with every issue, named as the input's fields are */
export function parseSubmission(input: typeof SubmitTrainingJobInput.$inferInput) {
  const { environmentVariables, tags, features, ...rest } = input;
  const variables = (environmentVariables ?? []).map(({ name, value }) => [name, value] as const);
  return parseInput(
    jobSubmission,
    {
      ...withoutNulls(rest),
      environmentVars: recordOf(['environmentVariables'], variables),
      tags: tagRecord(['tags'], tags),
      ...(features != null && { features: pinsOf(features) }),
    },
    'the job was not taken',
    { environmentVars: 'environmentVariables' },
  );
}

function pinsOf({ asOf, snapshots }: typeof FeaturePinsInput.$inferInput) {
  const pair = ({ table, snapshotId }: typeof FeatureSnapshotInput.$inferInput) => [table, snapshotId] as const;
  return {
    ...(asOf != null && { asOf: asOf.toISOString() }),
    ...(snapshots != null && { snapshots: recordOf(['features', 'snapshots'], snapshots.map(pair)) }),
  };
}

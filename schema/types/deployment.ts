import type { Deployment as DeploymentRow } from '../../src/database/generated/client.ts';
import { type DeploymentState, deploymentError, deploymentState } from '../../src/jobs/deployments.ts';
import { modelVersionKey } from '../../src/models/version-key.ts';
import { builder } from '../builder.ts';
import { endingOnReturn } from '../ending-on-return.ts';
import { failures, withFailures } from '../errors.ts';
import { RegisteredModel } from './model.ts';
import { ModelVersion } from './model-version.ts';
import { parseSubmission, SubmitTrainingJobInput } from './submit-training-job.ts';

const DeploymentStatus = builder.enumType('DeploymentStatus', {
  description: 'Where a deployment stands.',
  values: {
    QUEUED: { description: 'Its job waits.' },
    TRAINING: { description: 'Its job is being worked on.' },
    DEPLOYING: { description: 'Its job has completed; the alias is being set, or MLflow is waited for.' },
    DEPLOYED: { description: 'The alias was made to name the version.' },
    FAILED: { description: 'It came to nothing, and the alias is where it was.' },
  } satisfies Record<DeploymentState, object>,
});

const Deployment = builder.prismaObject('Deployment', {
  description:
    'A job whose model shall be named by an alias as soon as the job has completed and the model is known to work.',
  select: { jobId: true },
  fields: (t) => ({
    id: t.exposeID('jobId', { description: 'The id of its job, which is its own too.' }),
    status: t.field({
      type: DeploymentStatus,
      description: 'Where it stands now.',
      select: { status: true, job: { select: { status: true } } },
      resolve: ({ job, ...deployment }) => deploymentState(deployment, job.status),
    }),
    alias: t.exposeString('alias', { description: 'The alias that shall name the version.' }),
    error: t.string({
      nullable: true,
      description: 'Why it failed, for people to read; null when it did not.',
      select: { status: true, error: true, job: { select: { status: true, error: true } } },
      resolve: ({ job, ...deployment }) => deploymentError(deployment, job),
    }),
    previousVersion: t.exposeString('previousVersion', {
      nullable: true,
      description:
        'The number of the version that the alias named before; null while it is not deployed, and when there was none.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was handed in.' }),
    completedAt: t.expose('completedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was deployed or failed; null before.',
    }),
    job: t.relation('job', { description: 'The job that makes the model.' }),
    modelVersion: t.field({
      type: ModelVersion,
      nullable: true,
      description: 'The version that its job has registered; null while there is none.',
      select: { job: { select: { modelName: true, modelVersion: true } } },
      resolve: ({ job }) => (job.modelVersion === null ? null : modelVersionKey(job.modelName, job.modelVersion)),
    }),
  }),
});

builder.prismaObjectField('TrainingJob', 'deployment', (t) =>
  t.relation('deployment', {
    nullable: true,
    description: 'What shall become of its model; null when it was handed in without a deployment.',
  }),
);

builder.queryField('deployment', (t) =>
  t.prismaField({
    type: 'Deployment',
    nullable: true,
    description: 'The deployment with this id; null when there is none.',
    args: { id: t.arg.id({ required: true, description: 'The id that `deployModel` gave: its job’s.' }) },
    resolve: (query, _root, { id }, { database }) =>
      /^[0-9a-f]{16}$/.test(id) ? database.deployment.findUnique({ ...query, where: { jobId: id } }) : null,
  }),
);

builder.mutationField('deployModel', (t) =>
  t.field({
    type: Deployment,
    errors: {
      types: [failures.invalidInput, failures.conflict, failures.queueFull, failures.unavailable],
      union: { description: 'What became of a hand-in that shall be deployed.' },
    },
    description:
      'Hands in a training script whose model shall be served: when the job has completed and the model was seen to work, an ' +
      'alias names it. Returns at once. It is a conflict when the `idempotencyKey` is that of a job without a deployment.',
    args: {
      input: t.arg({ type: SubmitTrainingJobInput, required: true, description: 'The script and how to run it.' }),
      alias: t.arg.string({ description: 'The alias to set; `champion` when absent.' }),
    },
    resolve: (_root, { input, alias }, { deployments }) =>
      withFailures(() => deployments.deploy(parseSubmission(input), alias ?? undefined)),
  }),
);

builder.subscriptionField('deploymentEvents', (t) =>
  t.field({
    type: Deployment,
    description:
      'A deployment as it is now, and then each time that it stands elsewhere; one state may come twice. Completes when it is ' +
      'DEPLOYED or FAILED; a subscription that stops before was cut, and is begun again.',
    args: { id: t.arg.id({ required: true, description: 'The id of the deployment.' }) },
    subscribe: async (_root, { id }, { deployments, signal }) => {
      await deployments.get(id);
      return endingOnReturn((end) => deployments.follow(id, end), signal);
    },
    resolve: (deployment: DeploymentRow, _args, context) => {
      // All events have one context: what was loaded for the one before is of that time.
      for (const type of [RegisteredModel, ModelVersion]) type.getDataloader(context).clearAll();
      return deployment;
    },
  }),
);

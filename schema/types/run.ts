import type { Metric } from '../../src/mlflow/wire.ts';
import { builder } from '../builder.ts';
import { loadRuns } from '../loaders.ts';
import { metricTextField, metricValueField } from './metric-value.ts';
import { tagsField } from './tag.ts';

export const RunStatus = builder.enumType('RunStatus', {
  description: 'Where a run stands, by MLflow’s words.',
  values: {
    SCHEDULED: { description: 'It shall start later.' },
    RUNNING: { description: 'It has begun and has not ended.' },
    FINISHED: { description: 'Its script said that it ended well.' },
    FAILED: { description: 'Its script said that it ended badly.' },
    KILLED: { description: 'It was ended from outside.' },
  } as const,
});

const Param = builder.objectRef<[key: string, value: string]>('Param').implement({
  description: 'A parameter that a run was made with.',
  fields: (t) => ({
    key: t.string({ description: 'The name of the parameter.', resolve: ([key]) => key }),
    value: t.string({ description: 'What the parameter was, as text.', resolve: ([, value]) => value }),
  }),
});

const MetricType = builder.objectRef<Metric>('Metric').implement({
  description: 'The newest value of one metric of a run.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'The name of the metric.' }),
    value: t.float(metricValueField),
    text: t.string(metricTextField),
    step: t.exposeFloat('step', { description: 'The step it was logged for, a whole number.' }),
    at: t.expose('at', { type: 'DateTime', description: 'When it was logged.' }),
  }),
});

/** A field of this type may give a run's id instead of a run. */
export const Run = builder.loadableObjectRef('Run', { load: loadRuns, cacheResolved: ({ id }) => id });

Run.implement({
  description: 'One tracked execution: what it was made with and what it measured.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'MLflow’s id: 32 hexadecimal digits.' }),
    name: t.exposeString('name', { description: 'How people call it; need not be unique.' }),
    status: t.expose('status', {
      type: RunStatus,
      description: 'Where it stands, as its script or client told MLflow.',
    }),
    experimentId: t.exposeID('experimentId', { description: 'The id of the experiment that holds it.' }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it started, by the clock of its script; null where that is not known.',
    }),
    endedAt: t.expose('endedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it ended; null while it runs.',
    }),
    artifactUri: t.exposeString('artifactUri', { description: 'The URI under which its artifacts lie.' }),
    params: t.field({
      type: [Param],
      description: 'The parameters that it was made with, in no particular order.',
      resolve: ({ params }) => Object.entries(params),
    }),
    metrics: t.field({
      type: [MetricType],
      description: 'The newest value of each metric that it logged.',
      resolve: ({ metrics }) => [...metrics],
    }),
    tags: t.field(
      tagsField('What it is tagged with in MLflow; of a job’s run also the job’s tags and `asgard.job_id`.'),
    ),
  }),
});

export const RunConnection = builder.connectionObject(
  { type: Run, name: 'RunConnection', description: 'A page of runs.' },
  { name: 'RunEdge', description: 'A run in a page.' },
);

builder.queryField('run', (t) =>
  t.field({
    type: Run,
    nullable: true,
    description: 'The run with this id; null when there is none.',
    args: { id: t.arg.id({ required: true, description: 'The id of the run.' }) },
    resolve: (_root, { id }) => id,
  }),
);

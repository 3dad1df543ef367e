import type { JobStatus } from '../../src/database/generated/enums.ts';
import type { JobEventType, NumberedJobEvent, OutputProof } from '../../src/jobs/events.ts';
import type { LineGroup } from '../../src/jobs/line-groups.ts';
import { modelVersionKey } from '../../src/models/version-key.ts';
import { builder } from '../builder.ts';
import { metricTextField, metricValueField } from './metric-value.ts';
import { ModelMeasures } from './model-check.ts';
import { ModelVersion } from './model-version.ts';

/** One kind of event with its number. */
type Numbered<Type extends JobEventType> = Extract<NumberedJobEvent, { type: Type }>;

const TYPE_NAMES: Record<JobEventType | LineGroup['type'], string> = {
  status: 'StatusChanged',
  environment: 'EnvironmentLine',
  log: 'LogLine',
  lines: 'LogLines',
  omitted: 'OutputOmitted',
  metric: 'MetricLogged',
  registration: 'ModelRegistered',
  check: 'ModelChecked',
  attempt: 'AttemptEnded',
  end: 'JobEnded',
};

export const JobStatusType = builder.enumType('JobStatus', {
  description: 'Where a job stands. The last five are written once and stay.',
  values: {
    QUEUED: { description: 'It waits for a worker, or for its next attempt; it can be cancelled at once.' },
    PREPARING: { description: 'A worker has it and makes its environment.' },
    RUNNING: { description: 'Its environment is ready and its script has been started.' },
    COMPLETED: { description: 'Its script ended with exit code 0, and its model, if it saved one, is registered.' },
    FAILED: { description: 'Its environment could not be made, or its script ended badly.' },
    CANCELLED: { description: 'It was ended on request, or because the platform was shut down.' },
    TIMED_OUT: { description: 'It did not end within `timeoutSeconds` and was ended.' },
    LOST: { description: 'Its worker or its process went away without a word: what became of it cannot be known.' },
  } satisfies Record<JobStatus, object>,
});

/** GraphQL's names of the kinds of events, for filters. */
export const JobEventTypeEnum = builder.enumType('JobEventType', {
  description: 'The kinds of events of a job, to choose among them. New kinds may be added.',
  values: {
    STATUS: { value: 'status', description: 'Moves to another status: `StatusChanged`.' },
    ENVIRONMENT: {
      value: 'environment',
      description: 'Lines printed while the environment is prepared: `EnvironmentLine`.',
    },
    LOG: { value: 'log', description: 'Lines of the script and the platform: `LogLine`.' },
    OMITTED: { value: 'omitted', description: 'Lines of the script that the output limit left out: `OutputOmitted`.' },
    METRIC: { value: 'metric', description: 'Metrics that the script logs to MLflow: `MetricLogged`.' },
    REGISTRATION: { value: 'registration', description: 'Model versions that come out: `ModelRegistered`.' },
    CHECK: {
      value: 'check',
      description: 'What came of trying those versions as they would be served: `ModelChecked`.',
    },
    ATTEMPT: { value: 'attempt', description: 'Ends of attempts that another one follows: `AttemptEnded`.' },
    END: { value: 'end', description: 'The end, always the last event: `JobEnded`.' },
  } as const satisfies Record<string, { value: JobEventType; description: string }>,
});

export const JobEventInterface = builder.interfaceRef<NumberedJobEvent | LineGroup>('JobEvent').implement({
  description:
    'Something that happened to a job. All that happens to one is in one sequence, which has no holes but those that an ' +
    '`OutputOmitted` tells of.',
  resolveType: (event) => TYPE_NAMES[event.type],
  fields: (t) => ({
    sequence: t.exposeInt('sequence', { description: 'Its number: 1 for the first event of the job.' }),
    at: t.expose('at', { type: 'DateTime', description: 'When it happened.' }),
  }),
});

export const StatusChanged = builder.objectRef<Numbered<'status'>>('StatusChanged').implement({
  description: 'The job moved to another status.',
  interfaces: [JobEventInterface],
  fields: (t) => ({
    status: t.expose('status', { type: JobStatusType, description: 'The status it moved to.' }),
    attempt: t.exposeInt('attempt', { description: 'The attempt in which it did, from 1; 0 before the first.' }),
    reason: t.string({
      nullable: true,
      description: 'Why, where there is something to say.',
      resolve: (e) => e.reason,
    }),
  }),
});

builder.objectRef<Numbered<'environment'>>('EnvironmentLine').implement({
  description: 'A line printed while the environment of the job was prepared.',
  interfaces: [JobEventInterface],
  fields: (t) => ({ text: t.exposeString('text', { description: 'The line, without its ending.' }) }),
});

export const LogStream = builder.enumType('LogStream', {
  description: 'Where a log line comes from.',
  values: {
    STDOUT: { value: 'stdout', description: 'What the script printed to its standard output.' },
    STDERR: { value: 'stderr', description: 'What the script printed to its standard error.' },
    PLATFORM: { value: 'platform', description: 'The platform, about the job.' },
  } as const,
});

export const LogLine = builder.objectRef<Numbered<'log'>>('LogLine').implement({
  description:
    'A line of the script as it was printed, or of the platform about the job. Lines end at a line feed, of which a carriage ' +
    'return before it is a part; any other carriage return, as of progress bars, and escape sequences, as of colours, are ' +
    'in the text. Bytes that are no UTF-8, and NUL, are U+FFFD.',
  interfaces: [JobEventInterface],
  fields: (t) => ({
    stream: t.expose('stream', { type: LogStream, description: 'Whether the script or the platform said it.' }),
    text: t.exposeString('text', { description: 'The line, without its ending. At most 64 KiB in UTF-8.' }),
    isContinued: t.boolean({
      description: 'The line is longer, and goes on in the next event of the same stream.',
      resolve: (line) => line.isContinued ?? false,
    }),
  }),
});

builder.objectRef<LineGroup>('LogLines').implement({
  description:
    'Log lines with consecutive numbers that were printed at once to one stream, where a caller asked for `grouped` events. ' +
    '`sequence` is the number of the last one. Each is what a `LogLine` is.',
  interfaces: [JobEventInterface],
  fields: (t) => ({
    firstSequence: t.exposeInt('firstSequence', { description: 'The number of the first line.' }),
    stream: t.expose('stream', { type: LogStream, description: 'Whether the script or the platform said them.' }),
    texts: t.stringList({
      description: 'The lines, without their endings: the one at index i has the number `firstSequence` + i.',
      resolve: ({ texts }) => [...texts],
    }),
  }),
});

builder.objectRef<Numbered<'omitted'>>('OutputOmitted').implement({
  description:
    'Lines of the script that are left out, as it printed more than is kept: the first half of the limit and the end stay. ' +
    'One event tells of all that an attempt has. Its own number is that of the last one, and grows while the script ' +
    'prints: who has lines of between already goes on behind them.',
  interfaces: [JobEventInterface],
  fields: (t) => ({
    firstSequence: t.exposeInt('firstSequence', {
      description:
        'The number of the first one. Events between it and `sequence` that are no lines of the script are there.',
    }),
    lines: t.exposeInt('lines', { description: 'How many lines are left out.' }),
    bytes: t.exposeFloat('bytes', { description: 'How many bytes those are, each with a line feed, a whole number.' }),
  }),
});

builder.objectRef<Numbered<'metric'>>('MetricLogged').implement({
  description: 'The script logged a metric to MLflow.',
  interfaces: [JobEventInterface],
  fields: (t) => ({
    runId: t.exposeID('runId', { description: 'The run that it was logged to.' }),
    key: t.exposeString('key', { description: 'The name of the metric.' }),
    value: t.float(metricValueField),
    text: t.string(metricTextField),
    step: t.exposeFloat('step', { description: 'The step that the script gave, a whole number; 0 when it gave none.' }),
  }),
});

const RegisteredBy = builder.enumType('RegisteredBy', {
  description: 'Who registered a model version.',
  values: {
    SCRIPT: { value: 'script', description: 'The script did so by itself, with MLflow’s client.' },
    PLATFORM: { value: 'platform', description: 'The platform, after the script had ended well.' },
  } as const,
});

builder.objectRef<Numbered<'registration'>>('ModelRegistered').implement({
  description: 'A model version came out of the job.',
  interfaces: [JobEventInterface],
  fields: (t) => ({
    modelName: t.exposeString('modelName', { description: 'The name of the registered model.' }),
    version: t.exposeString('version', { description: 'The number of its new version, as text.' }),
    // Not the run itself: `MetricLogged` has a `runId` that is never null, and one selection could not hold both.
    modelVersion: t.field({
      type: ModelVersion,
      nullable: true,
      description: 'That version, with its run; null when it is gone.',
      resolve: ({ modelName, version }) => modelVersionKey(modelName, version),
    }),
    registeredBy: t.expose('registeredBy', {
      type: RegisteredBy,
      description: 'Whether the script registered it itself.',
    }),
  }),
});

builder.objectRef<Numbered<'check'>>('ModelChecked').implement({
  description: 'A model version that came out of the job was tried as it would be served.',
  interfaces: [JobEventInterface, ModelMeasures],
  fields: (t) => ({
    modelName: t.exposeString('modelName', { description: 'The name of the registered model.' }),
    version: t.exposeString('version', { description: 'The number of its version, as text.' }),
    modelVersion: t.field({
      type: ModelVersion,
      nullable: true,
      description: 'That version, with all that is known of its check; null when it is gone.',
      resolve: ({ modelName, version }) => modelVersionKey(modelName, version),
    }),
    isServable: t.boolean({
      description: 'Whether it is served; else requests for predictions of it are refused.',
      resolve: ({ refusal }) => refusal === null,
    }),
    refusal: t.exposeString('refusal', { nullable: true, description: 'Why it is not, in one line.' }),
  }),
});

const ScriptEnd = builder.interfaceRef<Numbered<'attempt' | 'end'>>('ScriptEnd').implement({
  description:
    'How the script of an attempt ended, and the proof of what it printed. `lines`, `bytes` and `sha256` are of all of it (the ' +
    'texts of both its streams in the order of their numbers, each followed by a line feed, in UTF-8); `keptLines`, ' +
    '`keptBytes` and `keptSha256` of what the output limit left, which is the same when there is no `OutputOmitted`. So a ' +
    'reader can prove that it has all. When the end of the script was not seen, as of a job that was lost, both are of ' +
    'what was kept.',
  fields: (t) => ({
    exitCode: t.exposeInt('exitCode', { nullable: true, description: 'How the script exited; null when it did not.' }),
    signal: t.exposeString('signal', { nullable: true, description: 'The signal that ended the script, if one did.' }),
    lines: t.exposeInt('lines', { description: 'How many lines the script printed.' }),
    bytes: t.exposeFloat('bytes', { description: 'How many bytes those are, a whole number.' }),
    sha256: t.exposeString('sha256', { description: 'Their SHA-256 in hexadecimal.' }),
    keptLines: t.int({ description: 'How many lines are still there.', resolve: (end) => keptOf(end).lines }),
    keptBytes: t.float({
      description: 'How many bytes those are, a whole number.',
      resolve: (end) => keptOf(end).bytes,
    }),
    keptSha256: t.string({ description: 'Their SHA-256 in hexadecimal.', resolve: (end) => keptOf(end).sha256 }),
  }),
});

builder.objectRef<Numbered<'attempt'>>('AttemptEnded').implement({
  description:
    'An attempt has ended, and another one follows after a pause. `lines` and what comes after it are of the output of this ' +
    'attempt alone.',
  interfaces: [JobEventInterface, ScriptEnd],
  fields: (t) => ({
    attempt: t.exposeInt('attempt', { description: 'Its number, from 1.' }),
    status: t.expose('status', { type: JobStatusType, description: 'How it ended.' }),
    error: t.exposeString('error', { description: 'Why it did not complete, for people to read.' }),
  }),
});

builder.objectRef<Numbered<'end'>>('JobEnded').implement({
  description: 'The last event of a job. `lines` and what comes after it are of the output of its last attempt.',
  interfaces: [JobEventInterface, ScriptEnd],
  fields: (t) => ({
    status: t.expose('status', { type: JobStatusType, description: 'The status it ended with.' }),
  }),
});

function keptOf(end: Numbered<'attempt' | 'end'>): OutputProof {
  return end.kept ?? end;
}

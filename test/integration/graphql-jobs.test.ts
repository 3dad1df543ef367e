import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { appendEvents } from '../../src/jobs/event-store.ts';
import { claimJobs } from '../../src/jobs/queue.ts';
import { endAttempt } from '../../src/jobs/transitions.ts';
import { AsgardError } from '../../src/platform/errors.ts';
import { presentJobWithLog } from '../../src/rest/present.ts';
import { type GraphqlForTests, post, startGraphql } from '../support/graphql-for-tests.ts';
import { SUBMISSION } from '../support/submission.ts';
import { workerNamed } from '../support/worker.ts';

let api: GraphqlForTests;

beforeAll(async () => {
  api = await startGraphql();
});

afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
});

const cursorOf = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

const SUBMIT = `mutation ($input: SubmitTrainingJobInput!) {
  submitTrainingJob(input: $input) {
    __typename
    ... on TrainingJob { id status script requirements timeoutSeconds lastSequence
      environmentVariables { name value } tags { key value } }
    ... on Error { code message }
    ... on InvalidInputError { issues { path message type } }
  }
}`;

const INPUT = {
  scriptName: 'train.py',
  script: 'print("hello")\n',
  experimentName: 'churn',
  modelName: 'churn_model',
};

describe('submitTrainingJob', () => {
  it('stores a job with what it was given and the defaults of the rest', async () => {
    const { body } = await post(api.url, SUBMIT, {
      input: {
        ...INPUT,
        requirements: ['pandas>=2'],
        environmentVariables: [{ name: 'DATA_PATH', value: `/data/"a b"'$x` }],
        tags: [{ key: 'team', value: 'crm' }],
      },
    });
    expect(body.errors).toBeUndefined();
    expect(body.data.submitTrainingJob).toMatchObject({
      __typename: 'TrainingJob',
      status: 'QUEUED',
      script: INPUT.script,
      requirements: ['pandas>=2'],
      timeoutSeconds: 300,
      environmentVariables: [{ name: 'DATA_PATH', value: `/data/"a b"'$x` }],
      tags: [{ key: 'team', value: 'crm' }],
    });
    await expect(api.services.jobs.get(body.data.submitTrainingJob.id)).resolves.toMatchObject({ status: 'QUEUED' });
  });

  it('answers bad input as a value that names each field by the input’s own names', async () => {
    const { status, body } = await post(api.url, SUBMIT, {
      input: {
        ...INPUT,
        timeoutSeconds: 5,
        environmentVariables: [{ name: 'PATH', value: '/x' }],
        requirements: ['--index-url=http://example.com'],
      },
    });
    expect(status).toBe(200);
    expect(body.data.submitTrainingJob).toMatchObject({ __typename: 'InvalidInputError', code: 'INVALID_INPUT' });
    const paths = body.data.submitTrainingJob.issues.map((issue: { path: string[] }) => issue.path.join('.'));
    expect(paths.sort()).toEqual(['environmentVariables.PATH', 'requirements.0', 'timeoutSeconds']);
  });

  it('says of a full queue that it is, as a value that can be selected', async () => {
    const query = `mutation ($input: SubmitTrainingJobInput!) { submitTrainingJob(input: $input) {
      ... on QueueFullError { code message isRetryable } } }`;
    const submit = vi.spyOn(api.services.jobs, 'submit').mockRejectedValue(new AsgardError('QUEUE_FULL', 'full'));
    const { body } = await post(api.url, query, { input: { ...INPUT, graceSeconds: 5, priority: -3 } });
    expect(body.data.submitTrainingJob).toEqual({ code: 'QUEUE_FULL', message: 'full', isRetryable: true });
    expect(submit).toHaveBeenCalledWith(expect.objectContaining({ graceSeconds: 5, priority: -3 }));
    submit.mockRestore();
  });

  it('refuses a variable that is given twice', async () => {
    const twice = [1, 2].map((value) => ({ name: 'A', value: String(value) }));
    const { body } = await post(api.url, SUBMIT, { input: { ...INPUT, environmentVariables: twice } });
    expect(body.data.submitTrainingJob).toMatchObject({
      __typename: 'InvalidInputError',
      issues: [{ path: ['environmentVariables', 'A'], type: 'duplicate' }],
    });
  });
});

describe('attempts', () => {
  it('are told with how each ended and which events are its own, and a silent machine with a mark', async () => {
    const { id } = await api.services.jobs.submit({ ...SUBMISSION, priority: 100, retries: 1 });
    const query = `query ($id: ID!) { trainingJob(id: $id) { status retries retryOn isUnreachable
      attempts { number status error exitCode signal maxRssBytes cpuSeconds firstSequence lastSequence endedAt isUnreachable } } }`;
    const look = async () => (await post(api.url, query, { id })).body.data.trainingJob;
    expect(await look()).toEqual({
      status: 'QUEUED',
      retries: 1,
      retryOn: 'INFRASTRUCTURE',
      isUnreachable: false,
      attempts: [],
    });
    const worker = workerNamed('silent');
    const [claim] = await claimJobs(api.database, worker, 1);
    if (claim?.jobId !== id) throw new Error('another job was claimed');
    const silent = (seconds: number) =>
      api.database.jobAttempt.updateMany({
        where: { id: claim.id },
        data: { leaseExpiresAt: new Date(Date.now() - seconds * 1000) },
      });
    await silent(0);
    expect(await look()).toMatchObject({
      isUnreachable: false,
      attempts: [{ status: 'PREPARING', isUnreachable: false }],
    });
    await silent(31);
    expect(await look()).toMatchObject({
      isUnreachable: true,
      attempts: [{ isUnreachable: true, lastSequence: null }],
    });
    const end = { status: 'LOST', error: 'gone', isInfrastructure: true } as const;
    const usage = { maxRssBytes: 5_000_000_000, cpuSeconds: 0.25 };
    expect(await endAttempt(api.database, id, claim, { ...end, usage })).toBe('retried');
    expect(await look()).toMatchObject({
      status: 'QUEUED',
      isUnreachable: false,
      attempts: [{ number: 1, ...usage, status: 'LOST', error: 'gone', firstSequence: 2, lastSequence: 5 }],
    });
    await api.services.jobs.cancel(id);
  });
});

describe('cancelTrainingJob', () => {
  const CANCEL = `mutation ($id: ID!, $reason: String) {
    cancelTrainingJob(id: $id, reason: $reason) {
      __typename ... on TrainingJob { status error completedAt } ... on Error { code message }
    }
  }`;

  it('ends a queued job with the reason, and asking again changes nothing', async () => {
    const { id } = await api.services.jobs.submit(SUBMISSION);
    const { body: first } = await post(api.url, CANCEL, { id, reason: 'not needed' });
    expect(first.data.cancelTrainingJob).toMatchObject({ status: 'CANCELLED', error: 'not needed' });
    const { body: second } = await post(api.url, CANCEL, { id, reason: 'other' });
    expect(second.data.cancelTrainingJob).toEqual(first.data.cancelTrainingJob);
  });

  it('answers an unknown id with a NotFoundError that names it', async () => {
    const { body } = await post(api.url, CANCEL, { id: 'nope' });
    expect(body.data.cancelTrainingJob).toMatchObject({ __typename: 'NotFoundError', code: 'NOT_FOUND' });
    expect(body.data.cancelTrainingJob.message).toContain('nope');
  });
});

describe('a reason to cancel', () => {
  it.each(['x'.repeat(1001), 'a\0b'])('that cannot be kept is an InvalidInputError', async (reason) => {
    const { id } = await api.services.jobs.submit(SUBMISSION);
    const { body } = await post(
      api.url,
      `mutation ($id: ID!, $reason: String) { cancelTrainingJob(id: $id, reason: $reason) {
        __typename ... on InvalidInputError { issues { path } } } }`,
      { id, reason },
    );
    expect(body).toEqual({
      data: { cancelTrainingJob: { __typename: 'InvalidInputError', issues: [{ path: ['reason'] }] } },
    });
    await expect(api.services.jobs.get(id)).resolves.toMatchObject({ status: 'QUEUED' });
  });
});

describe('trainingJobs', () => {
  const PAGE = `query ($first: Int, $last: Int, $after: String, $before: String, $filter: TrainingJobFilter) {
    trainingJobs(first: $first, last: $last, after: $after, before: $before, filter: $filter) {
      edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }`;
  const filter = { modelName: 'paged' };
  const idsOf = (data: { trainingJobs: { edges: { node: { id: string } }[] } }) =>
    data.trainingJobs.edges.map(({ node }) => node.id);

  it('pages newest first without loss or repetition while jobs are added', async () => {
    const ids: string[] = [];
    for (let count = 0; count < 5; count += 1) {
      const job = await api.services.jobs.submit({ ...SUBMISSION, modelName: 'paged' });
      ids.unshift(job.id);
    }
    // Two of the same moment: the id decides.
    await api.database.trainingJob.updateMany({
      where: { modelName: 'paged' },
      data: { createdAt: new Date('2030-01-01T00:00:00Z') },
    });
    const order = ids.toSorted().toReversed();
    const { body: first } = await post(api.url, PAGE, { first: 2, filter });
    expect(idsOf(first.data)).toEqual(order.slice(0, 2));
    expect(first.data.trainingJobs.pageInfo).toMatchObject({ hasNextPage: true });

    const added = await api.services.jobs.submit({ ...SUBMISSION, modelName: 'paged' });
    await api.database.trainingJob.update({
      where: { id: added.id },
      data: { createdAt: new Date('2031-01-01T00:00:00Z') },
    });
    const after = first.data.trainingJobs.pageInfo.endCursor;
    const { body: second } = await post(api.url, PAGE, { first: 2, after, filter });
    expect(idsOf(second.data)).toEqual(order.slice(2, 4));
    const { body: third } = await post(api.url, PAGE, {
      first: 2,
      after: second.data.trainingJobs.pageInfo.endCursor,
      filter,
    });
    expect(idsOf(third.data)).toEqual(order.slice(4));
    expect(third.data.trainingJobs.pageInfo).toMatchObject({ hasNextPage: false });
    const { body: back } = await post(api.url, PAGE, { last: 10, before: after, filter });
    expect(idsOf(back.data)).toEqual([added.id, ...order.slice(0, 1)]);
  });

  it('refuses a cursor that is none, or one of another order', async () => {
    const { id } = await api.services.jobs.submit(SUBMISSION);
    const mark = async (orderBy: object) => {
      const query = `query ($orderBy: TrainingJobOrder) { trainingJobs(first: 1, orderBy: $orderBy) { pageInfo { endCursor } } }`;
      const { body } = await post(api.url, query, { orderBy });
      const cursor: string = body.data.trainingJobs.pageInfo.endCursor;
      return { cursor, mark: JSON.parse(Buffer.from(cursor, 'base64url').toString())[0] };
    };
    const own = await mark({ field: 'CREATED_AT' });
    const places = [
      { id: 'a\0b', at: null },
      { id, at: '0' },
      { id, at: '-271821-04-20T00:00:00.000Z' },
      { id: 5, at: null },
    ];
    const forged = [
      'rubbish',
      '',
      cursorOf(5),
      cursorOf([]),
      ...[null, {}, ...places].map((place) => cursorOf([own.mark, place])),
    ];
    for (const cursor of [...forged, (await mark({ field: 'STARTED_AT' })).cursor]) {
      for (const [name, args] of [
        ['after', { first: 2, after: cursor }],
        ['before', { last: 2, before: cursor }],
      ] as const) {
        const { body } = await post(api.url, PAGE, args);
        expect(body.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', issues: [{ path: [name] }] } }]);
      }
    }
    expect(api.log.filter(({ msg }) => msg === 'graphql.fault')).toEqual([]);
  });

  it('refuses a filter that no database can hold', async () => {
    const { body } = await post(api.url, PAGE, { filter: { modelName: 'a\0' } });
    expect(body.errors).toMatchObject([
      { extensions: { code: 'INVALID_INPUT', issues: [{ path: ['filter', 'modelName'] }] } },
    ]);
  });
});

describe('a list', () => {
  it.each([
    ...[-1, 0, 101].flatMap((size) => [
      [`{ trainingJobs(first: ${size}) { pageInfo { endCursor } } }`, 'first'],
      [`{ trainingJobs(last: ${size}) { pageInfo { endCursor } } }`, 'last'],
      [`{ experiments(first: ${size}) { pageInfo { endCursor } } }`, 'first'],
      [`{ models(first: ${size}) { pageInfo { endCursor } } }`, 'first'],
      [`query ($id: ID!) { trainingJob(id: $id) { runs(first: ${size}) { pageInfo { endCursor } } } }`, 'first'],
      [
        `query ($id: ID!) { trainingJob(id: $id) { registeredVersions(first: ${size}) { pageInfo { endCursor } } } }`,
        'first',
      ],
    ]),
    ...[-1, 0, 1001].map((size) => [
      `query ($id: ID!) { trainingJob(id: $id) { events(first: ${size}) { sequence } } }`,
      'first',
    ]),
  ])('of a size out of range is refused, not cut: %s', async (query, argument) => {
    const { id } = await api.services.jobs.submit(SUBMISSION);
    const { body } = await post(api.url, query ?? '', { id });
    expect(body.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', issues: [{ path: [argument] }] } }]);
  });

  it.each(['runs', 'registeredVersions'])('of a job (%s) takes no cursor but its own', async (field) => {
    const { id } = await api.services.jobs.submit(SUBMISSION);
    for (const after of ['rubbish', '', cursorOf(['', { id: '1' }]), cursorOf({ id: '1' })]) {
      const query = `query ($id: ID!, $after: String) { trainingJob(id: $id) {
        ${field}(after: $after) { pageInfo { endCursor } } } }`;
      const { body } = await post(api.url, query, { id, after });
      expect(body.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', issues: [{ path: ['after'] }] } }]);
    }
  });
});

describe('trainingJob', () => {
  it('counts the seconds from when it was handed in to its end, as REST does', async () => {
    const { id } = await api.services.jobs.submit(SUBMISSION);
    const createdAt = new Date('2030-01-01T00:00:00.000Z');
    const [startedAt, completedAt] = [new Date('2030-01-01T00:00:05Z'), new Date('2030-01-01T00:00:12.900Z')];
    await api.database.trainingJob.update({ where: { id }, data: { createdAt, startedAt, completedAt } });
    const { body } = await post(api.url, 'query ($id: ID!) { trainingJob(id: $id) { elapsedSeconds } }', { id });
    const job = await api.services.jobs.get(id);
    expect(body.data.trainingJob.elapsedSeconds).toBe(12);
    expect(body.data.trainingJob.elapsedSeconds).toBe(presentJobWithLog(job, '', [], new Date()).elapsed_seconds);
  });

  it('is null for an id of characters that no database can hold', async () => {
    const { body } = await post(api.url, 'query ($id: ID!) { trainingJob(id: $id) { id } run(id: $id) { id } }', {
      id: 'a\0b',
    });
    expect(body).toEqual({ data: { trainingJob: null, run: null } });
  });

  it('is null for an id that nobody has', async () => {
    const { body } = await post(api.url, '{ trainingJob(id: "nope") { id } }');
    expect(body).toEqual({ data: { trainingJob: null } });
  });

  it('gives its events by number and kind, and its log as text', async () => {
    const { id } = await api.services.jobs.submit(SUBMISSION);
    const at = new Date().toISOString();
    await appendEvents(api.database, id, [
      { type: 'environment', at, text: 'resolving' },
      { type: 'log', at, stream: 'stdout', text: 'epoch 1' },
      { type: 'metric', at, runId: 'r1', key: 'loss', value: 'NaN', step: 1_700_000_000_000 },
      { type: 'metric', at, runId: 'r1', key: 'loss', value: 0.25, step: 2 },
    ]);
    const { body } = await post(
      api.url,
      `query ($id: ID!, $after: Int) { trainingJob(id: $id) { logText elapsedSeconds lastSequence run { id }
        all: events { __typename sequence }
        none: events(after: 2147483647) { sequence }
        some: events(after: $after, types: [METRIC, LOG]) { __typename sequence
          ... on LogLine { stream text } ... on MetricLogged { value text step } } } }`,
      { id, after: 2 },
    );
    expect(body.errors).toBeUndefined();
    expect(body.data.trainingJob).toMatchObject({
      logText: 'resolving\nepoch 1\n',
      elapsedSeconds: expect.any(Number),
      lastSequence: 5,
      none: [],
    });
    expect(body.data.trainingJob.all.map((event: { sequence: number }) => event.sequence)).toEqual([1, 2, 3, 4, 5]);
    expect(body.data.trainingJob.some).toMatchObject([
      { __typename: 'LogLine', sequence: 3, stream: 'STDOUT', text: 'epoch 1' },
      { __typename: 'MetricLogged', sequence: 4, value: null, text: 'NaN', step: 1_700_000_000_000 },
      { __typename: 'MetricLogged', sequence: 5, value: 0.25, text: '0.25', step: 2 },
    ]);
  });

  it('shows that MLflow is away as an error with a code, beside what needs no MLflow', async () => {
    const { id } = await api.services.jobs.submit(SUBMISSION);
    const { body } = await post(api.url, 'query ($id: ID!) { trainingJob(id: $id) { id experiment { id } } }', { id });
    expect(body.data.trainingJob).toEqual({ id, experiment: null });
    expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'UNAVAILABLE', isRetryable: true });
  });
});

describe('predict', () => {
  const PREDICT = `mutation ($input: PredictInput!) { predict(input: $input) {
    __typename ... on Error { code } ... on InvalidInputError { issues { path } } ... on UnavailableError { isRetryable } } }`;

  it('answers inputs that are no columns as bad input', async () => {
    const { body } = await post(api.url, PREDICT, { input: { modelName: 'm', inputs: { age: 3 } } });
    expect(body.data.predict).toMatchObject({ __typename: 'InvalidInputError', issues: [{ path: ['inputs', 'age'] }] });
  });

  it('answers an MLflow that is away as UnavailableError', async () => {
    const { body } = await post(api.url, PREDICT, { input: { modelName: 'm', inputs: { age: [3] } } });
    expect(body.data.predict).toEqual({ __typename: 'UnavailableError', code: 'UNAVAILABLE', isRetryable: true });
  });
});

describe('a fault', () => {
  it('is masked, and logged once with the id that the caller sees', async () => {
    const { id } = await api.services.jobs.submit(SUBMISSION);
    // A row that no code of ours writes.
    await api.database.trainingJob.update({ where: { id }, data: { tags: ['broken'] } });
    const { body, headers } = await post(api.url, 'query ($id: ID!) { trainingJob(id: $id) { tags { key } } }', { id });
    const requestId = headers.get('x-request-id');
    expect(body.errors).toMatchObject([{ extensions: { code: 'INTERNAL', requestId } }]);
    expect(JSON.stringify(body)).not.toContain('expected record');
    expect(api.log.filter(({ msg }) => msg === 'graphql.fault')).toMatchObject([{ requestId, level: 50 }]);
  });
});

describe('platformStatus', () => {
  it('answers while MLflow is away', async () => {
    const { body } = await post(
      api.url,
      '{ platformStatus { ready mlflowAvailable notReady jobs { queued running } } }',
    );
    expect(body.errors).toBeUndefined();
    expect(body.data.platformStatus).toMatchObject({ ready: false, mlflowAvailable: false });
  });
});

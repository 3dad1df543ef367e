import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Prisma } from '../../src/database/generated/client.ts';
import type { JobStatus } from '../../src/database/generated/enums.ts';
import { countJobs, type JobFilter, type JobOrder, listJobs } from '../../src/jobs/job-list.ts';
import { type GraphqlForTests, post, startGraphql } from '../support/graphql-for-tests.ts';
import { allPages, page } from '../support/pages.ts';
import { SUBMISSION } from '../support/submission.ts';

let api: GraphqlForTests;
beforeAll(async () => {
  api = await startGraphql();
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
});

const FIELDS = ['CREATED_AT', 'STARTED_AT', 'COMPLETED_AT'] as const;
const at = (second: number | null) => (second === null ? null : new Date(Date.UTC(2030, 0, 1, 0, 0, second)));

/** A job whose script's name tells which it is. */
async function addJob(
  name: string,
  changes: { experimentName?: string; tags?: Record<string, string>; modelName?: string } = {},
  row: { status?: JobStatus; createdAt?: Date; startedAt?: Date | null; completedAt?: Date | null } = {},
): Promise<void> {
  const { id } = await api.services.jobs.submit({ ...SUBMISSION, scriptName: name, ...changes });
  await api.database.trainingJob.update({ where: { id }, data: row });
}

const namesOf = (nodes: { scriptName: string }[]) => nodes.map(({ scriptName }) => scriptName);
const jobs = async (args: string, first?: number, between?: () => Promise<unknown>) =>
  namesOf(
    await allPages(
      api.url,
      { field: 'trainingJobs(ARGS)', node: 'scriptName', args: `, ${args}`, ...(first && { first }) },
      between,
    ),
  );

describe('the list of jobs', () => {
  it.each(FIELDS)('ordered by %s is seen once while jobs are added, in both directions', async (field) => {
    const experimentName = `order ${field}`;
    // Some of the same moment, and some that have not come to it.
    const moments = [3, 1, null, 2, 2, null, 2, 5];
    for (const [index, second] of moments.entries()) {
      const moment = field === 'CREATED_AT' ? (at(second ?? 0) ?? undefined) : undefined;
      const row = { startedAt: at(second), completedAt: at(second), ...(moment && { createdAt: moment }) };
      await addJob(`job ${index}`, { experimentName }, row);
    }
    const argsOf = (direction: string) =>
      `filter: { experimentName: "${experimentName}", scriptName: "job" }, orderBy: { field: ${field}, direction: ${direction} }`;
    const descending = await jobs(argsOf('DESC'), 100);
    expect(descending.map((name) => moments[Number(name.at(-1))])).toEqual([5, 3, 2, 2, 2, 1, null, null]);
    for (const [direction, all] of [
      ['DESC', descending],
      ['ASC', descending.toReversed()],
    ] as const) {
      const second = direction === 'DESC' ? 59 : -59;
      const add = () =>
        addJob(
          'job new',
          { experimentName },
          { createdAt: at(second) ?? new Date(), startedAt: at(second), completedAt: at(second) },
        );
      expect(await jobs(argsOf(direction), 3, add)).toEqual(all);
      await api.database.trainingJob.deleteMany({ where: { scriptName: 'job new' } });
    }
  });

  it('goes backwards too, and says on each page what lies before and after it', async () => {
    for (let index = 0; index < 5; index += 1) {
      await addJob(`back ${index}`, { experimentName: 'back' }, { createdAt: at(index) ?? new Date() });
    }
    const filter = 'filter: { experimentName: "back" }';
    const read = async (args: string) => {
      const query = `{ trainingJobs(${args}, ${filter}) { edges { cursor node { scriptName } } totalCount
        pageInfo { hasNextPage hasPreviousPage endCursor startCursor } } }`;
      const { body } = await post(api.url, query);
      const { edges, pageInfo, totalCount } = body.data.trainingJobs;
      const names: string[] = edges.map(({ node }: { node: { scriptName: string } }) => node.scriptName.slice(-1));
      return { names: names.join(''), totalCount, ...pageInfo };
    };
    const last = await read('last: 2');
    expect(last).toMatchObject({ names: '10', hasPreviousPage: true, hasNextPage: false, totalCount: 5 });
    const before = await read(`last: 2, before: "${last.startCursor}"`);
    expect(before).toMatchObject({ names: '32', hasPreviousPage: true, hasNextPage: true, totalCount: 5 });
    expect(await read(`last: 2, before: "${before.startCursor}"`)).toMatchObject({
      names: '4',
      hasPreviousPage: false,
    });
    const between = await read(`first: 9, after: "${before.startCursor}", before: "${last.endCursor}"`);
    expect(between).toMatchObject({ names: '21', hasPreviousPage: true, hasNextPage: true });
    expect(await read(`first: 9, after: "${last.endCursor}"`)).toMatchObject({
      names: '',
      hasPreviousPage: true,
      hasNextPage: false,
      endCursor: null,
    });
  });

  it('says that nothing precedes a page once what preceded it has left the filter', async () => {
    await addJob('left 0', { modelName: 'left' }, { status: 'RUNNING', createdAt: at(2) ?? new Date() });
    await addJob('left 1', { modelName: 'left' }, { status: 'RUNNING', createdAt: at(1) ?? new Date() });
    const args = 'first: 1, filter: { modelName: "left", statuses: [RUNNING] }';
    const first = await page(api.url, 'trainingJobs(ARGS)', 'id', args);
    await api.database.trainingJob.updateMany({ where: { scriptName: 'left 0' }, data: { status: 'FAILED' } });
    const { pageInfo } = await page(api.url, 'trainingJobs(ARGS)', 'id', args, first.pageInfo.endCursor);
    expect(pageInfo).toMatchObject({ hasPreviousPage: false, hasNextPage: false });
  });

  it('is chosen by statuses, names, tags, moments and part of the script’s name, all together', async () => {
    const day = (number: number) => ({ createdAt: new Date(Date.UTC(2031, 0, number)) });
    const experimentName = 'filters';
    await addJob(
      'train_100%.py',
      { experimentName, modelName: 'a', tags: { team: 'crm', stage: 'x' } },
      { status: 'FAILED', ...day(1) },
    );
    await addJob(
      'TRAIN_B.py',
      { experimentName, modelName: 'a', tags: { team: 'crm' } },
      { status: 'LOST', ...day(2) },
    );
    await addJob('other.py', { experimentName, modelName: 'b', tags: { team: 'it', 'a"\\b': 'c' } }, day(3));
    const chosen = (filter: string) => jobs(`filter: { experimentName: "filters" ${filter} }`);
    expect(await chosen('statuses: [FAILED, LOST]')).toEqual(['TRAIN_B.py', 'train_100%.py']);
    expect(await chosen('statuses: []')).toEqual([]);
    expect(await chosen('modelName: "b"')).toEqual(['other.py']);
    expect(await chosen('tags: [{ key: "team", value: "crm" }]')).toEqual(['TRAIN_B.py', 'train_100%.py']);
    expect(await chosen('tags: [{ key: "team", value: "crm" }, { key: "stage", value: "x" }]')).toEqual([
      'train_100%.py',
    ]);
    expect(await chosen('tags: [{ key: "a\\"\\\\b", value: "c" }]')).toEqual(['other.py']);
    expect(await chosen('createdFrom: "2031-01-02T00:00:00Z", createdBefore: "2031-01-03T00:00:00+00:00"')).toEqual([
      'TRAIN_B.py',
    ]);
    expect(await chosen('scriptName: "train_"')).toEqual(['TRAIN_B.py', 'train_100%.py']);
    expect(await chosen('scriptName: "%"')).toEqual(['train_100%.py']);
    expect(await chosen('scriptName: "\\\\"')).toEqual([]);
    expect(
      await chosen('statuses: [FAILED], modelName: "a", scriptName: "TRAIN", createdBefore: "2031-01-02T00:00:00Z"'),
    ).toEqual(['train_100%.py']);
    expect(await chosen('statuses: null, modelName: null')).toHaveLength(3);
  });

  it.each([
    [{ scriptName: 'x'.repeat(256) }, ['filter', 'scriptName']],
    [{ experimentName: 'x'.repeat(501) }, ['filter', 'experimentName']],
    [{ tags: Array.from({ length: 11 }, () => ({ key: 'a', value: 'b' })) }, ['filter', 'tags']],
    [{ tags: [{ key: '\0', value: 'b' }] }, ['filter', 'tags', 0, 'key']],
    [{ statuses: Array.from({ length: 9 }, () => 'LOST') }, ['filter', 'statuses']],
    [{ createdFrom: '0000-01-01T00:00:00Z' }, ['filter', 'createdFrom']],
  ])('refuses the filter %#, by the name of its field', async (filter, path) => {
    const query = 'query ($filter: TrainingJobFilter) { trainingJobs(filter: $filter) { totalCount } }';
    const { body } = await post(api.url, query, { filter });
    expect(body.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', issues: [{ path }] } }]);
  });

  it.each(['1', '2031-01-01', '2031-01-01T00:00:00', 'yesterday'])('refuses the moment %s', async (createdFrom) => {
    const query = 'query ($filter: TrainingJobFilter) { trainingJobs(filter: $filter) { totalCount } }';
    const { body } = await post(api.url, query, { filter: { createdFrom } });
    const issues = [{ path: ['filter', 'createdFrom'], message: expect.stringContaining('DateTime takes') }];
    expect(body.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', isRetryable: false, issues } }]);
  });

  it.each([
    ['query ($first: Int!) { trainingJobs(first: $first) { totalCount } }', {}, ['first']],
    ['query ($first: Int) { trainingJobs(first: $first) { totalCount } }', { first: 'x' }, ['first']],
    [
      'query ($filter: TrainingJobFilter) { trainingJobs(filter: $filter) { totalCount } }',
      { filter: { statuses: ['LOST', 'x" at "y"; '] } },
      ['filter', 'statuses', '1'],
    ],
  ])('refuses a variable that does not fit (%s, %j) by its name', async (query, variables, path) => {
    const { body } = await post(api.url, query, variables);
    expect(body.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', issues: [{ path }] } }]);
  });

  it('refuses a page from both ends', async () => {
    const { body } = await post(api.url, '{ trainingJobs(first: 1, last: 1) { totalCount } }');
    expect(body.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', issues: [{ path: ['last'] }] } }]);
  });
});

describe('with 100,000 jobs', { timeout: 240_000 }, () => {
  const JOBS = 100_000;
  const PART = 10_000;
  /** Rows that one page may read beside those it shows: a small part of all. */
  const MAX_ROWS_READ = 10_000;

  beforeAll(async () => {
    // In parts, as no statement may take longer than half a minute.
    for (let first = 1; first <= JOBS; first += PART)
      await api.database.$executeRaw`
      INSERT INTO training_jobs (id, script_name, script, experiment_name, model_name, requirements, environment_vars,
        timeout_seconds, tags, status, created_at, started_at, completed_at)
      SELECT lpad(to_hex(i), 16, '0'), 'train_' || i % 1000 || '.py', 'pass', 'many ' || (CASE WHEN i % 2 = 0 THEN 0 ELSE i % 500 END),
        'many ' || i % 300, '{}', '{}', 300, jsonb_build_object('team', 'team ' || i % 50, 'number', i::text),
        (CASE WHEN i > ${JOBS - 10} THEN 'QUEUED' WHEN i > ${JOBS - 20} THEN 'RUNNING' WHEN i % 100 = 0 THEN 'FAILED' ELSE 'COMPLETED' END)::"JobStatus",
        moment, CASE WHEN i <= ${JOBS - 10} THEN moment END, CASE WHEN i <= ${JOBS - 20} THEN moment + interval '2 minutes' END
      FROM (SELECT i, timestamptz '2029-01-01Z' - interval '1 minute' * (${JOBS} - i) AS moment FROM generate_series(${first}::int, ${first + PART - 1}::int) i) many`;
    await api.database.$executeRaw`VACUUM ANALYZE training_jobs`;
  });

  const filters: Record<string, JobFilter> = {
    'no filter': {},
    'rare statuses': { statuses: ['QUEUED', 'RUNNING'] },
    'a status that no job has': { statuses: ['LOST'] },
    'the status of most': { statuses: ['COMPLETED'] },
    'an experiment of half of all jobs': { experimentName: 'many 0' },
    'a small experiment': { experimentName: 'many 3' },
    'a model': { modelName: 'many 7' },
    'a tag': { tags: [{ key: 'team', value: 'team 3' }] },
    'a tag of one job': { tags: [{ key: 'number', value: '77' }] },
    'part of many script names': { scriptName: 'N_99' },
    'a big experiment’s failed jobs': { experimentName: 'many 0', statuses: ['FAILED'] },
  };
  const orders = (['createdAt', 'startedAt', 'completedAt'] as const).flatMap((by) =>
    [true, false].map((isAscending): JobOrder => ({ by, isAscending })),
  );

  it.each(Object.keys(filters))('a page by %s reads no more than it must, in every order', async (name) => {
    for (const order of orders) {
      const filter = filters[name] ?? {};
      const { places } = await listJobs(api.database, { filter, order, limit: 20 });
      const middle = { id: (JOBS / 2).toString(16).padStart(16, '0'), at: new Date(Date.UTC(2028, 10, 27)) };
      for (const after of [undefined, places.at(-1), middle]) {
        for (const rows of await rowsReadBy({ filter, order, limit: 20, after })) {
          expect(rows, JSON.stringify({ order, after })).toBeLessThan(MAX_ROWS_READ);
        }
      }
    }
  });

  it('created within a range is read by that range', async () => {
    const filter = { createdFrom: new Date(Date.UTC(2028, 10, 1)), createdBefore: new Date(Date.UTC(2028, 10, 3)) };
    for (const isAscending of [true, false]) {
      for (const rows of await rowsReadBy({ filter, order: { by: 'createdAt', isAscending }, limit: 20 })) {
        expect(rows).toBeLessThan(100);
      }
    }
    expect(await countJobs(api.database, filter)).toBe(2 * 24 * 60);
  });

  /** How many rows each statement of a page has taken from the table or an index, by PostgreSQL's own account. */
  async function rowsReadBy(request: Parameters<typeof listJobs>[1]): Promise<number[]> {
    const statements: Prisma.Sql[] = [];
    const recorder = {
      $queryRaw: async (strings: TemplateStringsArray, ...values: unknown[]) => {
        statements.push(Prisma.sql([...strings], ...values));
        return [];
      },
    };
    await listJobs(recorder as never, request);
    expect(statements.length).toBeGreaterThan(0);
    return Promise.all(
      statements.map(async (statement) => {
        const explained = Prisma.sql`EXPLAIN (ANALYZE, FORMAT JSON) ${statement}`;
        const [row] = await api.database.$queryRaw<{ 'QUERY PLAN': { Plan: Plan }[] }[]>(explained);
        return rowsOf(row?.['QUERY PLAN'][0]?.Plan);
      }),
    );
  }
});

interface Plan {
  readonly 'Node Type': string;
  readonly 'Actual Rows': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: Plan[];
}

function rowsOf(plan: Plan | undefined): number {
  if (plan === undefined) return 0;
  const own = /Scan/.test(plan['Node Type']) ? plan['Actual Rows'] + (plan['Rows Removed by Filter'] ?? 0) : 0;
  return own + (plan.Plans ?? []).reduce((sum, child) => sum + rowsOf(child), 0);
}

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SEARCH_CHARACTERS, searchEvents } from '../../src/jobs/event-search.ts';
import { appendEvents } from '../../src/jobs/event-store.ts';
import type { JobEvent } from '../../src/jobs/events.ts';
import { type GraphqlForTests, post, startGraphql } from '../support/graphql-for-tests.ts';
import { SUBMISSION } from '../support/submission.ts';

let api: GraphqlForTests;
let jobId: string;

beforeAll(async () => {
  api = await startGraphql();
  jobId = (await api.services.jobs.submit(SUBMISSION)).id;
  const moments = ['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:01.000Z', '2026-01-01T00:00:02.000Z'] as const;
  const line = (text: string, stream: 'stdout' | 'stderr' | 'platform', moment: 0 | 1 | 2): JobEvent => {
    return { type: 'log', at: moments[moment], stream, text };
  };
  await appendEvents(api.database, jobId, [
    { type: 'environment', at: moments[0], text: 'Resolving PANDAS' },
    line('INFO: reading with pandas', 'stdout', 0),
    line('100% done_now \\ "x"', 'stdout', 1),
    line('WARNING:root:slow', 'stderr', 1),
  ]);
  await appendEvents(api.database, jobId, [
    line('ValueError: Größe', 'stderr', 2),
    line('the platform', 'platform', 2),
    { type: 'metric', at: moments[2], runId: 'r', key: 'pandas', value: 1, step: 0 },
  ]);
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
});

const SEARCH = `query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String, $filter: JobEventFilter) {
  trainingJob(id: $id) {
    eventConnection(first: $first, after: $after, last: $last, before: $before, filter: $filter) {
      edges { cursor node { sequence ... on LogLine { level } } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}`;

async function search(variables: Record<string, unknown>, id = jobId) {
  const { body } = await post(api.url, SEARCH, { id, ...variables });
  if (body.errors !== undefined) return { errors: body.errors };
  const { edges, pageInfo } = body.data.trainingJob.eventConnection;
  for (const { cursor, node } of edges) expect(cursor).toBe(String(node.sequence));
  return { found: edges.map(({ node }: { node: { sequence: number } }) => node.sequence), pageInfo };
}

describe('the events of a job as a connection', () => {
  it('are all of them, and go on by the number of any', async () => {
    expect(await search({})).toEqual({
      found: [1, 2, 3, 4, 5, 6, 7, 8],
      pageInfo: { hasNextPage: false, hasPreviousPage: false, startCursor: '1', endCursor: '8' },
    });
    expect(await search({ after: '8' })).toMatchObject({ found: [], pageInfo: { hasNextPage: false, endCursor: '8' } });
    expect(await search({ after: '4', before: '7' })).toMatchObject({ found: [5, 6] });
  });

  it.each([1, 2, 3, 7, 8, 100])('come in pages of %i, from either end', async (size) => {
    const forwards: number[] = [];
    for (let after: string | null = '0'; after !== null; ) {
      const { found, pageInfo } = await search({ first: size, after });
      forwards.push(...found);
      after = pageInfo.hasNextPage ? pageInfo.endCursor : null;
    }
    const backwards: number[] = [];
    for (let before: string | null = '9'; before !== null; ) {
      const { found, pageInfo } = await search({ last: size, before });
      backwards.unshift(...found);
      before = pageInfo.hasPreviousPage ? pageInfo.startCursor : null;
    }
    expect(forwards).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(backwards).toEqual(forwards);
  });

  it.each([
    [{ contains: 'pandas' }, [2, 3]],
    [{ contains: 'GRÖSSE' }, []],
    [{ contains: 'GRÖßE' }, [6]],
    [{ contains: '%' }, [4]],
    [{ contains: '_now \\ "X' }, [4]],
    [{ contains: '.*' }, []],
    [{ contains: 'pandas', types: ['LOG'] }, [3]],
    [{ types: ['METRIC', 'STATUS'] }, [1, 8]],
    [{ streams: ['STDERR'] }, [5, 6]],
    [{ streams: ['STDOUT', 'PLATFORM'], contains: 'the' }, [7]],
    [{ streams: [] }, []],
    [{ minLevel: 'WARNING' }, [5, 6]],
    [{ minLevel: 'DEBUG' }, [3, 5, 6]],
    [{ minLevel: 'ERROR', contains: 'value' }, [6]],
    [{ from: '2026-01-01T00:00:01Z', before: '2026-01-01T01:00:02+01:00' }, [4, 5]],
    [{ contains: null, types: null }, [1, 2, 3, 4, 5, 6, 7, 8]],
  ])('are chosen by %j', async (filter, expected) => {
    expect(await search({ filter })).toMatchObject({ found: expected });
    expect(await search({ filter, last: 100 })).toMatchObject({ found: expected });
  });

  it('tell the level of a line', async () => {
    const { body } = await post(api.url, SEARCH, { id: jobId, filter: { types: ['LOG'] } });
    const levels = body.data.trainingJob.eventConnection.edges.map(
      ({ node }: { node: { level: string } }) => node.level,
    );
    expect(levels).toEqual(['INFO', null, 'WARNING', 'ERROR', null]);
  });

  it.each([
    [{ first: 0 }, 'first'],
    [{ last: 1001 }, 'last'],
    [{ first: 1, last: 1 }, 'last'],
    [{ after: '-1' }, 'after'],
    [{ after: 'x' }, 'after'],
    [{ before: '2147483648' }, 'before'],
    [{ filter: { contains: '' } }, 'contains'],
    [{ filter: { contains: 'x'.repeat(501) } }, 'contains'],
  ])('refuse %j and name it', async (variables, name) => {
    const { errors } = await search(variables);
    expect(errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT' } }]);
    expect(JSON.stringify(errors)).toContain(name);
  });
});

describe('a search of 100,000 lines', () => {
  const LINES = 100_000;
  let id: string;
  beforeAll(async () => {
    ({ id } = await api.services.jobs.submit(SUBMISSION));
    for (let from = 0; from < LINES; from += 1000) {
      const at = new Date(Date.UTC(2026, 0, 1) + from).toISOString();
      const lines = Array.from({ length: 1000 }, (_, index): JobEvent => {
        return { type: 'log', at, stream: 'stdout', text: `line ${from + index} of a training script, loss=0.12345` };
      });
      await appendEvents(api.database, id, lines);
    }
  });

  it('finds the one line that fits, from either end', async () => {
    for (const page of [{ first: 10 }, { last: 10 }]) {
      const filter = { contains: page.last === undefined ? 'LINE 99999 ' : 'LINE 0 ' };
      const { found } = await search({ ...page, filter }, id);
      expect(found).toEqual([page.last === undefined ? LINES + 1 : 2]);
    }
  });

  it('stops when it has looked at enough, and goes on from there', async () => {
    const found: number[] = [];
    let after = 0;
    for (let searches = 1; ; searches += 1) {
      const search = { filter: { contains: '000 of' }, after, before: 2 ** 31, limit: 1000, isFromEnd: false };
      const budget = { characters: SEARCH_CHARACTERS / 8 };
      const { events, hasMore, lookedUpTo } = await searchEvents(api.database, id, search, budget);
      found.push(...events.map(({ sequence }) => sequence));
      after = lookedUpTo ?? after;
      if (hasMore) continue;
      expect(searches).toBeGreaterThan(3);
      break;
    }
    expect(found).toEqual(Array.from({ length: 99 }, (_, index) => (index + 1) * 1000 + 2));
  });
});

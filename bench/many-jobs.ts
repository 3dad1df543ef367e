import { join } from 'node:path';
import { EmbeddedPostgres } from '../src/embedded/postgres.ts';
import { type Asgard, startAsgard, untilCompleted, upload } from './support/asgard.ts';
import { alternately, type Bench, type Claim, type Measured } from './support/bench.ts';
import { churnScript } from './support/churn.ts';
import { copyKey, createDatabase } from './support/copies.ts';
import { type Figure, median } from './support/figures.ts';
import { copyJob, copyRun, runOnMlflow } from './support/filled-servers.ts';
import { isAnswered, type LoadRequest, load } from './support/load.ts';
import { startMlflowServer } from './support/mlflow.ts';

const CLIENTS = 8;
/** In the table that counts as empty: lists of one page are then of the same length. */
const FEW = 20;
const PAGE = 20;

/** Steps through all copies in an order that no cache follows. */
const STRIDE = 7919;

/** What is asked of a server, and what it is called in a figure. */
interface Question {
  readonly url: string;
  readonly next: () => LoadRequest;
}

type Kind = 'poll' | 'list' | 'failed list' | 'REST list';

/** Status polls and lists with many ended jobs in the table, beside MLflow with as many runs. */
export const manyJobs: Claim = {
  name: 'many-jobs',
  title: 'Many jobs',
  async measure(bench): Promise<Measured> {
    const many = bench.size(2_000, 100_000);
    const files = await bench.newFolder('postgres');
    const postgres = await bench.own(
      EmbeddedPostgres.start({ folder: join(files, 'data'), logFile: join(files, 'log'), signal: bench.signal }),
    );
    const peer = await bench.own(startMlflowServer(bench, { databaseUrl: postgres.url('mlflow') }));
    const { runId, experimentId } = await runOnMlflow(bench, peer, await churnScript(bench, { home: files }));
    bench.say(`making ${many} MLflow runs`);
    await copyRun(postgres.url('postgres').replace(/[^/]*$/, 'mlflow'), runId, many - 1);

    bench.say(`making ${many} jobs`);
    const few = await asgardWith(bench, postgres, 'few', FEW);
    const full = await asgardWith(bench, postgres, 'full', many);
    bench.say('asking the three in turn');
    const [ours, oursWithFew, theirs] = await askInTurn(bench, [
      await questionsToAsgard(bench, full, many),
      await questionsToAsgard(bench, few, FEW),
      questionsToMlflow(peer.url, experimentId, many),
    ]);

    const figures = [...(ours?.keys() ?? [])].flatMap((kind): Figure[] => {
      const row = { what: WHAT[kind], unit: 'requests/s', better: 'higher', ours: rateOf(ours, kind) } as const;
      const mlflowKind = kind === 'REST list' ? 'list' : kind;
      const mlflowCall = kind === 'poll' ? 'runs/get' : 'runs/search';
      return [
        { ...row, peer: { name: `MLflow's ${mlflowCall}`, value: rateOf(theirs, mlflowKind) } },
        { ...row, peer: { name: `Asgard with ${FEW} jobs`, value: rateOf(oursWithFew, kind) } },
      ];
    });
    return {
      figures,
      notes: [
        `${many.toLocaleString('en')} ended jobs: one real training, copied with its events, attempts, runs and versions. The peer is \`mlflow server\` with as many runs, copied from the same training, in the same PostgreSQL. ${CLIENTS} clients.`,
        "Asgard's status poll carries the job's whole log, as the guide's client expects.",
      ],
    };
  },
};

const WHAT: Record<Kind, string> = {
  poll: 'status polls (`GET /mlops/training/jobs/{id}`)',
  list: `lists of the newest ${PAGE} (GraphQL \`trainingJobs\`)`,
  'failed list': `lists of the newest ${PAGE} that failed (GraphQL)`,
  'REST list': `lists of the newest ${PAGE} (\`GET /mlops/training/jobs\`)`,
};

/** A platform on a database of its own in which one real job has ended, and then so many. */
async function asgardWith(bench: Bench, postgres: EmbeddedPostgres, database: string, jobs: number): Promise<Asgard> {
  await createDatabase(postgres.url('postgres'), database);
  const databaseUrl = postgres.url(database);
  const asgard = await startAsgard(bench, { DATABASE_URL: databaseUrl });
  const id = await upload(asgard, await churnScript(bench, asgard));
  await untilCompleted(asgard, id);
  await copyJob(databaseUrl, id, jobs - 1);
  return asgard;
}

async function questionsToAsgard({ signal }: Bench, { url }: Asgard, jobs: number): Promise<Map<Kind, Question>> {
  const list = (filter: string): LoadRequest => {
    const fields = 'id scriptName experimentName modelName status createdAt completedAt';
    const query = `{ trainingJobs(first: ${PAGE}${filter}) { edges { node { ${fields} } } pageInfo { hasNextPage endCursor } } }`;
    return { path: '/graphql', body: JSON.stringify({ query }), expects: '"hasNextPage":' };
  };
  const poll = eachCopy(jobs, 16, (id) => ({ path: `/mlops/training/jobs/${id}`, expects: id }));
  const questions = new Map<Kind, Question>([
    ['poll', { url, next: poll }],
    ['list', { url, next: () => list('') }],
  ]);
  // What a version of the platform does not have is left out.
  const optional: readonly [Kind, LoadRequest][] = [
    ['failed list', list(', filter: { statuses: [FAILED] }')],
    ['REST list', { path: `/mlops/training/jobs?limit=${PAGE}`, expects: '"job_id":' }],
  ];
  for (const [kind, request] of optional) {
    if (await isAnswered(url, request, signal)) questions.set(kind, { url, next: () => request });
  }
  return questions;
}

function questionsToMlflow(url: string, experimentId: string, runs: number): Map<Kind, Question> {
  const search = (filter: string): Question => {
    const order_by = ['attributes.start_time DESC'];
    const body = JSON.stringify({ experiment_ids: [experimentId], max_results: PAGE, order_by, filter });
    return { url, next: () => ({ path: '/api/2.0/mlflow/runs/search', body, expects: '"runs":' }) };
  };
  const get = eachCopy(runs, 32, (id) => ({ path: `/api/2.0/mlflow/runs/get?run_id=${id}`, expects: id }));
  return new Map([
    ['poll', { url, next: get }],
    ['list', search('')],
    ['failed list', search("attributes.status = 'FAILED'")],
  ]);
}

function eachCopy(count: number, keyLength: number, request: (key: string) => LoadRequest): () => LoadRequest {
  let at = 0;
  return () => {
    at += STRIDE;
    return request(copyKey(1 + (at % (count - 1)), keyLength));
  };
}

type Rates = Map<Kind, number>;

/** Each kind of question to one server after the other, some times. */
async function askInTurn(bench: Bench, servers: readonly Map<Kind, Question>[]): Promise<Rates[]> {
  const rates = servers.map((): Rates => new Map());
  const [rounds, seconds] = [bench.size(1, 3), bench.size(0.5, 2)];
  for (const kind of ['poll', 'list', 'failed list', 'REST list'] as const) {
    const asked = servers.flatMap((questions, index) => {
      const question = questions.get(kind);
      return question === undefined ? [] : [{ index, question }];
    });
    const loads = asked.map(({ question }) => () => {
      return load({ ...question, clients: CLIENTS, seconds, signal: bench.signal });
    });
    const results = await alternately(rounds, loads, bench.signal);
    for (const [position, { index }] of asked.entries()) {
      rates[index]?.set(kind, median((results[position] ?? []).map(({ perSecond }) => perSecond)));
    }
  }
  return rates;
}

function rateOf(rates: Rates | undefined, kind: Kind): number {
  return rates?.get(kind) ?? Number.NaN;
}

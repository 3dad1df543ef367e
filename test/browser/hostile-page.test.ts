import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page, Response } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { Gate, JobsForTests } from '../support/jobs-for-tests.ts';
import { uniqueName } from '../support/unique-name.ts';
import { PAGE_LIMIT_MS, startChromium } from './chromium.ts';

const platform = inject('platform');
const jobs = new JobsForTests();
const source = await readFile(join(import.meta.dirname, 'attempts.js'), 'utf8');
const CHANGES = [
  'a JSON POST to REST',
  'a POST to REST without a preflight',
  'a form to REST',
  'a POST without a body that cancels a job',
  'a GraphQL mutation by JSON',
  'a GraphQL mutation by a form',
  'a GraphQL mutation by GET',
  'a POST to the MLflow port',
  'a POST to MLflow’s API on the API port',
];
const READS = [
  'a GraphQL query by GET',
  'a job over REST',
  'a subscription over a WebSocket',
  'a subscription by EventSource',
];
/** A page sees whether these have loaded, if no more. */
const LOADS = ['an image', 'a script', 'a frame'];

/** A web server of somebody else's on this machine. */
const strangers = createServer(({ url }, response) => {
  if (url === '/sandbox') response.setHeader('content-security-policy', 'sandbox allow-scripts allow-forms');
  response.setHeader('content-type', 'text/html').end('<!doctype html><title>a page</title><body></body>');
});
let browser: Browser;
let port: number;
/** What a page wants to see and to end: a job that runs until the gate is opened. Each page has one of its own. */
let jobId: string;
let gate: Gate;

beforeAll(async () => {
  browser = await startChromium();
  strangers.listen(0, '127.0.0.1');
  await once(strangers, 'listening');
  ({ port } = strangers.address() as AddressInfo); // a server that listens on TCP has one
});

afterAll(async () => {
  strangers.close();
  await browser?.close();
  await jobs[Symbol.asyncDispose]();
});

/** What a page saw of what it tried, and the statuses of the answers to it, where the browser shows them. */
interface Outcome {
  readonly seen: string | null;
  readonly statuses: readonly number[];
}

async function attempt(page: Page, name: string, marker = ''): Promise<Outcome> {
  const { url, mlflowUrl } = platform;
  const statuses: number[] = [];
  const note = (response: Response) => {
    if ([url, mlflowUrl].includes(new URL(response.url()).origin)) statuses.push(response.status());
  };
  page.on('response', note);
  const target = { url, mlflowUrl, marker, jobId };
  const seen = await page.evaluate<string | null>(`attempts[${JSON.stringify(name)}](${JSON.stringify(target)})`);
  page.off('response', note);
  return { seen, statuses };
}

async function startJob(): Promise<void> {
  gate = await Gate.create();
  jobId = await jobs.submit(`${gate.python}\nprint("secret", flush=True)\nwait()\n`);
  await jobs.line(jobId, 'secret');
}

/** A page of some address, with the attempts. */
async function pageOf(context: BrowserContext, url: string): Promise<Page> {
  const page = await context.newPage();
  page.setDefaultTimeout(PAGE_LIMIT_MS);
  await page.goto(url);
  await page.evaluate(source);
  return page;
}

/** What of a marker's name came to be. */
async function madeOf(marker: string): Promise<string[]> {
  const { items } = await jobs.client.jobs({ filter: { modelName: marker } });
  const query = `{ experiment(name: "${marker}") { id } }`;
  const response = await fetch(`${platform.url}/graphql?query=${encodeURIComponent(query)}`);
  const { data } = await response.json();
  return [...items.map(({ id }) => `job ${id}`), ...(data.experiment === null ? [] : [`experiment ${marker}`])];
}

const ORIGINS = [
  ['another port', () => `http://127.0.0.1:${port}`],
  ['another name of this machine', () => `http://localhost:${port}`],
  ['another site', () => `http://evil.localhost:${port}`],
  ['a sandbox', () => `http://127.0.0.1:${port}/sandbox`],
] as const;

describe.each(ORIGINS)('a page of %s', (_title, origin) => {
  let context: BrowserContext;
  let page: Page;
  beforeAll(async () => {
    await startJob();
    context = await browser.newContext();
    page = await pageOf(context, origin());
  });
  afterAll(async () => {
    await context?.close();
    await gate?.[Symbol.asyncDispose]();
  });

  test.each(CHANGES)('changes nothing by %s', async (name) => {
    const marker = uniqueName('hostile');
    const { seen, statuses } = await attempt(page, name, marker);
    expect(await madeOf(marker)).toEqual([]);
    expect(seen).toBeNull();
    expect(statuses.filter((status) => status !== 403)).toEqual([]);
  });

  test.each([...READS, ...LOADS])('sees nothing by %s', async (name) => {
    const { seen, statuses } = await attempt(page, name);
    expect(seen).toBeNull();
    expect(statuses.filter((status) => status !== 403)).toEqual([]);
  });

  test('changes nothing by a link that its reader follows', async () => {
    const marker = uniqueName('hostile');
    const names = `scriptName: "hostile.py", experimentName: "${marker}", modelName: "${marker}"`;
    const mutation = `mutation { submitTrainingJob(input: { ${names}, script: "pass" }) { __typename } }`;
    const link = `${platform.url}/graphql?query=${encodeURIComponent(mutation)}`;
    const tab = await pageOf(context, origin());
    await tab.evaluate(`location.href = ${JSON.stringify(link)}`);
    await tab.getByRole('button', { name: 'Execute query' }).waitFor();
    expect(await madeOf(marker)).toEqual([]);
  });

  test('does not keep the job from going on to its own end', async () => {
    await gate.open();
    expect((await jobs.end(jobId)).job.status).toBe('COMPLETED');
  });
});

describe('the platform’s own page', () => {
  let context: BrowserContext;
  let page: Page;
  beforeAll(async () => {
    await startJob();
    // What the page of some path may load by its own policy is not the question here.
    context = await browser.newContext({ bypassCSP: true });
    page = await pageOf(context, `${platform.url}/healthz`);
  });
  afterAll(async () => {
    await context?.close();
    await gate?.[Symbol.asyncDispose]();
  });

  test.each(READS)('sees the job by %s', async (name) => {
    expect((await attempt(page, name)).seen).toMatch(/secret|sequence/);
  });

  test.each(['a JSON POST to REST', 'a GraphQL mutation by JSON', 'a GraphQL mutation by a form'])(
    'makes a job by %s',
    async (name) => {
      const marker = uniqueName('own');
      await attempt(page, name, marker);
      expect(await madeOf(marker)).toContainEqual(expect.stringMatching(/^job /));
    },
  );

  test('cancels the job by a POST without a body', async () => {
    await attempt(page, 'a POST without a body that cancels a job');
    await jobs.status(jobId, 'CANCELLED');
  });
});

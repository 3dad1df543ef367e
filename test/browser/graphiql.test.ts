import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { JobsForTests } from '../support/jobs-for-tests.ts';
import { poll } from '../support/poll.ts';
import { PAGE_LIMIT_MS, startChromium } from './chromium.ts';

const platform = inject('platform');
const jobs = new JobsForTests();

let browser: Browser;
let page: Page;
const requested: string[] = [];
const problems: string[] = [];

beforeAll(async () => {
  browser = await startChromium();
  page = await browser.newPage();
  page.setDefaultTimeout(PAGE_LIMIT_MS);
  page.on('request', (request) => requested.push(request.url()));
  page.on('requestfailed', (request) => {
    const problem = request.failure()?.errorText;
    // So ends a subscription that is stopped.
    if (problem !== 'net::ERR_ABORTED') problems.push(`${request.url()}: ${problem}`);
  });
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  await page.goto(`${platform.url}/graphql`);
});
afterAll(async () => {
  await browser?.close();
  await jobs[Symbol.asyncDispose]();
});

test('GraphiQL shows the schema', async () => {
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
  await page.getByRole('link', { name: 'Subscription' }).waitFor();
});

test('GraphiQL runs the subscription of its example', async () => {
  await page.getByRole('button', { name: 'Execute query' }).click();
  await page.getByRole('menuitem', { name: 'Follow' }).click();
  const result = page.getByRole('region', { name: 'Result Window' });
  // A feed without a past shows nothing of a job that came before it had begun.
  const look = async () => {
    await jobs.client.cancel(await jobs.submit('pass\n')).catch(() => undefined);
    return await result.textContent();
  };
  await poll(look, (text) => text?.includes('"jobStatusChanges"') === true);
  await page.getByRole('button', { name: 'Stop query' }).click();
  await page.getByRole('button', { name: 'Execute query' }).waitFor();
});

test('GraphiQL asks nobody but the platform, and nothing of it fails', () => {
  const origins = new Set(requested.map((url) => new URL(url).origin));
  expect([...origins]).toEqual([platform.url]);
  expect(problems).toEqual([]);
});

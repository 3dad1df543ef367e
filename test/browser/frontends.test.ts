import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { Gate } from '../support/jobs-for-tests.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { uniqueName } from '../support/unique-name.ts';
import { startChromium } from './chromium.ts';
import { FrontendPage } from './frontend-page.ts';
import { type ServedFrontend, serveBuilt, serveInDevelopment } from './served-frontend.ts';

const JOB_LIMIT_MS = 240_000;
const LOST = 'Connection lost. Reconnecting…';
const platform = inject('platform');

let browser: Browser;
beforeAll(async () => {
  browser = await startChromium();
});
afterAll(() => browser?.close());

const COUNT = 450;
const THIRD = COUNT / 3;
const LINES = Array.from({ length: COUNT }, (_, index) => `line ${index + 1}`);

/** Prints `LINES`; after each third of them and before the last it waits at the gate. */
const slowScript = (gate: Gate) => `${gate.python}
for number in range(1, ${COUNT} + 1):
    if number in (${THIRD + 1}, ${2 * THIRD + 1}, ${COUNT}):
        wait(f"before {number}")
    print("line", number, flush=True)
    time.sleep(0.005)
`;

const waitingScript = (gate: Gate) => `${gate.python}\nprint("before", flush=True)\nwait()\nprint("after")\n`;

/** Runs a job whose connection is cut while lines come, while none comes, and again while lines come. */
async function followsThroughCuts(url: string, proxy: TcpProxy): Promise<void> {
  await using gate = await Gate.create();
  await using context = await browser.newContext();
  const page = await FrontendPage.open(await context.newPage(), url);
  await page.submit({ script: slowScript(gate) });
  // No connection is made before the page has said that it lost one, which it does for half a second at least.
  const cutOff = () => {
    proxy.breakAfter(0);
    proxy.cut();
  };
  const comeBack = async () => {
    await page.shows(LOST);
    proxy.release();
  };
  await page.showsLines(20);
  cutOff();
  await comeBack();
  await page.showsLines(THIRD);
  expect(await page.status()).toBe('running');

  cutOff();
  await gate.open(`before ${THIRD + 1}`);
  await comeBack();
  await page.showsLines(2 * THIRD);

  await gate.open(`before ${2 * THIRD + 1}`);
  await page.showsLines(2 * THIRD + 20);
  cutOff();
  await comeBack();
  await gate.open(`before ${COUNT}`);
  await page.shows(`${COUNT} of ${COUNT} lines received, exit code 0`);
  expect(await page.lines()).toEqual(LINES);
  expect(await page.status()).toBe('completed');
  // The page asked for what it lacked alone.
  const [first, ...later] = page.afters;
  expect(first).toBe(0);
  expect(later.length).toBeGreaterThanOrEqual(3);
  expect(later).toEqual(later.toSorted((one, other) => one - other));
  expect(later[0]).toBeGreaterThan(20);
}

describe.each(['apollo', 'urql'] as const)('the frontend with %s', (name) => {
  let frontend: ServedFrontend;
  beforeAll(async () => {
    frontend = await serveBuilt(name, platform.url);
  });
  afterAll(() => frontend?.[Symbol.asyncDispose]());

  test(
    'shows each line of a job once, in order, although its connection is cut three times',
    async () => {
      await using proxy = await startTcpProxy(frontend.url);
      await followsThroughCuts(proxy.url, proxy);
    },
    JOB_LIMIT_MS,
  );

  test(
    'does so in development too, when the way from the page server to the platform is cut',
    async () => {
      await using proxy = await startTcpProxy(platform.url);
      await using served = await serveInDevelopment(name, proxy.url);
      await followsThroughCuts(served.url, proxy);
    },
    JOB_LIMIT_MS,
  );

  test(
    'connects again when the network has gone silent',
    async () => {
      await using gate = await Gate.create();
      await using proxy = await startTcpProxy(frontend.url);
      await using context = await browser.newContext();
      const page = await FrontendPage.open(await context.newPage(), proxy.url);
      await page.submit({ script: waitingScript(gate) });
      await page.showsLines(1);
      proxy.hold();
      await gate.open();
      await page.shows('2 of 2 lines received, exit code 0');
      expect(await page.lines()).toEqual(['before', 'after']);
      expect(page.afters).toHaveLength(2);
    },
    JOB_LIMIT_MS,
  );

  test('shows at the field what is wrong with it, and hands in nothing', async () => {
    await using context = await browser.newContext();
    const page = await FrontendPage.open(await context.newPage(), frontend.url);
    await page.submit({ model: 'a/b' });
    await page.shows(/must not contain/);
    expect(await page.issueOf('Model')).toContain('must not contain "/"');
    expect(await page.issueOf('Script')).toBeNull();
    await page.shows('Run a script, or choose a job to follow.');
  });

  test(
    'cancels a job',
    async () => {
      await using gate = await Gate.create();
      await using context = await browser.newContext();
      const page = await FrontendPage.open(await context.newPage(), frontend.url);
      await page.submit({ script: waitingScript(gate) });
      await page.showsLines(1);
      await page.press('Cancel job');
      await page.shows('1 of 1 lines received');
      expect(await page.status()).toBe('cancelled');
    },
    JOB_LIMIT_MS,
  );

  test(
    'goes from one running job to another and back, with a connection throughout',
    async () => {
      await using gate = await Gate.create();
      await using context = await browser.newContext();
      const page = await FrontendPage.open(await context.newPage(), frontend.url);
      const names = [uniqueName('first'), uniqueName('second')] as const;
      for (const name of names) {
        const script = `${gate.python}\nprint("${name}", flush=True)\nwait()\nprint("after")\n`;
        await page.submit({ script, name: `${name}.py` });
        await page.showsOnly([name]);
      }
      await page.press(`${names[0]}.py`);
      await page.showsOnly([names[0]]);
      await page.hides('onnecti');
      await gate.open();
      await page.shows('2 of 2 lines received, exit code 0');
      expect(await page.lines()).toEqual([names[0], 'after']);
    },
    JOB_LIMIT_MS,
  );

  test(
    'follows a job that has ended, chosen from the list, from its beginning',
    async () => {
      await using context = await browser.newContext();
      const tab = await context.newPage();
      const page = await FrontendPage.open(tab, frontend.url);
      // Other tests' jobs are in the list, too.
      const name = `${uniqueName('ended')}.py`;
      await page.submit({ script: 'import sys\nprint("out")\nprint("err", file=sys.stderr)\nsys.exit(3)\n', name });
      await page.shows('2 of 2 lines received, exit code 3');
      await tab.reload();
      await page.press(name);
      await page.shows('2 of 2 lines received, exit code 3');
      expect((await page.lines()).toSorted()).toEqual(['err', 'out']);
      expect(await page.status()).toBe('failed');
    },
    JOB_LIMIT_MS,
  );
});

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, inject, test } from 'vitest';
import { z } from 'zod';
import { TOOLCHAIN } from '../support/data-folder.ts';
import { poll } from '../support/poll.ts';

const { url } = inject('platform');

test('/openapi.json is the document that is committed, and is valid OpenAPI', async () => {
  const answer = await fetch(`${url}/openapi.json`);
  expect(answer.headers.get('content-type')).toContain('application/json');
  const served = await answer.text();
  expect(JSON.parse(served)).toEqual(
    JSON.parse(await readFile(join(import.meta.dirname, '../../schema/openapi.json'), 'utf8')),
  );

  const folder = await mkdtemp(join(tmpdir(), 'asgard-openapi-'));
  try {
    const file = join(folder, 'openapi.json');
    await writeFile(file, served);
    const { stdout } = await promisify(execFile)(join(TOOLCHAIN, 'test-python/bin/openapi-spec-validator'), [file]);
    expect(stdout).toContain('OK');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test.each(['/docs', '/docs/'])('%s is a page that loads everything from this server', async (path) => {
  const page = await fetch(`${url}${path}`);
  expect(page.status).toBe(200);
  expect(page.headers.get('content-type')).toContain('text/html');
  // A browser keeps the page to it: nothing of another host could be loaded, or told.
  expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'self';/);
  expect(page.headers.get('content-security-policy')).not.toMatch(/https?:/);
  const html = await page.text();
  const assets = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, found = '']) => new URL(found, `${url}${path}`));
  expect(assets.length).toBeGreaterThanOrEqual(6);
  for (const asset of assets) {
    expect(asset.origin).toBe(url);
    const answer = await fetch(asset);
    expect(answer.status, asset.href).toBe(200);
    expect((await answer.arrayBuffer()).byteLength).toBeGreaterThan(100);
  }
});

test('the page looks for the document beside itself, and asks no validator elsewhere', async () => {
  const script = await (await fetch(`${url}/docs/static/swagger-initializer.js`)).text();
  expect(script).toContain("resolveUrl('./json')");
  expect(script).toContain('validatorUrl: null');
  const [document, served] = await Promise.all([
    fetch(`${url}/docs/json`).then((answer) => answer.json()),
    fetch(`${url}/openapi.json`).then((answer) => answer.json()),
  ]);
  expect(document).toEqual(served);
});

test('/ leads a browser, and another client, to all that there is to see', async () => {
  const page = await fetch(url, { headers: { accept: 'text/html' } });
  expect(page.status).toBe(200);
  expect(page.headers.get('content-type')).toContain('text/html');
  const links = [...(await page.text()).matchAll(/href="([^"]+)"/g)].map(([, found = '']) => new URL(found, url).href);
  const told = z.object({ places: z.array(z.object({ address: z.string() })) });
  const { places } = told.parse(await (await fetch(url)).json());
  expect(links).toEqual(places.map(({ address }) => new URL(address, url).href));
  expect(links).toContain(new URL('/docs', url).href);
  const statusOf = async (link: string) => {
    const answer = await fetch(link, { headers: { accept: 'text/html' } });
    await answer.body?.cancel();
    return [link, answer.status] as const;
  };
  // One of them says whether all is ready, and on a busy machine a part may be late to answer.
  for (const link of links) {
    await poll(
      () => statusOf(link),
      ([, status]) => status === 200,
    );
  }
});

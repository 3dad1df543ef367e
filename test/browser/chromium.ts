import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

/** For whatever is waited for in a page, unless it is something longer. Playwright's own 30 s are no hang on a busy machine. */
export const PAGE_LIMIT_MS = 100_000;
const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * Starts the machine's Chromium, headless, with an empty profile; it asks nobody for anything by itself. `close` ends it.
 * @throws Error with one line that says what to install when there is none
 */
export async function startChromium(): Promise<Browser> {
  return await chromium.launch({ executablePath: findChromium(), headless: true, args: QUIET });
}

function findChromium(): string {
  const chosen = process.env['ASGARD_CHROMIUM'];
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const candidates = chosen ? [chosen] : folders.flatMap((folder) => NAMES.map((name) => join(folder, name)));
  const found = candidates.find(isExecutable);
  if (found !== undefined) return found;
  const what = chosen ? `ASGARD_CHROMIUM is ${chosen}, which cannot be run` : 'these tests need Chromium';
  throw new Error(`${what}: install it (Debian, Ubuntu: apt-get install chromium) or set ASGARD_CHROMIUM to its path`);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

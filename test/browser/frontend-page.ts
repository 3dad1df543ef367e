import type { Page } from 'playwright-core';
import { poll } from '../support/poll.ts';
import { uniqueName } from '../support/unique-name.ts';
import { PAGE_LIMIT_MS } from './chromium.ts';

/** The first job of a fresh clone also waits for the base environment to be built. */
const END_LIMIT_MS = 220_000;
const SUBSCRIBE = '"type":"subscribe"';

/** A frontend as its user sees it, in a page of its own. */
export class FrontendPage {
  readonly #page: Page;
  /** What each subscription that the page began asked for, in that order. */
  readonly afters: number[] = [];

  static async open(page: Page, url: string): Promise<FrontendPage> {
    const opened = new FrontendPage(page);
    await page.goto(url);
    return opened;
  }

  private constructor(page: Page) {
    this.#page = page;
    page.setDefaultTimeout(PAGE_LIMIT_MS);
    page.on('websocket', (socket) => {
      socket.on('framesent', ({ payload }) => {
        const message = String(payload);
        if (message.includes(SUBSCRIBE)) this.afters.push(JSON.parse(message).payload.variables.after);
      });
    });
  }

  /** Fills the form and hands it in. */
  async submit(fields: { script?: string; name?: string; model?: string }): Promise<void> {
    const { script = 'pass\n', name = 'script.py', model = uniqueName('model') } = fields;
    await this.#page.getByLabel('Script', { exact: true }).fill(script);
    await this.#page.getByLabel('Script name').fill(name);
    await this.#page.getByLabel('Model').fill(model);
    await this.#page.getByRole('button', { name: 'Run script' }).click();
  }

  /** The script's lines that are shown, from top to bottom. */
  async lines(): Promise<string[]> {
    return this.#page.getByRole('log', { name: 'Log' }).locator('li.stdout, li.stderr').allTextContents();
  }

  /** Resolves once so many lines of the script are shown. */
  async showsLines(count: number): Promise<void> {
    await poll(
      async () => (await this.lines()).length,
      (length) => length >= count,
      END_LIMIT_MS,
    );
  }

  /** Resolves once these lines of the script are shown, and no others. */
  async showsOnly(lines: readonly string[]): Promise<void> {
    await poll(
      () => this.lines(),
      (shown) => shown.join('\n') === lines.join('\n'),
      END_LIMIT_MS,
    );
  }

  /** Resolves once a text is shown. */
  async shows(text: string | RegExp, limitMs = END_LIMIT_MS): Promise<void> {
    await this.#page.getByText(text).first().waitFor({ timeout: limitMs });
  }

  /** Resolves once a text is not shown. */
  async hides(text: string): Promise<void> {
    await this.#page.getByText(text).waitFor({ state: 'hidden' });
  }

  /** The status that is shown. */
  async status(): Promise<string | null> {
    return this.#page.getByRole('status').textContent();
  }

  /** What is shown as wrong with a field; null when nothing is. */
  async issueOf(label: string): Promise<string | null> {
    const field = this.#page.getByLabel(label, { exact: true });
    if ((await field.getAttribute('aria-invalid')) !== 'true') return null;
    const id = await field.getAttribute('aria-describedby');
    return this.#page.locator(`[id="${id}"]`).textContent();
  }

  async press(button: string): Promise<void> {
    await this.#page.getByRole('button', { name: button }).first().click();
  }
}

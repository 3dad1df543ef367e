import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CLAIMS } from '../../bench/claims.ts';
import { type Figure, median, percentile, ratioOf } from '../../bench/support/figures.ts';
import { figureLines, fillIn, fillInHighlights, type Results } from '../../bench/support/report.ts';
import { PROJECT_ROOT } from '../../src/config.ts';

const LATENCY: Figure = {
  what: 'a poll',
  unit: 'ms',
  better: 'lower',
  ours: 2,
  peer: { name: 'a peer', value: 1234.5 },
};

function resultsOf(figure: Figure): Results {
  const claims = CLAIMS.map(({ name, title }) => ({
    name,
    title,
    figures: [figure],
    notes: [`how ${name} was measured`],
    measuredAt: '2026-01-02T03:04:05.000Z',
    asgard: '0.1.0 (abc1234)',
  }));
  const machine = { processor: 'a processor, 2 cores' };
  const versions = { node: '24.0.0' };
  return { machine, versions, claims };
}

describe('statistics', () => {
  it('takes the nearest rank, whatever the order', () => {
    const numbers = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(percentile(numbers, 99)).toBe(99);
    expect(percentile(numbers, 100)).toBe(100);
    expect(median(numbers)).toBe(50);
    expect(median([9, 10, 100])).toBe(10);
    expect(percentile([7], 1)).toBe(7);
  });

  it('gives no number for nothing', () => {
    expect(() => median([])).toThrow('nothing was measured');
  });

  it('says how many times better ours is, and less than 1 where the peer is better', () => {
    expect(ratioOf({ ...LATENCY, ours: 5, peer: { name: 'a peer', value: 10 } })).toBe(2);
    expect(ratioOf({ ...LATENCY, ours: 10, peer: { name: 'a peer', value: 5 } })).toBe(0.5);
    expect(ratioOf({ ...LATENCY, better: 'higher', ours: 5, peer: { name: 'a peer', value: 10 } })).toBe(0.5);
  });
});

describe('what is in the repository', () => {
  it('says on both pages what was measured', async () => {
    const read = (...path: string[]) => readFile(join(PROJECT_ROOT, ...path), 'utf8');
    const results: Results = JSON.parse(await read('bench', 'results.json'));
    const [page, readme] = [await read('docs', 'benchmarks.md'), await read('README.md')];
    // The cells of a table stand one below the other there.
    const plain = (markdown: string) => markdown.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---');
    expect(plain(fillIn(page, results))).toBe(plain(page));
    expect(plain(fillInHighlights(readme, results))).toBe(plain(readme));
  });
});

describe('the page of benchmarks', () => {
  it('takes the figures of every claim between its markers, and nothing else of it changes', async () => {
    const page = await readFile(join(PROJECT_ROOT, 'docs', 'benchmarks.md'), 'utf8');
    const filled = fillIn(page, resultsOf(LATENCY));
    expect(filled.match(/^\| a poll \| 2\.00 ms \| a peer \| 1,235 ms \| 617 \|$/gm)).toHaveLength(CLAIMS.length);
    for (const { name } of CLAIMS) expect(filled).toContain(`- how ${name} was measured`);
    expect(filled.match(/^- Measured on 2026-01-02, Asgard 0\.1\.0 \(abc1234\)\.$/gm)).toHaveLength(CLAIMS.length);
    expect(filled).toContain('- Machine: processor a processor, 2 cores');
    expect(filled).not.toContain('Not measured yet.');
    const text = (markdown: string) => markdown.replaceAll(/<!-- ([a-z-]+) -->.*?<!-- \/\1 -->/gs, '');
    expect(text(filled)).toBe(text(page));
    expect(fillIn(filled, resultsOf(LATENCY))).toBe(filled);
  });

  it('leaves the cells of a peer empty where there is none', async () => {
    const page = '<!-- setting --><!-- /setting --><!-- guide-table --><!-- /guide-table -->';
    const { peer: _none, ...alone } = LATENCY;
    const results = resultsOf({ ...alone, promise: '< 1 s' });
    const claims = results.claims.filter(({ name }) => name === 'guide-table');
    expect(fillIn(page, { ...results, claims })).toContain('| a poll | 2.00 ms |  |  |  | < 1 s |');
    expect(figureLines([alone])).toBe('  a poll | 2.00 ms\n');
  });

  it('shows what is promised where something is', async () => {
    const page = '<!-- setting --><!-- /setting --><!-- guide-table --><!-- /guide-table -->';
    const results = resultsOf({ ...LATENCY, promise: '< 1 s' });
    const claims = results.claims.filter(({ name }) => name === 'guide-table');
    expect(fillIn(page, { ...results, claims })).toContain('| a poll | 2.00 ms | a peer | 1,235 ms | 617 | < 1 s |');
  });

  it('is refused without a marker, by name', () => {
    expect(() => fillIn('<!-- setting --> <!-- /setting -->', resultsOf(LATENCY))).toThrow('<!-- guide-table -->');
    expect(() => fillInHighlights('', resultsOf(LATENCY))).toThrow(
      /^job-overhead has no figure .+ beside plain subprocess/,
    );
  });
});

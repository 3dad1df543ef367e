import type { Measured } from './bench.ts';
import { type Figure, ratioOf } from './figures.ts';
import { HIGHLIGHTS } from './highlights.ts';

/** What a claim came to when it was measured last. */
export interface MeasuredClaim extends Measured {
  readonly name: string;
  readonly title: string;
  /** ISO 8601. */
  readonly measuredAt: string;
  /** The version of Asgard. */
  readonly asgard: string;
}

/** What `bench/results.json` keeps. */
export interface Results {
  readonly machine: Readonly<Record<string, string>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly claims: readonly MeasuredClaim[];
}

/** One claim's figures for a terminal: a line each. */
export function figureLines(figures: readonly Figure[]): string {
  return figures
    .map(
      (each) =>
        `  ${cellsOf(each)
          .filter((cell) => cell !== '')
          .join(' | ')}\n`,
    )
    .join('');
}

/** One claim's figures and notes for a page. */
function claimMarkdown({ figures, notes, measuredAt, asgard }: MeasuredClaim): string {
  const hasPromise = figures.some(({ promise }) => promise !== undefined);
  const head = ['', 'Asgard', 'peer', 'its figure', 'ratio', ...(hasPromise ? ['promised'] : [])];
  const rows = figures.map((each) => [...cellsOf(each), ...(hasPromise ? [each.promise ?? ''] : [])]);
  const said = [...notes, `Measured on ${measuredAt.slice(0, 10)}, Asgard ${asgard}.`];
  const table = [head, head.map((_, column) => (column === 0 ? '---' : '---:')), ...rows];
  return `${table.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n\n${said.map((note) => `- ${note}`).join('\n')}`;
}

/** Where and on what it was measured. */
function settingMarkdown({ machine, versions }: Results): string {
  const list = (description: Readonly<Record<string, string>>) =>
    Object.entries(description)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ');
  return `- Machine: ${list(machine)}\n- Versions: ${list(versions)}`;
}

/**
 * The page of all figures with what stands between its markers, `<!-- NAME -->` and `<!-- /NAME -->`, made anew: `setting`, and one a
 * claim.
 * @throws Error naming a marker that the page does not have
 */
export function fillIn(page: string, results: Results): string {
  const claims = results.claims.map((claim) => [claim.name, claimMarkdown(claim)] as const);
  return filledIn(page, new Map([['setting', settingMarkdown(results)], ...claims]));
}

/**
 * The README with its table of some figures, between `<!-- measured -->` and `<!-- /measured -->`, made anew.
 * @throws Error naming what was not measured, or when it has no such place
 */
export function fillInHighlights(readme: string, { claims }: Results): string {
  const rows = HIGHLIGHTS.map(({ claim: name, what, peer, title }) => {
    const figures = claims.find((claim) => claim.name === name)?.figures ?? [];
    const found = figures.find((figure) => figure.what === what && figure.peer?.name === peer);
    if (found === undefined) throw new Error(`${name} has no figure "${what}" beside ${peer}`);
    const [, ours, by, theirs, ratio] = cellsOf(found);
    return [title, ours, theirs, by, ratio];
  });
  const table = [['', 'Asgard', 'peer', '', 'ratio'], ['---', '---:', '---:', '---', '---:'], ...rows];
  return filledIn(readme, new Map([['measured', table.map((cells) => `| ${cells.join(' | ')} |`).join('\n')]]));
}

function filledIn(page: string, parts: ReadonlyMap<string, string>): string {
  let filled = page;
  for (const [name, text] of parts) {
    const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
    const from = filled.indexOf(begin);
    const to = filled.indexOf(end);
    if (from === -1 || to < from) throw new Error(`the page has no ${begin} … ${end}`);
    filled = `${filled.slice(0, from + begin.length)}\n\n${text}\n\n${filled.slice(to)}`;
  }
  return filled;
}

/** What, ours, the peer, the peer's, the ratio. */
function cellsOf(figure: Figure): string[] {
  const { what, unit, ours, peer } = figure;
  const ratio = ratioOf(figure);
  const theirs =
    peer === undefined || ratio === undefined
      ? ['', '', '']
      : [peer.name, `${rounded(peer.value)} ${unit}`, rounded(ratio)];
  return [what, `${rounded(ours)} ${unit}`, ...theirs];
}

/** Three digits that count, and all of a large number's. */
function rounded(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
